/**
 * Changes of CBOR: of the value, which then is well formed and wrong, and of single heads, which then promise what
 * does not come.
 */
import type { CborValue } from '../../src/cbor/cbor.ts';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import { type Random, randomValue } from '../cbor/random-value.ts';
import { below, mutateBytes, pick, spliced } from './mutation.ts';

/** What cbor-x would take, or choke on, and our subset has not: lengths, tags, indefinite items, simple values. */
const HEADS = [
  '5f',
  '7f',
  '9f',
  'bf',
  'ff',
  'c2',
  'c3',
  'c0',
  'c1',
  'd81c',
  'd81d',
  'd9dfff',
  'd90100',
  'dbffffffffffffffff',
  '5bffffffffffffffff',
  '7bffffffffffffffff',
  '9bffffffffffffffff',
  'bbffffffffffffffff',
  '5a7fffffff',
  '9a7fffffff',
  'ba7fffffff',
  '1bffffffffffffffff',
  '3bffffffffffffffff',
  'f97e00',
  'fa7fc00000',
  'fb7ff8000000000001',
  'f7',
  'f818',
  'e0',
  '1c',
  '1801',
  '190001',
  '695f5f70726f746f5f5f',
  'a1695f5f70726f746f5f5f01',
].map((hex) => Uint8Array.from(Buffer.from(hex, 'hex')));

export function mutateCbor(
  random: Random,
  seed: Uint8Array,
  others: readonly Uint8Array[],
): Uint8Array {
  const choice = random();
  if (choice < 0.4) return encodeCbor(mutateValue(random, decodeCbor(seed)));
  if (choice < 0.7) {
    const at = pick(random, headOffsets(seed));
    return spliced(seed, at, random() < 0.5 ? 0 : 1, pick(random, HEADS));
  }
  if (choice < 0.75) {
    const head = pick(random, HEADS);
    const nested = new Uint8Array(head.length * (1 + below(random, 20_000)));
    for (let at = 0; at < nested.length; at += head.length) nested.set(head, at);
    return spliced(seed, pick(random, headOffsets(seed)), 0, nested);
  }
  return mutateBytes(random, seed, others);
}

/** One place in the value changed. */
function mutateValue(random: Random, value: CborValue): CborValue {
  const isInner = typeof value === 'object' && value !== null && !(value instanceof Uint8Array);
  if (!isInner || random() < 0.15)
    return pick(random, [randomValue(random), 2n ** 64n - 1n, -1, 1e300, null, '']);
  if (Array.isArray(value)) {
    const items = [...value] as CborValue[];
    const at = below(random, items.length + 1);
    const choice = below(random, 3);
    if (choice === 0 && at < items.length) items.splice(at, 1);
    else if (choice === 1)
      items.splice(at, 0, items[below(random, items.length)] ?? randomValue(random));
    else if (at < items.length) items[at] = mutateValue(random, items[at]!);
    return items;
  }
  const entries = Object.entries(value as { readonly [key: string]: CborValue });
  const at = below(random, entries.length);
  const choice = below(random, 4);
  if (choice === 0) entries.splice(at, 1);
  else if (choice === 1)
    entries.push([pick(random, ['x', 'type', 'format', 'constructor', '']), randomValue(random)]);
  else if (entries[at] !== undefined)
    entries[at] = [entries[at][0], mutateValue(random, entries[at][1])];
  return Object.fromEntries(entries);
}

/** Where items begin, in a value that is well formed. */
function headOffsets(bytes: Uint8Array): number[] {
  const offsets: number[] = [];
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = 0; at < bytes.length; ) {
    offsets.push(at);
    const major = bytes[at]! >> 5;
    const info = bytes[at]! & 0x1f;
    const wide = info < 24 ? 0 : 1 << (info - 24);
    const read = [
      () => view.getUint8(at + 1),
      () => view.getUint16(at + 1),
      () => view.getUint32(at + 1),
    ];
    const argument = wide === 0 ? info : wide === 8 ? 0 : read[Math.log2(wide)]!();
    at += 1 + wide + (major === 2 || major === 3 ? argument : 0);
  }
  return offsets;
}
