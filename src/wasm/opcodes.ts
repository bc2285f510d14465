/**
 * The opcode table: every instruction of core 3.0, threads, and legacy exceptions.
 *
 * Opcodes are flattened into one range of 0x600 numbers:
 *
 * | in the binary | here |
 * |---|---|
 * | one byte | that byte |
 * | 0xfb, u32 sub | 0x100 + sub |
 * | 0xfc, u32 sub | 0x200 + sub |
 * | 0xfd, u32 sub | 0x300 + sub, sub < 0x200 |
 * | 0xfe, u32 sub | 0x500 + sub |
 *
 * Invariants:
 * 1. `IMMEDIATE[op]` is `IMM.unknown` exactly where no instruction has the number `op`.
 * 2. `SIGNATURE[op]` is 0 where operands or results depend on the context (control, calls, variables,
 *    references, tables of them); `POPS` and `PUSH` then hold 0 and mean nothing.
 * 3. No instruction with a signature has more than one result.
 * 4. Addresses, sizes and table indices count as i32. On a 64-bit memory or table the caller adjusts.
 */
import * as kinds from './opcode-row.ts';
import { ATOMIC_ROWS } from './opcodes-atomics.ts';
import { GC_ROWS } from './opcodes-gc.ts';
import {
  BULK_MEMORY_ROWS,
  EXCEPTION_ROWS,
  LEGACY_EXCEPTION_ROWS,
  REFERENCE_ROWS,
  SATURATING_ROWS,
  SIGN_EXTENSION_ROWS,
  TAIL_CALL_ROWS,
  TYPED_REFERENCE_ROWS,
} from './opcodes-later.ts';
import { CONTROL_ROWS, MEMORY_ROWS, NUMERIC_ROWS } from './opcodes-mvp.ts';
import { RELAXED_SIMD_ROWS, SIMD_ROWS } from './opcodes-simd.ts';
import { F32, F64, I32, I64, V128 } from './value-type.ts';

/** How many flattened opcodes there can be. */
export const OPCODE_COUNT = 0x600;

/** Where the instructions behind each prefix byte begin in the flattened range. */
export const PREFIX_BASE = { 251: 0x100, 252: 0x200, 253: 0x300, 254: 0x500 } as const;

/** Kinds of immediate, by name; `opcode-row.ts` says what bytes each one is. */
export const IMM = {
  none: kinds.NONE,
  blockType: kinds.BLOCK_TYPE,
  label: kinds.LABEL,
  brTable: kinds.BR_TABLE,
  func: kinds.FUNC,
  callIndirect: kinds.CALL_INDIRECT,
  local: kinds.LOCAL,
  global: kinds.GLOBAL,
  table: kinds.TABLE,
  memarg: kinds.MEMARG,
  memory: kinds.MEMORY,
  i32: kinds.I32,
  i64: kinds.I64,
  f32: kinds.F32,
  f64: kinds.F64,
  v128: kinds.V128,
  shuffle16: kinds.SHUFFLE,
  lane: kinds.LANE,
  memargLane: kinds.MEMARG_LANE,
  heapType: kinds.HEAP_TYPE,
  selectTypes: kinds.SELECT_TYPES,
  dataMemory: kinds.DATA_MEMORY,
  data: kinds.DATA,
  memoryMemory: kinds.MEMORY_MEMORY,
  elemTable: kinds.ELEM_TABLE,
  elem: kinds.ELEM,
  tableTable: kinds.TABLE_TABLE,
  tag: kinds.TAG,
  type: kinds.TYPE,
  tryTable: kinds.TRY_TABLE,
  typeField: kinds.TYPE_FIELD,
  typeCount: kinds.TYPE_COUNT,
  typeData: kinds.TYPE_DATA,
  typeElem: kinds.TYPE_ELEM,
  typeType: kinds.TYPE_TYPE,
  castBranch: kinds.CAST_BRANCH,
  zero: kinds.ZERO,
  unknown: kinds.UNKNOWN,
} as const;

