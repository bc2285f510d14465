/**
 * LEB128 numbers at a place in a byte array, for code that walks instructions.
 *
 * Nothing here throws or checks: beyond the end of `bytes` a number reads as if zeros followed, and the
 * place returned then lies beyond the end too, which the caller has to compare. `byte-reader.ts` is the
 * checked reader of everything outside function bodies.
 *
 * Source: WebAssembly core specification 3.0, "Binary Format", "Integers".
 */

/** The place after the LEB128 number of any width at `at`. */
export function skipLeb(bytes: Uint8Array, at: number): number {
  let next = at;
  while (bytes[next++]! & 0x80);
  return next;
}

/** The u32 at `at`. Bits beyond the 32nd are dropped. */
export function readU32At(bytes: Uint8Array, at: number): number {
  let byte = bytes[at]!;
  if (!(byte & 0x80)) return byte | 0;
  let value = byte & 0x7f;
  let next = at + 1;
  for (let shift = 7; shift < 35; shift += 7) {
    byte = bytes[next++]!;
    value |= (byte & 0x7f) << shift;
    if (!(byte & 0x80)) break;
  }
  return value >>> 0;
}

/** The s32 at `at`. Bits beyond the 32nd are dropped. */
export function readS32At(bytes: Uint8Array, at: number): number {
  let value = 0;
  let next = at;
  for (let shift = 0; shift < 35; shift += 7) {
    const byte = bytes[next++]!;
    value |= (byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    return shift < 25 && byte & 0x40 ? value | (-1 << (shift + 7)) : value;
  }
  return value;
}

/**
 * The s33 at `at`, as block types and heap types use it: an index where it is 0 or more, else a type's
 * code less 0x80.
 */
export function readS33At(bytes: Uint8Array, at: number): number {
  let value = 0;
  let factor = 1;
  let next = at;
  for (let count = 0; count < 5; count++) {
    const byte = bytes[next++]!;
    value += (byte & 0x7f) * factor;
    factor *= 0x80;
    if (byte & 0x80) continue;
    return byte & 0x40 ? value - factor : value;
  }
  return value;
}

/** The s64 at `at`. Bits beyond the 64th are dropped. */
export function readS64At(bytes: Uint8Array, at: number): bigint {
  let value = 0n;
  let next = at;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[next++] ?? 0;
    value |= BigInt(byte & 0x7f) << shift;
    if (byte & 0x80) continue;
    return BigInt.asIntN(64, byte & 0x40 ? value | (-1n << (shift + 7n)) : value);
  }
  return BigInt.asIntN(64, value);
}

/** The u64 at `at`. Bits beyond the 64th are dropped. */
export function readU64At(bytes: Uint8Array, at: number): bigint {
  let value = 0n;
  let next = at;
  for (let shift = 0n; shift < 70n; shift += 7n) {
    const byte = bytes[next++] ?? 0;
    value |= BigInt(byte & 0x7f) << shift;
    if (!(byte & 0x80)) break;
  }
  return BigInt.asUintN(64, value);
}
