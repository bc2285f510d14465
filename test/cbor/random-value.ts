/** Random values of the CBOR data model, the same for the same seed. */
import type { CborValue } from '../../src/cbor/cbor.ts';

export type Random = () => number;

/** mulberry32: 32 bits of state are plenty for test data. Gives numbers in [0, 1). */
export function seededRandom(seed: number): Random {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const EDGES: readonly CborValue[] = [
  0,
  23,
  24,
  255,
  256,
  65_535,
  65_536,
  2 ** 32 - 1,
  2 ** 32,
  Number.MAX_SAFE_INTEGER,
  -1,
  -24,
  -25,
  -256,
  -257,
  -65_537,
  -(2 ** 31),
  -(2 ** 31) - 1,
  -(2 ** 32),
  -(2 ** 32) - 1,
  Number.MIN_SAFE_INTEGER,
  2 ** 53,
  -(2 ** 53),
  2 ** 60,
  1e300,
  0.1,
  -0,
  Number.NaN,
  Number.POSITIVE_INFINITY,
  Number.NEGATIVE_INFINITY,
  5e-324,
  2n ** 53n,
  -(2n ** 53n),
  2n ** 63n,
  2n ** 64n - 1n,
  -(2n ** 63n),
  '',
  '\u0000',
  'ß水🜁',
  'x'.repeat(300),
];

export function randomValue(random: Random, depth = 0): CborValue {
  const kind = Math.floor(random() * (depth < 5 ? 9 : 7));
  if (kind === 0) return random() < 0.5 ? null : random() < 0.5;
  if (kind === 1) return Math.floor((random() - 0.5) * 2 ** Math.floor(random() * 53));
  if (kind === 2) return (random() - 0.5) * 10 ** Math.floor(random() * 40 - 20);
  if (kind === 3) return 2n ** 53n + BigInt(Math.floor(random() * 2 ** 32)) * 2n ** 29n;
  if (kind === 4) return randomText(random);
  if (kind === 5) return randomBytes(random, Math.floor(random() * 40));
  if (kind === 6) return EDGES[Math.floor(random() * EDGES.length)]!;
  const length = Math.floor(random() * 7);
  if (kind === 7) return Array.from({ length }, () => randomValue(random, depth + 1));
  const map: Record<string, CborValue> = {};
  for (let index = 0; index < length; index++) {
    map[randomText(random)] = randomValue(random, depth + 1);
  }
  return map;
}

export function randomBytes(random: Random, length: number): Uint8Array {
  return Uint8Array.from({ length }, () => Math.floor(random() * 256));
}

function randomText(random: Random): string {
  const alphabet = [
    'a',
    'b',
    'Z',
    '0',
    '9',
    '_',
    'é',
    '水',
    '🜁',
    '\u0000',
    'constructor',
    'toString',
  ];
  const length = Math.floor(random() * 8);
  return Array.from({ length }, () => alphabet[Math.floor(random() * alphabet.length)]!).join('');
}
