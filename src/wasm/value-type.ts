/**
 * Value types and heap types as they stand in the binary format.
 *
 * Source: WebAssembly core specification 3.0, "Binary Format", "Types".
 */

export const I32 = 0x7f;
export const I64 = 0x7e;
export const F32 = 0x7d;
export const F64 = 0x7c;
export const V128 = 0x7b;
export const FUNCREF = 0x70;
export const EXTERNREF = 0x6f;
export const EXNREF = 0x69;

/** `(ref null ht)` and `(ref ht)`: a heap type as s33 follows. */
export const REF_NULL = 0x63;
export const REF = 0x64;

/** A block type without operands or results. */
export const EMPTY_BLOCK = 0x40;

const NAMES: Readonly<Record<number, string>> = {
  [I32]: 'i32',
  [I64]: 'i64',
  [F32]: 'f32',
  [F64]: 'f64',
  [V128]: 'v128',
  [FUNCREF]: 'funcref',
  [EXTERNREF]: 'externref',
  [EXNREF]: 'exnref',
  110: 'anyref',
  109: 'eqref',
  108: 'i31ref',
  107: 'structref',
  106: 'arrayref',
  113: 'nullref',
  114: 'nullexternref',
  115: 'nullfuncref',
  116: 'nullexnref',
};

/** The name of a value type that is one byte; undefined for any other byte. */
export function valueTypeName(byte: number): string | undefined {
  return NAMES[byte];
}

/** Whether one byte is a whole value type. */
export function isValueType(byte: number): boolean {
  return isNumberType(byte) || isReferenceType(byte);
}

/** Whether one byte is a number or vector type. */
export function isNumberType(byte: number): boolean {
  return byte >= V128 && byte <= I32;
}

/** Whether one byte is a whole reference type, nullable, with an abstract heap type. */
export function isReferenceType(byte: number): boolean {
  return byte >= EXNREF && byte <= 0x74;
}
