/**
 * Import section: u32 count, then that many of module name, name, kind byte and description.
 *
 * Descriptions: 0 function: u32 type; 1 table; 2 memory; 3 global: value type and mutability; 4 tag:
 * a zero byte and a u32 type.
 */
import { ByteReader } from './byte-reader.ts';
import { IMPORTS_MAX } from './limits.ts';
import { type GlobalType, readGlobalType } from './section-global.ts';
import { SECTION, sectionName } from './section-id.ts';
import { type MemoryType, readMemoryType } from './section-memory.ts';
import { readTableType, type TableType } from './section-table.ts';
import { readTagType } from './section-tag.ts';

interface ImportName {
  readonly module: string;
  readonly name: string;
  /** Where the import stands in the file. */
  readonly offset: number;
}

export type ModuleImport = ImportName &
  (
    | { readonly kind: 'func'; readonly typeIndex: number }
    | { readonly kind: 'table'; readonly table: TableType }
    | { readonly kind: 'memory'; readonly memory: MemoryType }
    | { readonly kind: 'global'; readonly global: GlobalType }
    | { readonly kind: 'tag'; readonly typeIndex: number }
  );

export function readImportSection(bytes: Uint8Array, start: number, end: number): ModuleImport[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.import));
  const imports: ModuleImport[] = [];
  const count = reader.count(IMPORTS_MAX, 4);
  for (let i = 0; i < count; i++) imports.push(readImport(reader));
  reader.finish();
  return imports;
}

function readImport(reader: ByteReader): ModuleImport {
  const offset = reader.at;
  const module = reader.name();
  const name = reader.name();
  const kindOffset = reader.at;
  const kind = reader.byte();
  switch (kind) {
    case 0:
      return { module, name, offset, kind: 'func', typeIndex: reader.u32() };
    case 1:
      return { module, name, offset, kind: 'table', table: readTableType(reader) };
    case 2:
      return { module, name, offset, kind: 'memory', memory: readMemoryType(reader) };
    case 3:
      return { module, name, offset, kind: 'global', global: readGlobalType(reader) };
    case 4:
      return { module, name, offset, kind: 'tag', typeIndex: readTagType(reader) };
    default:
      throw reader.refusal(`has an unknown kind of import 0x${kind.toString(16)}`, kindOffset);
  }
}
