/** Changes of bytes that know nothing of what the bytes mean. The same random numbers make the same changes. */
import type { Random } from '../cbor/random-value.ts';

/** Where lengths, counts and signs turn over. */
const EDGES = [0, 1, 0x17, 0x18, 0x3f, 0x40, 0x5f, 0x7f, 0x80, 0x9f, 0xbf, 0xc2, 0xd8, 0xfe, 0xff];
const WIDE_EDGES = [
  0n,
  1n,
  2n ** 31n - 1n,
  2n ** 31n,
  2n ** 32n - 1n,
  2n ** 53n,
  2n ** 63n,
  2n ** 64n - 1n,
];
const INPUT_BYTES_MAX = 262_144;

export function below(random: Random, limit: number): number {
  return Math.floor(random() * limit);
}

export function pick<T>(random: Random, from: readonly T[]): T {
  return from[below(random, from.length)]!;
}

/** One to eight changes. */
export function mutateBytes(
  random: Random,
  seed: Uint8Array,
  others: readonly Uint8Array[],
): Uint8Array {
  let bytes: Uint8Array = Uint8Array.from(seed);
  for (let count = 1 + below(random, 8); count > 0; count--)
    bytes = mutateOnce(random, bytes, others);
  return bytes.subarray(0, INPUT_BYTES_MAX);
}

function mutateOnce(random: Random, bytes: Uint8Array, others: readonly Uint8Array[]): Uint8Array {
  const at = below(random, bytes.length + 1);
  const length = below(random, Math.min(64, bytes.length - at) + 1);
  switch (below(random, 9)) {
    case 0:
      return withByte(bytes, at, (bytes[at] ?? 0) ^ (1 << below(random, 8)));
    case 1:
      return withByte(bytes, at, pick(random, EDGES));
    case 2:
      return spliced(bytes, at, length, new Uint8Array());
    case 3:
      return spliced(bytes, at, 0, bytes.subarray(at, at + length));
    case 4:
      return spliced(
        bytes,
        at,
        0,
        Uint8Array.from({ length: 1 + below(random, 16) }, () => below(random, 256)),
      );
    case 5: {
      const other = pick(random, others);
      const from = below(random, other.length);
      return spliced(bytes, at, length, other.subarray(from, from + below(random, 256)));
    }
    case 6:
      return bytes.slice(0, at);
    case 7:
      return spliced(bytes, at, length, wide(random));
    default:
      return spliced(bytes, at, length, leb(pick(random, WIDE_EDGES)));
  }
}

export function spliced(
  bytes: Uint8Array,
  at: number,
  removed: number,
  inserted: Uint8Array,
): Uint8Array {
  const result = new Uint8Array(bytes.length - removed + inserted.length);
  result.set(bytes.subarray(0, at));
  result.set(inserted, at);
  result.set(bytes.subarray(at + removed), at + inserted.length);
  return result;
}

function withByte(bytes: Uint8Array, at: number, value: number): Uint8Array {
  const changed = Uint8Array.from(bytes);
  if (at < changed.length) changed[at] = value;
  return changed;
}

/** An edge in 4 or 8 bytes, either end first. */
function wide(random: Random): Uint8Array {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, pick(random, WIDE_EDGES), random() < 0.5);
  const bytes = new Uint8Array(view.buffer);
  return random() < 0.5 ? bytes : bytes.slice(0, 4);
}

/** Unsigned LEB128, as WebAssembly writes numbers. */
export function leb(value: bigint): Uint8Array {
  const bytes: number[] = [];
  let rest = value;
  do {
    bytes.push(Number(rest & 0x7fn) | (rest > 0x7fn ? 0x80 : 0));
    rest >>= 7n;
  } while (rest > 0n);
  return Uint8Array.from(bytes);
}
