/**
 * A module, read: every section decoded as far as its own layout goes, function bodies left alone.
 *
 * Invariants:
 * 1. Nothing of the file is copied but small lists: offsets and ranges point into `bytes`, which must not
 *    change while the module is in use.
 * 2. Counts that two sections state agree, and every index outside function bodies points at something
 *    (`check-indices.ts`). Types of operands, and bodies, are not validated here: an engine does that.
 */
import { checkIndices } from './check-indices.ts';
import { readCodeSection } from './section-code.ts';
import { type DataSegment, readDataSection } from './section-data.ts';
import { readDataCountSection } from './section-data-count.ts';
import { type ElementSegment, readElementSection } from './section-element.ts';
import { type ModuleExport, readExportSection } from './section-export.ts';
import { readFunctionSection } from './section-function.ts';
import { type ModuleGlobal, readGlobalSection } from './section-global.ts';
import { SECTION, type SectionId } from './section-id.ts';
import { type ModuleImport, readImportSection } from './section-import.ts';
import { type MemoryType, readMemorySection } from './section-memory.ts';
import { readStartSection } from './section-start.ts';
import { type ModuleTable, readTableSection } from './section-table.ts';
import { readTagSection } from './section-tag.ts';
import { type ModuleType, readTypeSection } from './section-type.ts';
import { type ModuleSection, readSections } from './sections.ts';

export interface WasmModule {
  /** The whole file. */
  readonly bytes: Uint8Array;
  /** In the order of the file. */
  readonly sections: readonly ModuleSection[];
  readonly types: readonly ModuleType[];
  readonly imports: readonly ModuleImport[];
  /** Type index by defined function: imports are not among them, here and in the next four. */
  readonly functions: Uint32Array;
  readonly tables: readonly ModuleTable[];
  readonly memories: readonly MemoryType[];
  /** Type index by defined tag. */
  readonly tags: Uint32Array;
  readonly globals: readonly ModuleGlobal[];
  readonly exports: readonly ModuleExport[];
  /** The function that instantiation calls. */
  readonly start: number | undefined;
  readonly elements: readonly ElementSegment[];
  /** What the data count section states, where there is one. */
  readonly dataCount: number | undefined;
  /** Where the bodies begin and end in `bytes`, by defined function, size fields left out. */
  readonly bodyStart: Uint32Array;
  readonly bodyEnd: Uint32Array;
  readonly data: readonly DataSegment[];
}

/**
 * Reads a core module.
 *
 * - ERR_NOT_WASM: the bytes are something else.
 * - ERR_COMPONENT: they are a component.
 * - ERR_MALFORMED_MODULE: the sentence names the section and the offset in the file.
 */
export function readModule(bytes: Uint8Array): WasmModule {
  const sections = readSections(bytes);
  const byId = new Map<SectionId, ModuleSection>();
  for (const section of sections) byId.set(section.id, section);

  const read = <T>(
    id: SectionId,
    readSection: (bytes: Uint8Array, start: number, end: number) => T,
    absent: T,
  ): T => {
    const section = byId.get(id);
    if (section === undefined) return absent;
    return readSection(bytes, section.offset, section.offset + section.size);
  };

  const none = new Uint32Array(0);
  const module: WasmModule = {
    bytes,
    sections,
    types: read(SECTION.type, readTypeSection, []),
    imports: read(SECTION.import, readImportSection, []),
    functions: read(SECTION.function, readFunctionSection, none),
    tables: read(SECTION.table, readTableSection, []),
    memories: read(SECTION.memory, readMemorySection, []),
    tags: read(SECTION.tag, readTagSection, none),
    globals: read(SECTION.global, readGlobalSection, []),
    exports: read(SECTION.export, readExportSection, []),
    start: read<number | undefined>(SECTION.start, readStartSection, undefined),
    elements: read(SECTION.element, readElementSection, []),
    dataCount: read<number | undefined>(SECTION.dataCount, readDataCountSection, undefined),
    ...read(SECTION.code, readCodeSection, { bodyStart: none, bodyEnd: none }),
    data: read(SECTION.data, readDataSection, []),
  };
  checkIndices(module);
  return module;
}
