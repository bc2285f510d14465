/**
 * How values are laid out in a frame: 32-bit words for numbers and vectors, references apart.
 *
 * Floats cross as their bits, so that no NaN is changed on the way; 64-bit numbers as low and high word,
 * so that no BigInt is made.
 */
import { EXTERNREF, F32, F64, FUNCREF, I32, I64, V128 } from '../wasm/value-type.ts';

/** 32-bit words of a number or vector; 0 for a reference. */
export function wordsOf(type: number): number {
  switch (type) {
    case I32:
    case F32:
      return 1;
    case I64:
    case F64:
      return 2;
    case V128:
      return 4;
    default:
      return 0;
  }
}

/** Whether values of this type can be carried over a capture. */
export function isCarried(type: number): boolean {
  return wordsOf(type) > 0 || type === FUNCREF || type === EXTERNREF;
}
