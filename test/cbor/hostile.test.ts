import { describe, expect, test } from 'vitest';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import { randomBytes, randomValue, seededRandom } from './random-value.ts';

const MALFORMED = expect.objectContaining({ code: 'ERR_MALFORMED_CBOR', name: 'HostError' });

describe('refused by the guard', () => {
  const cases: readonly (readonly [string, string])[] = [
    ['nothing at all', ''],
    ['a head without its argument', '1b00000000'],
    ['an array of one without its one', '81'],
    ['a second value', '0000'],
    ['bytes of 2^63', '5b8000000000000000'],
    ['bytes of 2^64 - 1', '5bffffffffffffffff00'],
    ['text of 2^32', '7b0000000100000000'],
    ['an array of 2^63', '9b8000000000000000'],
    ['an array of 2^32 - 1', '9affffffff00'],
    ['a map of 2^63', 'bb8000000000000000'],
    ['a map of 2^31', 'ba80000000'],
    ['a bignum', 'c249010000000000000000'],
    ['a date', 'c11a514b67b0'],
    ['a record of cbor-x', 'd9dfff8400816161c0c1'],
    ['a shared reference', 'd81c80'],
    ['a tag of 2^64 - 1', 'dbffffffffffffffff00'],
    ['indefinite bytes', '5f4100ff'],
    ['indefinite text', '7f6161ff'],
    ['an indefinite array', '9fff'],
    ['an indefinite map', 'bfff'],
    ['a break', 'ff'],
    ['a break in an array', '81ff'],
    ['reserved length 28', '1c'],
    ['undefined', 'f7'],
    ['simple 0', 'e0'],
    ['simple 255', 'f8ff'],
    ['half float', 'f93c00'],
    ['single float', 'fa3fc00000'],
    ['an integral double', 'fb3ff0000000000000'],
    ['another NaN', 'fb7ff8000000000001'],
    ['a negative NaN', 'fbfff8000000000000'],
    ['below the signed 64-bit range', '3b8000000000000000'],
    ['23 in two bytes', '1817'],
    ['255 in three bytes', '1900ff'],
    ['65535 in five bytes', '1a0000ffff'],
    ['2^32 - 1 in nine bytes', '1b00000000ffffffff'],
    ['a long-winded length', '580100'],
    ['an integer key', 'a10102'],
    ['a byte-string key', 'a1414102'],
    ['an array as key', 'a18002'],
    ['the same key twice', 'a2616101616102'],
    ['keys out of order', 'a2616201616101'],
    ['a longer key first', 'a2626161016162' + '02'],
    ['__proto__', 'a1695f5f70726f746f5f5f01'],
    ['__proto__ deep inside', '81a16161a1695f5f70726f746f5f5f80'],
    ['overlong UTF-8', '62c080'],
    ['a surrogate in UTF-8', '63eda080'],
    ['cut UTF-8', '61e6'],
    ['cut UTF-8 in a key', 'a161e601'],
    ['a map without its last value', 'a16161'],
  ];
  test.each(cases)('%s', (_name, hex) => {
    expect(() => decodeCbor(Buffer.from(hex, 'hex'))).toThrow(MALFORMED);
  });

  test.each([
    ['arrays', 0x81],
    ['tags', 0xc1],
    ['indefinite arrays', 0x9f],
  ])('100,000 %s within each other', (_name, byte) => {
    expect(() => decodeCbor(Buffer.alloc(100_000, byte))).toThrow(MALFORMED);
  });

  test('100,000 maps within each other', () => {
    expect(() => decodeCbor(Buffer.from('a16161'.repeat(100_000), 'hex'))).toThrow(MALFORMED);
  });

  test('a bignum of 200 KB', () => {
    const bytes = Buffer.concat([Buffer.from('c25a00030d40', 'hex'), Buffer.alloc(200_000, 0xff)]);
    expect(() => decodeCbor(bytes)).toThrow(MALFORMED);
  });
});

test('limits count items and depth exactly', () => {
  const three = encodeCbor([1, 2]);
  expect(decodeCbor(three, { itemsMax: 3, depthMax: 1 })).toEqual([1, 2]);
  expect(() => decodeCbor(three, { itemsMax: 2 })).toThrow(MALFORMED);
  expect(() => decodeCbor(encodeCbor([[1]]), { depthMax: 1 })).toThrow(MALFORMED);
  expect(decodeCbor(encodeCbor(1), { depthMax: 0 })).toBe(1);
});

test('a refusal tells the offset and nothing of the content', () => {
  const bytes = encodeCbor({ secret: 'hunter2' });
  try {
    decodeCbor(bytes.subarray(0, bytes.length - 1));
    expect.unreachable();
  } catch (error) {
    expect(String(error)).not.toMatch(/hunter|secret/);
    expect(error).toMatchObject({ facts: { offsetBytes: 8 } });
  }
});

test('every truncation of a valid value is refused', () => {
  const random = seededRandom(3);
  for (let round = 0; round < 50; round++) {
    const bytes = encodeCbor([randomValue(random), 1]);
    for (let length = 0; length < bytes.length; length++) {
      expect(() => decodeCbor(bytes.subarray(0, length))).toThrow(MALFORMED);
    }
  }
});

test('changed and random bytes are refused or read as the one value that they encode', () => {
  const random = seededRandom(4);
  let read = 0;
  let refused = 0;
  for (let round = 0; round < 20_000; round++) {
    const bytes =
      round % 2 === 0
        ? randomBytes(random, 1 + Math.floor(random() * 12))
        : encodeCbor(randomValue(random));
    if (round % 2 === 1)
      bytes[Math.floor(random() * bytes.length)]! ^= 1 << Math.floor(random() * 8);
    try {
      expect(Buffer.compare(encodeCbor(decodeCbor(bytes)), bytes)).toBe(0);
      read++;
    } catch (error) {
      expect(error).toEqual(MALFORMED);
      refused++;
    }
  }
  expect(read).toBeGreaterThan(1000);
  expect(refused).toBeGreaterThan(1000);
});
