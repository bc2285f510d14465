/**
 * The sections of a resume module that say what it shares with the guest's instance, and a module that
 * stands in for that instance.
 */
import { ByteWriter } from '../wasm/byte-writer.ts';
import { readU32At, skipLeb } from '../wasm/leb.ts';
import { OP } from '../wasm/opcodes.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';
import { EXTERNREF, F32, F64, FUNCREF, I32, I64, V128 } from '../wasm/value-type.ts';
import { writeNewModule } from '../wasm/writer.ts';
import { BASE_TYPE, type FuncType, type Layout } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';

/** The module's own types, those appended to it, and `extra`. */
export function typeSection(
  facts: ModuleFacts,
  layout: Layout,
  extra: readonly FuncType[],
): readonly Uint8Array[] {
  const { bytes, sections } = facts.module;
  const section = sections.find(({ id }) => id === SECTION.type);
  const head = new ByteWriter();
  const own = section === undefined ? 0 : readU32At(bytes, section.offset);
  const appended = [...layout.types, ...extra];
  head.u32(own + appended.length);
  const tail = new ByteWriter();
  for (const { params, results } of appended) {
    tail.u8(0x60);
    tail.u32(params.length);
    tail.bytes(params);
    tail.u32(results.length);
    tail.bytes(results);
  }
  const entries =
    section === undefined
      ? new Uint8Array(0)
      : bytes.subarray(skipLeb(bytes, section.offset), section.offset + section.size);
  return [head.finish(), entries, tail.finish()];
}

/** `functions`: of the guest's module, by index; `completes`: a type for each place. */
export function importSection(
  facts: ModuleFacts,
  layout: Layout,
  functions: readonly number[],
  completes: readonly number[],
): Uint8Array {
  const out = new ByteWriter();
  let count = 0;
  const add = (module: string, name: string, kind: number): void => {
    count++;
    out.name(module);
    out.name(name);
    out.u8(kind);
  };
  const func = (module: string, name: string, type: number): void => {
    add(module, name, 0);
    out.u32(type);
  };
  facts.memory64.forEach((wide, index) => {
    add('m', `m${index}`, 2);
    out.u8(wide ? 4 : 0);
    out.u32(0);
  });
  for (let index = 0; index <= layout.table; index++) {
    add('m', `t${index}`, 1);
    out.u8(facts.tableType[index] ?? FUNCREF);
    out.u8(facts.table64[index] ? 4 : 0);
    out.u32(0);
  }
  add('h', 'twins', 1);
  out.u8(FUNCREF);
  out.u8(0);
  out.u32(0);
  allGlobals(facts, layout).forEach(({ type, mutable }, index) => {
    add('m', `g${index}`, 3);
    out.u8(type);
    out.u8(mutable);
  });
  allTags(facts, layout).forEach((type, index) => {
    add('m', `e${index}`, 4);
    out.u8(0);
    out.u32(type);
  });
  func('h', 'word', layout.firstType + BASE_TYPE.word);
  func('h', 'ref', layout.firstType + BASE_TYPE.ref);
  func('h', 'next', layout.firstType + BASE_TYPE.word);
  for (const index of functions) func('f', String(index), functionType(facts, layout, index));
  for (const type of completes) func('h', 'complete', type);
  const head = new ByteWriter();
  head.u32(count);
  head.bytes(out.view());
  return head.finish();
}

function functionType(facts: ModuleFacts, layout: Layout, func: number): number {
  return func < facts.functions
    ? facts.functionType[func]!
    : layout.functionTypes[func - layout.firstFunction]!;
}

/** Mutable globals of the pass follow those of the module. */
function allGlobals(facts: ModuleFacts, layout: Layout): { type: number; mutable: number }[] {
  const own = Array.from(facts.globalType, (type, index) => ({
    type,
    mutable: facts.globalMutable[index]!,
  }));
  const ours = [I32, I64, I64, I32, ...layout.droppers.map(() => I32)];
  return [...own, ...ours.map((type) => ({ type, mutable: 1 }))];
}

function allTags(facts: ModuleFacts, layout: Layout): number[] {
  return [...facts.module.tags, layout.firstType + BASE_TYPE.none];
}

/**
 * A module that exports, under the names that a resume module imports from `m`, memories, tables, globals
 * and tags of the guest's kinds that hold nothing. With an instance of it the engine can be made to
 * compile a resume module where there is no guest.
 */
export function makeStandIn(facts: ModuleFacts, layout: Layout): Uint8Array<ArrayBuffer> {
  const exports = new ByteWriter();
  let exported = 0;
  const list = <T>(letter: string, kind: number, items: readonly T[], write: (item: T) => void) => {
    section.clear();
    section.u32(items.length);
    items.forEach((item, index) => {
      write(item);
      exports.name(`${letter}${index}`);
      exports.u8(kind);
      exports.u32(index);
      exported++;
    });
    return section.finish();
  };
  const section = new ByteWriter();
  const tables = Array.from({ length: layout.table + 1 }, (_, index) => ({
    type: facts.tableType[index] ?? FUNCREF,
    wide: facts.table64[index] === 1,
  }));
  const sections = new Map<SectionId, Uint8Array | readonly Uint8Array[]>([
    [SECTION.type, typeSection(facts, layout, [])],
    [
      SECTION.table,
      list('t', 1, tables, ({ type, wide }) => {
        section.u8(type);
        section.u8(wide ? 4 : 0);
        section.u32(0);
      }),
    ],
    [
      SECTION.memory,
      list('m', 2, [...facts.memory64], (wide) => {
        section.u8(wide === 1 ? 4 : 0);
        section.u32(0);
      }),
    ],
    [
      SECTION.tag,
      list('e', 4, allTags(facts, layout), (type) => {
        section.u8(0);
        section.u32(type);
      }),
    ],
    [
      SECTION.global,
      list('g', 3, allGlobals(facts, layout), ({ type, mutable }) => {
        section.u8(type);
        section.u8(mutable);
        writeZero(section, type);
        section.u8(OP.end);
      }),
    ],
  ]);
  const head = new ByteWriter();
  head.u32(exported);
  sections.set(SECTION.export, [head.finish(), exports.finish()]);
  return writeNewModule({ sections });
}

/** Bytes behind the opcode of a constant. */
const ZEROS: ReadonlyMap<number, { readonly op: number; readonly bytes: number }> = new Map([
  [I32, { op: OP.i32_const, bytes: 1 }],
  [I64, { op: OP.i64_const, bytes: 1 }],
  [F32, { op: OP.f32_const, bytes: 4 }],
  [F64, { op: OP.f64_const, bytes: 8 }],
  [V128, { op: OP.v128_const, bytes: 16 }],
]);

function writeZero(out: ByteWriter, type: number): void {
  const zero = ZEROS.get(type);
  if (zero === undefined) {
    out.u8(OP.ref_null);
    out.u8(type === EXTERNREF ? EXTERNREF : FUNCREF);
    return;
  }
  out.opcode(zero.op);
  for (let i = 0; i < zero.bytes; i++) out.u8(0);
}