/** The proposal that each group of rows came with, in the words that a refusal uses. */
const GROUPS = [
  ['mvp', CONTROL_ROWS],
  ['mvp', MEMORY_ROWS],
  ['mvp', NUMERIC_ROWS],
  ['sign extension', SIGN_EXTENSION_ROWS],
  ['saturating conversion', SATURATING_ROWS],
  ['bulk memory', BULK_MEMORY_ROWS],
  ['reference types', REFERENCE_ROWS],
  ['tail calls', TAIL_CALL_ROWS],
  ['legacy exceptions', LEGACY_EXCEPTION_ROWS],
  ['exceptions', EXCEPTION_ROWS],
  ['typed function references', TYPED_REFERENCE_ROWS],
  ['garbage collection', GC_ROWS],
  ['SIMD', SIMD_ROWS],
  ['relaxed SIMD', RELAXED_SIMD_ROWS],
  ['threads', ATOMIC_ROWS],
] as const satisfies readonly (readonly [string, kinds.OpcodeRows])[];

type Group = (typeof GROUPS)[number];

/** A feature of WebAssembly that brought instructions, as `featureOf` names it. */
export type OpcodeFeature = Group[0];

/** A row's key with underscores for dots: `i32.add` is `i32_add`. */
type Identifier<Name extends string> = Name extends `${infer Head}.${infer Tail}`
  ? `${Head}_${Identifier<Tail>}`
  : Name;
type RowsOf<G> = G extends readonly [string, infer Rows] ? keyof Rows & string : never;
type RowName = RowsOf<Group>;

/** Which operands an instruction takes and what it leaves, as value type bytes, bottom first. */
export type Signature = { readonly params: Uint8Array; readonly results: Uint8Array };

const VALUE_TYPES: Readonly<Record<string, number>> = { i: I32, l: I64, f: F32, d: F64, v: V128 };
const letters = (text: string): Uint8Array =>
  Uint8Array.from(text, (letter) => VALUE_TYPES[letter]!);

/** What follows each opcode: one of `IMM`. */
export const IMMEDIATE: Uint8Array = new Uint8Array(OPCODE_COUNT).fill(IMM.unknown);
/** The fixed signatures; number 0 stands for "depends on the context". */
export const SIGNATURES: Signature[] = [{ params: letters(''), results: letters('') }];
/** Each opcode's index in `SIGNATURES`. */
export const SIGNATURE: Uint16Array = new Uint16Array(OPCODE_COUNT);
/** How many operands a fixed signature takes. */
export const POPS: Uint8Array = new Uint8Array(OPCODE_COUNT);
/** The value type byte that a fixed signature leaves, or 0 for none. */
export const PUSH: Uint8Array = new Uint8Array(OPCODE_COUNT);

const names = new Array<string | undefined>(OPCODE_COUNT);
const features = new Array<OpcodeFeature | undefined>(OPCODE_COUNT);

/** Every opcode by identifier: `OP.block`, `OP.local_get`, `OP.i32_add`, `OP.memory_init`. */
// Copied, because V8 keeps an object that grew key by key as a hash table, and its copy with slots.
export const OP = { ...fillTables() } as Readonly<Record<Identifier<RowName>, number>>;

function fillTables(): Record<string, number> {
  const opcodes: Record<string, number> = {};
  const signatures = new Map<string, number>();
  for (const [feature, rows] of GROUPS) {
    for (const [key, row] of Object.entries(rows) as [string, kinds.OpcodeRow][]) {
      const [opcode, immediate, signature, textName] = row;
      opcodes[key.replaceAll('.', '_')] = opcode;
      IMMEDIATE[opcode] = immediate;
      names[opcode] = textName ?? key;
      features[opcode] = feature;
      if (signature === undefined) continue;
      let index = signatures.get(signature);
      if (index === undefined) {
        index = SIGNATURES.length;
        signatures.set(signature, index);
        const [params = '', results = ''] = signature.split('>');
        SIGNATURES.push({ params: letters(params), results: letters(results) });
      }
      SIGNATURE[opcode] = index;
      POPS[opcode] = SIGNATURES[index]!.params.length;
      PUSH[opcode] = SIGNATURES[index]!.results[0] ?? 0;
    }
  }
  return opcodes;
}

/** The name of a flattened opcode in the text format; `unknown 0x…` where there is none. */
export function opcodeName(op: number): string {
  return names[op] ?? `unknown 0x${op.toString(16)}`;
}

/** The feature that brought a flattened opcode; `unknown` where no instruction has the number. */
export function featureOf(op: number): OpcodeFeature | 'unknown' {
  return features[op] ?? 'unknown';
}
