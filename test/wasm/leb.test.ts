import { describe, expect, test } from 'vitest';
import { ByteReader } from '../../src/wasm/byte-reader.ts';
import { ByteWriter } from '../../src/wasm/byte-writer.ts';
import {
  readS32At,
  readS33At,
  readS64At,
  readU32At,
  readU64At,
  skipLeb,
} from '../../src/wasm/leb.ts';

const U32 = [
  0, 1, 0x3f, 0x40, 0x7f, 0x80, 0x3fff, 0x4000, 0x1fffff, 0x0fffffff, 0x10000000, 0xffffffff,
];
const S32 = [
  0,
  -1,
  63,
  64,
  -64,
  -65,
  8191,
  8192,
  -8193,
  0x7fffffff,
  -0x80000000,
  1 << 27,
  -(1 << 27) - 1,
];
const S33 = [...S32, 0x80000000, 0xffffffff, -0x100000000];
const S64 = [...S32.map(BigInt), 2n ** 63n - 1n, -(2n ** 63n), 2n ** 56n, -(2n ** 62n) - 1n];
const U64 = [...U32.map(BigInt), 2n ** 64n - 1n, 2n ** 63n, 2n ** 53n];

function written(write: (writer: ByteWriter) => void): Uint8Array {
  const writer = new ByteWriter(0);
  // Something in front, so that a place is not always 0.
  writer.u8(0xff);
  write(writer);
  return writer.finish();
}

const readerOf = (...bytes: number[]) =>
  new ByteReader(Uint8Array.from(bytes), 0, bytes.length, 'the test section');

describe('numbers come back as they were written', () => {
  test.each(U32)('u32 %d', (value) => {
    const bytes = written((writer) => writer.u32(value));
    expect(readU32At(bytes, 1)).toBe(value);
    expect(skipLeb(bytes, 1)).toBe(bytes.length);
    expect(new ByteReader(bytes, 1, bytes.length, 'it').u32()).toBe(value);
    const padded = written((writer) => writer.u32Padded(value));
    expect(padded.length).toBe(6);
    expect(readU32At(padded, 1)).toBe(value);
  });

  test.each(S32)('s32 %d', (value) => {
    const bytes = written((writer) => writer.s32(value));
    expect(readS32At(bytes, 1)).toBe(value);
    expect(skipLeb(bytes, 1)).toBe(bytes.length);
  });

  test.each(S33)('s33 %d', (value) => {
    const bytes = written((writer) => writer.s32(value));
    expect(readS33At(bytes, 1)).toBe(value);
    expect(new ByteReader(bytes, 1, bytes.length, 'it').s33()).toBe(value);
  });

  test.each(S64)('s64 %s', (value) => {
    const bytes = written((writer) => writer.s64(value));
    expect(readS64At(bytes, 1)).toBe(value);
    expect(skipLeb(bytes, 1)).toBe(bytes.length);
  });

  test.each(U64)('u64 %s', (value) => {
    const bytes = written((writer) => writer.u64(value));
    expect(readU64At(bytes, 1)).toBe(value);
    expect(new ByteReader(bytes, 1, bytes.length, 'it').u64()).toBe(Number(value));
  });
});

test('longer spellings than needed read as the same number', () => {
  expect(readU32At(Uint8Array.of(0x85, 0x80, 0x00), 0)).toBe(5);
  expect(readS32At(Uint8Array.of(0xff, 0xff, 0xff, 0xff, 0x7f), 0)).toBe(-1);
  expect(readerOf(0x85, 0x80, 0x80, 0x80, 0x00).u32()).toBe(5);
  expect(readerOf(0xff, 0xff, 0xff, 0xff, 0x7f).s33()).toBe(-1);
});

test('the checked reader refuses numbers too large, too long or cut off', () => {
  expect(() => readerOf(0xff, 0xff, 0xff, 0xff, 0x1f).u32()).toThrow(/does not fit 32 bits/);
  expect(() => readerOf(0x80, 0x80, 0x80, 0x80, 0x80, 0x00).u32()).toThrow(/does not fit 32 bits/);
  expect(() => readerOf(0xff, 0xff, 0xff, 0xff, 0x2f).s33()).toThrow(/does not fit 33 bits/);
  expect(() => readerOf(...new Array(9).fill(0xff), 0x02).u64()).toThrow(/does not fit 64 bits/);
  expect(() => readerOf(0x80).u32()).toThrow(/ends in the middle/);
});

test('the unchecked readers stop beyond the end', () => {
  const cut = Uint8Array.of(0xff, 0xff);
  for (const read of [readU32At, readS32At, readS33At, readS64At, readU64At]) {
    expect(typeof read(cut, 0)).toMatch(/number|bigint/);
    expect(() => read(cut, 9)).not.toThrow();
  }
  expect(skipLeb(cut, 0)).toBe(3);
});

test('counts are held against the bytes left', () => {
  expect(readerOf(3, 0, 0, 0).count(10, 1)).toBe(3);
  expect(() => readerOf(3, 0, 0, 0).count(2, 1)).toThrow(/the limit is 2/);
  expect(() => readerOf(3, 0, 0, 0).count(10, 2)).toThrow(/more than its bytes can hold/);
});

test('names are UTF-8, byte order marks kept', () => {
  expect(readerOf(6, 0xef, 0xbb, 0xbf, 0xc3, 0xa9, 0x00).name()).toBe('\ufeffé\0');
  expect(() => readerOf(1, 0xff).name()).toThrow(/not UTF-8/);
  expect(() => readerOf(2, 0x41).name()).toThrow(/ends in the middle/);
});
