/**
 * The CBOR that the project writes and reads: a deterministic subset of RFC 8949.
 *
 *   value            written as
 *   null, booleans   f6, f4, f5
 *   number           integer when it is a safe integer other than -0, in the shortest form; otherwise a
 *                    64-bit float (every NaN as fb 7ff8000000000000)
 *   bigint           integer, −2^63 to 2^64−1
 *   string           definite text, valid UTF-8
 *   Uint8Array       definite bytes
 *   array, object    definite; text keys, sorted by their encoded bytes (RFC 8949 §4.2.1)
 *
 * Invariants:
 * 1. What decodes has one encoding: `encodeCbor(decodeCbor(bytes))` equals `bytes`.
 * 2. What encodes comes back: `decodeCbor(encodeCbor(value))` is `value`, save that a bigint in the safe
 *    range comes back as a number, and that the sign and payload of a NaN are lost.
 * 3. No tag, no indefinite length, no other simple value, no duplicate key and no `__proto__` is read or
 *    written.
 */
export type CborValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly CborValue[]
  | { readonly [key: string]: CborValue };

/** What a reader accepts of bytes that it does not trust. */
export interface CborLimits {
  /** Arrays and maps within each other; a lone scalar has depth 0. */
  readonly depthMax: number;
  /** Values of all kinds, keys not counted. */
  readonly itemsMax: number;
}

export const DEFAULT_CBOR_LIMITS: CborLimits = { depthMax: 64, itemsMax: 1_048_576 };

export const LARGEST_INTEGER = 2n ** 64n - 1n;
export const SMALLEST_INTEGER = -(2n ** 63n);
