import { describe, expect, test } from 'vitest';
import {
  featureOf,
  IMM,
  IMMEDIATE,
  OP,
  OPCODE_COUNT,
  opcodeName,
  POPS,
  PUSH,
  SIGNATURE,
  SIGNATURES,
} from '../../src/wasm/opcodes.ts';
import { valueTypeName } from '../../src/wasm/value-type.ts';
import { CONTEXT_SNIPPETS, EXCEPTION_AND_GC_SNIPPETS } from './snippets.ts';
import { assembleWithBinaryen, assembleWithWabt, engineAccepts } from './toolchains.ts';
import { opcodesByFunction } from './walk.ts';

const ALL = Object.values(OP);
const FIXED = ALL.filter((op) => SIGNATURE[op] !== 0);

/** The text of the immediates that the generated functions use, by kind. */
const IMMEDIATE_TEXT: ReadonlyMap<number, string> = new Map([
  [IMM.i32, '-123456'],
  [IMM.i64, '-12345678901234'],
  [IMM.f32, 'nan:0x200001'],
  [IMM.f64, '-0x1.8p+100'],
  [IMM.v128, 'i32x4 1 2 0xffffffff 11'],
  [IMM.shuffle16, '0 31 2 29 4 27 6 25 8 23 11 21 11 19 14 17'],
  [IMM.lane, '1'],
  [IMM.memargLane, 'offset=300 1'],
  [IMM.memarg, 'offset=70000'],
  [IMM.dataMemory, '0'],
  [IMM.data, '0'],
  [IMM.elem, '0'],
  [IMM.elemTable, '0'],
]);

const list = (keyword: string, types: Uint8Array): string =>
  types.length === 0 ? '' : `(${keyword} ${Array.from(types, (t) => valueTypeName(t)).join(' ')})`;

/** A function that fetches the operands of `op`, runs it, and returns what it leaves. */
function functionAround(op: number): string {
  const { params, results } = SIGNATURES[SIGNATURE[op]!]!;
  const operands = Array.from(params, (_, i) => `local.get ${i}`).join(' ');
  const immediate = IMMEDIATE_TEXT.get(IMMEDIATE[op]!) ?? '';
  return `(func ${list('param', params)} ${list('result', results)} ${operands} ${opcodeName(op)} ${immediate})`;
}

const surroundings = `
  (memory 1 1 shared) (data "x")
  (table 1 funcref) (elem func)`;

describe('instructions with a signature of their own', () => {
  test('wabt writes each by its number, and the engine finds its signature valid', () => {
    const text = `(module ${surroundings} ${FIXED.map(functionAround).join('\n')})`;
    const expected = FIXED.map((op) => [
      ...Array.from({ length: POPS[op]! }, () => OP.local_get),
      op,
      OP.end,
    ]);
    const bytes = assembleWithWabt(text);
    expect(opcodesByFunction(bytes)).toEqual(expected);
    expect(engineAccepts(bytes)).toBe(true);
    expect(FIXED.length).toBeGreaterThan(480);
  });

  test('Binaryen writes each by the same number', () => {
    // Binaryen leaves `nop` out of what it writes.
    const kept = FIXED.filter((op) => op !== OP.nop);
    const text = `(module ${surroundings} ${kept.map(functionAround).join('\n')})`;
    const functions = opcodesByFunction(assembleWithBinaryen(text));
    expect(functions.map((opcodes) => opcodes.at(-2))).toEqual(kept);
  });

  test('POPS and PUSH say what the signature says', () => {
    for (const op of ALL) {
      const { params, results } = SIGNATURES[SIGNATURE[op]!]!;
      expect([POPS[op], PUSH[op]]).toEqual([params.length, results[0] ?? 0]);
      expect(results.length).toBeLessThanOrEqual(1);
    }
  });
});

describe('instructions that depend on their context', () => {
  test.each(CONTEXT_SNIPPETS)('$names: wabt', ({ names, text }) => {
    const bytes = assembleWithWabt(text);
    const found = opcodesByFunction(bytes).flat().map(opcodeName);
    for (const name of names.split(' | ')) expect(found).toContain(name);
    expect(engineAccepts(bytes)).toBe(true);
  });

  test.each(EXCEPTION_AND_GC_SNIPPETS)('$names: Binaryen', ({ names, text }) => {
    const bytes = assembleWithBinaryen(text);
    const found = opcodesByFunction(bytes).flat().map(opcodeName);
    for (const name of names.split(' | ')) expect(found).toContain(name);
    expect(engineAccepts(bytes)).toBe(true);
  });

  test('the two lists leave no instruction out', () => {
    const covered = new Set(FIXED.map(opcodeName));
    for (const { names } of [...CONTEXT_SNIPPETS, ...EXCEPTION_AND_GC_SNIPPETS]) {
      for (const name of names.split(' | ')) covered.add(name);
    }
    expect(ALL.map(opcodeName).filter((name) => !covered.has(name))).toEqual([]);
  });
});

describe('the table', () => {
  test('knows an immediate for every instruction and none for other numbers', () => {
    const known = new Set<number>(ALL);
    expect(known.size).toBe(ALL.length);
    for (let op = 0; op < OPCODE_COUNT; op++) {
      expect(IMMEDIATE[op] !== IMM.unknown, `0x${op.toString(16)}`).toBe(known.has(op));
      expect(featureOf(op) !== 'unknown', `0x${op.toString(16)}`).toBe(known.has(op));
    }
  });

  test('names features', () => {
    const features: [number, string][] = [
      [OP.i32_add, 'mvp'],
      [OP.i64_extend32_s, 'sign extension'],
      [OP.i32_trunc_sat_f32_s, 'saturating conversion'],
      [OP.memory_copy, 'bulk memory'],
      [OP.table_get, 'reference types'],
      [OP.return_call, 'tail calls'],
      [OP.delegate, 'legacy exceptions'],
      [OP.throw_ref, 'exceptions'],
      [OP.call_ref, 'typed function references'],
      [OP.struct_new, 'garbage collection'],
      [OP.v128_load, 'SIMD'],
      [OP.f32x4_relaxed_madd, 'relaxed SIMD'],
      [OP.i32_atomic_load, 'threads'],
      [0x16, 'unknown'],
    ];
    for (const [op, feature] of features) expect(featureOf(op)).toBe(feature);
  });
});
