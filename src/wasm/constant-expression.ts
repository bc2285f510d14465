/**
 * Constant expressions: what globals begin as, where segments go, what tables hold.
 *
 * Layout: instructions without blocks, then `end`.
 */
import type { ByteReader } from './byte-reader.ts';
import { readOpcodeAt, skipImmediates, skipOpcode } from './decode.ts';
import { readS32At, readS64At, readU32At } from './leb.ts';
import { OP, opcodeName } from './opcodes.ts';
import type { ModuleGlobal } from './section-global.ts';

/** Bytes of the file, from `start` up to `end`. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/** An i32 as a signed number, an i64 as a signed bigint; undefined: not known from the module alone. */
export type ConstantValue = number | bigint | undefined;

const CONSTANT: ReadonlySet<number> = new Set([
  OP.end,
  OP.global_get,
  OP.i32_const,
  OP.i64_const,
  OP.f32_const,
  OP.f64_const,
  OP.v128_const,
  OP.ref_null,
  OP.ref_func,
  OP.i32_add,
  OP.i32_sub,
  OP.i32_mul,
  OP.i64_add,
  OP.i64_sub,
  OP.i64_mul,
  OP.struct_new,
  OP.struct_new_default,
  OP.array_new,
  OP.array_new_default,
  OP.array_new_fixed,
  OP.ref_i31,
  OP.any_convert_extern,
  OP.extern_convert_any,
]);

/** Steps over a constant expression and returns its bytes, `end` included. */
export function readConstantExpression(reader: ByteReader): ByteRange {
  const start = reader.at;
  for (;;) {
    const at = reader.at;
    if (at >= reader.end) throw reader.refusal('ends in the middle of a constant expression', at);
    const op = readOpcodeAt(reader.bytes, at);
    if (!CONSTANT.has(op)) {
      throw reader.refusal(`has ${opcodeName(op)} in a constant expression`, at);
    }
    reader.skip(skipImmediates(op, reader.bytes, skipOpcode(reader.bytes, at)) - at);
    if (op === OP.end) return { start, end: reader.at };
  }
}

/**
 * The value of the constant expression in `range`, which `readConstantExpression` has read.
 *
 * Undefined where it depends on an imported global, where it is neither i32 nor i64, and where it is not
 * valid. `globals`: the values of the globals that it may name, by index, as `globalConstants` gives them.
 */
export function evaluateConstant(
  bytes: Uint8Array,
  range: ByteRange,
  globals: readonly ConstantValue[],
): ConstantValue {
  const stack: ConstantValue[] = [];
  for (let at = range.start; at < range.end; ) {
    const op = readOpcodeAt(bytes, at);
    const immediate = skipOpcode(bytes, at);
    if (op === OP.end) return stack.length === 1 ? stack[0] : undefined;
    if (op === OP.i32_const) stack.push(readS32At(bytes, immediate));
    else if (op === OP.i64_const) stack.push(readS64At(bytes, immediate));
    else if (op === OP.global_get) stack.push(globals[readU32At(bytes, immediate)]);
    else {
      const right = stack.pop();
      const left = stack.pop();
      const value = calculate(op, left, right);
      if (value === undefined) return undefined;
      stack.push(value);
    }
    at = skipImmediates(op, bytes, immediate);
  }
  return undefined;
}

function calculate(op: number, left: ConstantValue, right: ConstantValue): ConstantValue {
  if (typeof left === 'number' && typeof right === 'number') {
    if (op === OP.i32_add) return (left + right) | 0;
    if (op === OP.i32_sub) return (left - right) | 0;
    if (op === OP.i32_mul) return Math.imul(left, right);
  }
  if (typeof left === 'bigint' && typeof right === 'bigint') {
    if (op === OP.i64_add) return BigInt.asIntN(64, left + right);
    if (op === OP.i64_sub) return BigInt.asIntN(64, left - right);
    if (op === OP.i64_mul) return BigInt.asIntN(64, left * right);
  }
  return undefined;
}

/**
 * What each global begins as, imports first; undefined for imported ones, and for those that are
 * neither i32 nor i64 or are made from such.
 */
export function globalConstants(
  bytes: Uint8Array,
  importedGlobals: number,
  globals: readonly ModuleGlobal[],
): ConstantValue[] {
  const values = new Array<ConstantValue>(importedGlobals).fill(undefined);
  // A global may name only those before it, so one pass in order is enough.
  for (const global of globals) values.push(evaluateConstant(bytes, global.init, values));
  return values;
}
