/**
 * Code that hands values to the host word by word, and takes them back in the same order.
 *
 * Words go in groups of `WORDS_A_SAVE`, the last one filled up with zeros; references follow one by one.
 * An external reference is never handed over: WASI gives a guest none, so it can only be null.
 */
import type { ByteWriter } from '../wasm/byte-writer.ts';
import { OP } from '../wasm/opcodes.ts';
import { F32, F64, FUNCREF, I64, V128 } from '../wasm/value-type.ts';
import { wordsOf } from './frame-words.ts';
import { BASE_TYPE, type Layout, SLOT } from './layout.ts';

/** Words handed over with one call. */
export const WORDS_A_SAVE = 8;

/** A place that code reads or writes: a local or a global. */
export interface Variable {
  readonly index: number;
  readonly type: number;
}

export interface VariableKind {
  readonly get: number;
  readonly set: number;
}

export const LOCALS: VariableKind = { get: OP.local_get, set: OP.local_set };
export const GLOBALS: VariableKind = { get: OP.global_get, set: OP.global_set };

/** Calls one of the host's functions, its arguments on the stack already. */
export function callHost(out: ByteWriter, layout: Layout, slot: number, type: number): void {
  out.u8(OP.i32_const);
  out.s32(slot);
  out.u8(OP.call_indirect);
  out.u32(layout.firstType + type);
  out.u32(layout.table);
}

/** Hands over all `variables`. */
export function writeSaves(
  out: ByteWriter,
  layout: Layout,
  kind: VariableKind,
  variables: readonly Variable[],
): void {
  let words = 0;
  for (const { index, type } of variables) {
    for (let part = 0; part < wordsOf(type); part++) {
      out.u8(kind.get);
      out.u32(index);
      writeWordOf(out, type, part);
      if (++words % WORDS_A_SAVE === 0) callHost(out, layout, SLOT.save8, BASE_TYPE.save8);
    }
  }
  if (words % WORDS_A_SAVE !== 0) {
    for (; words % WORDS_A_SAVE !== 0; words++) {
      out.u8(OP.i32_const);
      out.u8(0);
    }
    callHost(out, layout, SLOT.save8, BASE_TYPE.save8);
  }
  for (const { index, type } of variables) {
    if (type !== FUNCREF) continue;
    out.u8(kind.get);
    out.u32(index);
    callHost(out, layout, SLOT.saveRef, BASE_TYPE.saveRef);
  }
}

/** Takes all `variables` back; `word` and `ref` write a call that leaves the next one on the stack. */
export function writeLoads(
  out: ByteWriter,
  kind: VariableKind,
  variables: readonly Variable[],
  word: () => void,
  ref: () => void,
): void {
  for (const { index, type } of variables) {
    if (wordsOf(type) === 0) continue;
    writeFromWords(out, type, word);
    out.u8(kind.set);
    out.u32(index);
  }
  for (const { index, type } of variables) {
    if (type !== FUNCREF) continue;
    ref();
    out.u8(kind.set);
    out.u32(index);
  }
}

/** Turns the value on the stack into its word number `part`. */
function writeWordOf(out: ByteWriter, type: number, part: number): void {
  switch (type) {
    case F32:
      out.u8(OP.i32_reinterpret_f32);
      return;
    case F64:
    case I64:
      if (type === F64) out.u8(OP.i64_reinterpret_f64);
      if (part === 1) {
        out.u8(OP.i64_const);
        out.s32(32);
        out.u8(OP.i64_shr_u);
      }
      out.u8(OP.i32_wrap_i64);
      return;
    case V128:
      out.opcode(OP.i32x4_extract_lane);
      out.u8(part);
      return;
    default:
  }
}

function writeFromWords(out: ByteWriter, type: number, word: () => void): void {
  switch (type) {
    case F32:
      word();
      out.u8(OP.f32_reinterpret_i32);
      return;
    case F64:
    case I64:
      word();
      out.u8(OP.i64_extend_i32_u);
      word();
      out.u8(OP.i64_extend_i32_u);
      out.u8(OP.i64_const);
      out.s32(32);
      out.u8(OP.i64_shl);
      out.u8(OP.i64_or);
      if (type === F64) out.u8(OP.f64_reinterpret_i64);
      return;
    case V128:
      word();
      out.opcode(OP.i32x4_splat);
      for (let lane = 1; lane < 4; lane++) {
        word();
        out.opcode(OP.i32x4_replace_lane);
        out.u8(lane);
      }
      return;
    default:
      word();
  }
}
