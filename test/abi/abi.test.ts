import { describe, expect, test } from 'vitest';
import { ERRNO, errnoOf, errnoOfCode } from '../../src/abi/errno.ts';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { PATH_BYTES_MAX, readPath } from '../../src/abi/guest-string.ts';
import {
  RIGHT,
  RIGHTS_ALL,
  RIGHTS_OF_DIRECTORIES,
  RIGHTS_OF_FILES,
  rightsOf,
} from '../../src/abi/rights.ts';

describe('errno', () => {
  test('77 numbers, each once, in the order of the specification', () => {
    expect(Object.values(ERRNO)).toEqual(Array.from({ length: 77 }, (_, number) => number));
  });

  test('host codes become the errno of that name, unknown ones IO', () => {
    expect(errnoOfCode('ENOENT')).toBe(ERRNO.NOENT);
    expect(errnoOfCode('EOPNOTSUPP')).toBe(ERRNO.NOTSUP);
    expect(errnoOfCode('toString')).toBe(ERRNO.IO);
    expect(errnoOf(Object.assign(new Error(), { code: 'ELOOP' }))).toBe(ERRNO.LOOP);
    for (const odd of [null, undefined, 'EPERM', new Error(), { code: 5 }]) {
      expect(errnoOf(odd)).toBe(ERRNO.IO);
    }
  });
});

describe('rights', () => {
  test('30 of them, and directories have none of reading and writing', () => {
    expect(Object.values(RIGHT).reduce((all, right) => all | right, 0)).toBe(RIGHTS_ALL);
    expect(RIGHTS_OF_DIRECTORIES & (RIGHT.FD_READ | RIGHT.FD_WRITE | RIGHT.FD_SEEK)).toBe(0);
    expect(RIGHTS_OF_FILES & RIGHT.PATH_OPEN).toBe(0);
    expect(rightsOf(-1n)).toBe(RIGHTS_ALL);
    expect(rightsOf(1n << 40n)).toBe(0);
  });
});

describe('guest memory', () => {
  test('follows a memory that grows and detaches', () => {
    let buffer = new ArrayBuffer(16);
    const memory = new GuestMemory(() => ({ buffer }));
    memory.bytes[0] = 7;
    expect(memory.holds(8, 16)).toBe(false);
    buffer = buffer.transfer(32);
    expect(memory.view.byteLength).toBe(32);
    expect(memory.bytes[0]).toBe(7);
    expect(memory.holds(8, 16)).toBe(true);
  });

  test('follows a memory that grows without detaching', () => {
    const buffers = [new SharedArrayBuffer(16), new SharedArrayBuffer(32)];
    const memory = new GuestMemory(() => ({ buffer: buffers[0]! }));
    expect(memory.bytes.length).toBe(16);
    buffers.shift();
    expect(memory.holds(16, 16)).toBe(true);
    expect(memory.bytes.length).toBe(32);
  });

  test('numbers up to 2^53 are written as they are', () => {
    const memory = new GuestMemory(() => ({ buffer: new ArrayBuffer(16) }));
    for (const value of [0, 1, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 40 + 7, 2 ** 53 - 1]) {
      memory.setWide(8, value);
      expect(memory.view.getBigUint64(8, true)).toBe(BigInt(value));
    }
    expect(memory.view.getBigUint64(0, true)).toBe(0n);
    expect(() => memory.setWide(9, 1)).toThrow(RangeError);
  });

  test('ranges do not wrap, and negative numbers are large', () => {
    const memory = new GuestMemory(() => ({ buffer: new ArrayBuffer(16) }));
    expect(memory.holds(16, 0)).toBe(true);
    expect(memory.holds(17, 0)).toBe(false);
    expect(memory.holds(-1, 1)).toBe(false);
    expect(memory.holds(0xffff_fff0, 0x20)).toBe(false);
    expect(memory.holds(1, -1)).toBe(false);
    const none = new GuestMemory(() => ({ buffer: new ArrayBuffer(0) }));
    expect([none.holds(0, 0), none.holds(0, 1)]).toEqual([true, false]);
  });
});

describe('paths', () => {
  const path = (bytes: Uint8Array, length = bytes.length) => {
    const buffer = new ArrayBuffer(8192);
    new Uint8Array(buffer).set(bytes);
    return readPath(new GuestMemory(() => ({ buffer })), 0, length);
  };

  test('are UTF-8 without NUL, neither empty nor too long', () => {
    expect(path(Buffer.from('a/ü'))).toBe('a/ü');
    expect(path(Buffer.from('\ufeffa'))).toBe('\ufeffa');
    expect(path(new Uint8Array(0))).toBe(ERRNO.NOENT);
    expect(path(Buffer.from('a\0b'))).toBe(ERRNO.INVAL);
    expect(path(Uint8Array.of(0xc3))).toBe(ERRNO.ILSEQ);
    expect(path(Uint8Array.of(0xed, 0xa0, 0x80))).toBe(ERRNO.ILSEQ);
    // What a decoder puts in place of what it can't read is a letter like any other.
    expect(path(Buffer.from('\ufffd'))).toBe('\ufffd');
    expect(path(Uint8Array.of(0xef, 0xbf, 0xbd, 0x80))).toBe(ERRNO.ILSEQ);
    expect(path(Uint8Array.of(0xc0, 0xaf))).toBe(ERRNO.ILSEQ);
    expect(path(Uint8Array.of(0xf4, 0x90, 0x80, 0x80))).toBe(ERRNO.ILSEQ);
    expect(path(Buffer.alloc(PATH_BYTES_MAX, 'a'))).toHaveLength(PATH_BYTES_MAX);
    expect(path(Buffer.alloc(PATH_BYTES_MAX + 1, 'a'))).toBe(ERRNO.NAMETOOLONG);
    expect(path(Buffer.from('a'), 9000)).toBe(ERRNO.FAULT);
    expect(path(Buffer.from('a'), -1)).toBe(ERRNO.FAULT);
  });
});
