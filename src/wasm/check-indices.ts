/** Holds a module's counts and indices against each other; function bodies are not looked at. */
import { malformed } from './malformed.ts';
import type { WasmModule } from './module.ts';
import type { ExternalKind } from './section-export.ts';
import { SECTION, type SectionId, sectionName } from './section-id.ts';

/** How many of each there are, imports included. */
export type IndexSpaces = Readonly<Record<ExternalKind, number>>;

/** Counts functions, tables, memories, globals and tags, imports included. */
export function indexSpaces(module: WasmModule): IndexSpaces {
  const spaces = {
    func: module.functions.length,
    table: module.tables.length,
    memory: module.memories.length,
    global: module.globals.length,
    tag: module.tags.length,
  };
  for (const { kind } of module.imports) spaces[kind]++;
  return spaces;
}

const LABELS: Readonly<Record<ExternalKind, string>> = {
  func: 'function',
  table: 'table',
  memory: 'memory',
  global: 'global',
  tag: 'tag',
};

/** Throws `ERR_MALFORMED_MODULE` at the first count that disagrees or index that points at nothing. */
export function checkIndices(module: WasmModule): void {
  const spaces = indexSpaces(module);
  const refusal = (id: SectionId, what: string): Error => {
    const section = module.sections.find((candidate) => candidate.id === id);
    return malformed(sectionName(id), section?.start ?? module.bytes.length, what);
  };
  const checkIndex = (id: SectionId, kind: ExternalKind, index: number): void => {
    if (index >= spaces[kind])
      throw refusal(id, `names ${LABELS[kind]} ${index}, which is not there`);
  };
  const checkType = (id: SectionId, index: number): void => {
    if (index >= module.types.length) throw refusal(id, `names type ${index}, which is not there`);
  };

  if (module.bodyStart.length !== module.functions.length) {
    const [bodies, functions] = [module.bodyStart.length, module.functions.length];
    throw refusal(SECTION.code, `has ${bodies} bodies for ${functions} functions`);
  }
  if (module.dataCount !== undefined && module.dataCount !== module.data.length) {
    const [stated, segments] = [module.dataCount, module.data.length];
    throw refusal(SECTION.dataCount, `states ${stated} data segments where there are ${segments}`);
  }
  for (const entry of module.imports) {
    if (entry.kind === 'func' || entry.kind === 'tag') checkType(SECTION.import, entry.typeIndex);
  }
  for (const typeIndex of module.functions) checkType(SECTION.function, typeIndex);
  for (const typeIndex of module.tags) checkType(SECTION.tag, typeIndex);
  for (const { kind, index } of module.exports) checkIndex(SECTION.export, kind, index);
  if (module.start !== undefined) checkIndex(SECTION.start, 'func', module.start);
  for (const segment of module.elements) {
    if (segment.mode === 'active') checkIndex(SECTION.element, 'table', segment.table);
    for (const index of segment.functions ?? []) checkIndex(SECTION.element, 'func', index);
  }
  for (const segment of module.data) {
    if (segment.mode === 'active') checkIndex(SECTION.data, 'memory', segment.memory);
  }
}
