import { isDeepStrictEqual } from 'node:util';
import { decode as plainDecode } from 'cbor-x';
import { describe, expect, test } from 'vitest';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import { randomValue, seededRandom } from './random-value.ts';

const hex = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

describe('golden bytes', () => {
  const golden: readonly (readonly [CborValue, string])[] = [
    [null, 'f6'],
    [true, 'f5'],
    [23, '17'],
    [24, '1818'],
    [256, '190100'],
    [65_536, '1a00010000'],
    [2 ** 32, '1b0000000100000000'],
    [-1, '20'],
    [-25, '3818'],
    [-(2 ** 32) - 1, '3b0000000100000000'],
    [2n ** 64n - 1n, '1bffffffffffffffff'],
    [-(2n ** 63n), '3b7fffffffffffffff'],
    [5n, '05'],
    [1.5, 'fb3ff8000000000000'],
    [-0, 'fb8000000000000000'],
    [Number.NaN, 'fb7ff8000000000000'],
    ['水', '63e6b0b4'],
    [Uint8Array.of(1, 2), '420102'],
    [[1, [2]], '82018102'],
    [{ bb: 1, a: 2, c: 3 }, 'a3616102616303626262' + '01'],
  ];
  test.each(golden)('%s', (value, expected) => {
    expect(hex(encodeCbor(value))).toBe(expected);
  });
});

test('random values come back, and their bytes are their only encoding', () => {
  const random = seededRandom(1);
  for (let round = 0; round < 5000; round++) {
    const value = randomValue(random);
    const bytes = encodeCbor(value);
    const back = decodeCbor(bytes);
    // vitest compares `constructor`, which is an ordinary key here.
    expect(isDeepStrictEqual(back, value)).toBe(true);
    expect(hex(encodeCbor(back))).toBe(hex(bytes));
  }
});

test('cbor-x alone reads the same values', () => {
  const random = seededRandom(2);
  for (let round = 0; round < 2000; round++) {
    const value = randomValue(random);
    expect(widened(plainDecode(encodeCbor(value)))).toEqual(widened(value));
  }
});

/** cbor-x gives bigints for all 64-bit integer forms, so compare whole numbers as bigints, and Buffers as arrays. */
function widened(value: unknown): unknown {
  if (typeof value === 'number' && Number.isSafeInteger(value) && !Object.is(value, -0)) {
    return BigInt(value);
  }
  if (value instanceof Uint8Array) return new Uint8Array(value);
  if (Array.isArray(value)) return value.map(widened);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, widened(inner)]));
}

test('keys that objects inherit are ordinary keys', () => {
  const value = { constructor: 1, hasOwnProperty: 2, toString: 3 };
  expect(decodeCbor(encodeCbor(value))).toStrictEqual(value);
});

test('byte strings alias the input, and the input is left as it was', () => {
  const input = encodeCbor([Uint8Array.of(7, 8, 9)]);
  const [inner] = decodeCbor(input) as [Uint8Array];
  expect(inner.buffer).toBe(input.buffer);
  expect(Object.keys(input)).toHaveLength(input.length);
});

describe('what the subset cannot carry is refused by the writer', () => {
  const cyclic: CborValue[] = [];
  cyclic.push(cyclic);
  const refused: readonly (readonly [string, unknown])[] = [
    ['undefined', undefined],
    ['undefined in a map', { a: undefined }],
    ['a hole', new Array(1)],
    ['a function', () => 1],
    ['a symbol', Symbol('x')],
    ['a class', new Date(0)],
    ['a Map', new Map()],
    ['a typed array of words', new Uint16Array(2)],
    ['2^64', 2n ** 64n],
    ['-2^63-1', -(2n ** 63n) - 1n],
    ['a lone surrogate', '\ud800'],
    ['a lone surrogate in a key', { '\udc00': 1 }],
    ['__proto__', JSON.parse('{"__proto__":1}')],
    ['a cycle', cyclic],
  ];
  test.each(refused)('%s', (_name, value) => {
    expect(() => encodeCbor(value as CborValue)).toThrow(
      expect.objectContaining({ code: 'ERR_MALFORMED_CBOR' }),
    );
  });
});
