/**
 * The sections of a module with our own entries behind its own, in the order of `layout.ts`.
 */
import { ByteWriter } from '../wasm/byte-writer.ts';
import { readU32At, skipLeb } from '../wasm/leb.ts';
import { OP } from '../wasm/opcodes.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';
import { FUNCREF, I32, I64 } from '../wasm/value-type.ts';
import { BASE_TYPE, EXPORT_PREFIX, FUNCTION, GLOBAL, type Layout, SLOTS } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';

/** Pieces of a section's contents, in order. */
export type Appended = readonly Uint8Array[];

const MUTABLE = 1;
const PASSIVE = 1;
const KIND = { func: 0, table: 1, memory: 2, global: 3, tag: 4 } as const;

/** New contents of every section but the code; null where a section is left out. */
export function appendSections(
  facts: ModuleFacts,
  layout: Layout,
): Map<SectionId, Appended | null> {
  const sections = new Map<SectionId, Appended | null>();
  const append = (id: SectionId, count: number, write: (out: ByteWriter) => void): void => {
    sections.set(id, appendTo(facts, id, count, write));
  };
  append(SECTION.type, layout.types.length, (out) => writeTypes(out, layout));
  append(SECTION.function, layout.functionTypes.length, (out) => {
    for (const type of layout.functionTypes) out.u32(type);
  });
  append(SECTION.table, 1, (out) => {
    out.u8(FUNCREF);
    out.u8(1);
    out.u32(SLOTS);
    out.u32(SLOTS);
  });
  append(SECTION.tag, 1, (out) => {
    out.u8(0);
    out.u32(layout.firstType + BASE_TYPE.none);
  });
  append(SECTION.global, GLOBAL.dropped + layout.droppers.length, (out) => {
    writeGlobals(out, layout);
  });
  const names = exportNames(facts, layout);
  append(SECTION.export, names.length, (out) => {
    for (const { name, kind, index } of names) {
      out.name(EXPORT_PREFIX + name);
      out.u8(kind);
      out.u32(index);
    }
  });
  append(SECTION.element, 1, (out) => {
    const functions = facts.functions + layout.functionTypes.length;
    out.u8(PASSIVE);
    out.u8(0);
    out.u32(functions);
    for (let func = 0; func < functions; func++) out.u32(func);
  });
  if (facts.module.start !== undefined) sections.set(SECTION.start, null);
  return sections;
}

/** The section's own entries as they are, with a larger count before them and ours behind. */
function appendTo(
  facts: ModuleFacts,
  id: SectionId,
  count: number,
  write: (out: ByteWriter) => void,
): Appended {
  const { bytes, sections } = facts.module;
  const section = sections.find((candidate) => candidate.id === id);
  const own = section === undefined ? 0 : readU32At(bytes, section.offset);
  const head = new ByteWriter();
  head.u32(own + count);
  const tail = new ByteWriter();
  write(tail);
  const entries =
    section === undefined
      ? new Uint8Array(0)
      : bytes.subarray(skipLeb(bytes, section.offset), section.offset + section.size);
  return [head.finish(), entries, tail.finish()];
}

function writeTypes(out: ByteWriter, layout: Layout): void {
  for (const { params, results } of layout.types) {
    out.u8(0x60);
    out.u32(params.length);
    out.bytes(params);
    out.u32(results.length);
    out.bytes(results);
  }
}

function writeGlobals(out: ByteWriter, layout: Layout): void {
  const write = (type: number, constant: number): void => {
    out.u8(type);
    out.u8(MUTABLE);
    out.u8(constant);
    out.u8(0);
    out.u8(OP.end);
  };
  write(I32, OP.i32_const);
  write(I64, OP.i64_const);
  write(I64, OP.i64_const);
  write(I32, OP.i32_const);
  for (const _ of layout.droppers) write(I32, OP.i32_const);
}

interface PrivateExport {
  readonly name: string;
  readonly kind: number;
  readonly index: number;
}

/** Everything that a twin may name, and the functions that the host calls. */
function exportNames(facts: ModuleFacts, layout: Layout): PrivateExport[] {
  const numbered = (prefix: string, kind: number, count: number): PrivateExport[] =>
    Array.from({ length: count }, (_, index) => ({ name: `${prefix}:${index}`, kind, index }));
  const func = (name: string, index: number): PrivateExport => ({
    name,
    kind: KIND.func,
    index: layout.firstFunction + index,
  });
  const names = [
    ...numbered('memory', KIND.memory, facts.memory64.length),
    ...numbered('table', KIND.table, layout.table + 1),
    ...numbered(
      'global',
      KIND.global,
      layout.firstGlobal + GLOBAL.dropped + layout.droppers.length,
    ),
    ...numbered('tag', KIND.tag, layout.tag + 1),
    func('dump', FUNCTION.dump),
    func('load', FUNCTION.load),
    func('reference', FUNCTION.reference),
  ];
  const { start } = facts.module;
  if (start !== undefined) names.push({ name: 'start', kind: KIND.func, index: start });
  return names;
}
