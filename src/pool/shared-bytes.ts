/**
 * The bytes of a file that several processes work on at once: mapped where that is possible, else read and
 * written in place. On Linux both see the same bytes. Little-endian; offsets in bytes from the start.
 *
 * Invariants:
 * 1. `setU64` is one store or one write of eight bytes: nobody who dies on the way leaves half of it.
 * 2. Whoever reads or writes here holds the lock that the file's owner set; nothing here waits.
 */
import { readSync, writeSync } from 'node:fs';
import type { PoolCalls } from './pool-calls.ts';

export interface SharedBytes {
  u32(at: number): number;
  setU32(at: number, value: number): void;
  u64(at: number): bigint;
  /** `at` is a multiple of 8. */
  setU64(at: number, value: bigint): void;
  /** Fills `into` from `at`. */
  read(at: number, into: Uint8Array): void;
  write(at: number, from: Uint8Array): void;
  /** Copies within the file. */
  copy(from: number, to: number, lengthBytes: number): void;
  close(): void;
}

/** null: the system does not map the file. */
export function mappedBytes(calls: PoolCalls, fd: number, lengthBytes: number): SharedBytes | null {
  const address = calls.map(fd, lengthBytes);
  if (address === null) return null;
  const buffer = calls.view(address, lengthBytes);
  const view = new DataView(buffer);
  const bytes = new Uint8Array(buffer);
  const wide = new BigUint64Array(buffer, 0, lengthBytes >>> 3);
  return {
    u32: (at) => view.getUint32(at, true),
    setU32: (at, value) => view.setUint32(at, value, true),
    u64: (at) => wide[at / 8]!,
    setU64: (at, value) => {
      wide[at / 8] = value;
    },
    read: (at, into) => into.set(bytes.subarray(at, at + into.length)),
    write: (at, from) => bytes.set(from, at),
    copy: (from, to, length) => bytes.copyWithin(to, from, from + length),
    close: () => calls.unmap(address, lengthBytes),
  };
}

/** The same by reads and writes of the open file `fd`. */
export function fileBytes(fd: number): SharedBytes {
  const word = Buffer.alloc(8);
  const get = (at: number, length: number): void => {
    const got = readSync(fd, word, 0, length, at);
    word.fill(0, got, length);
  };
  const read = (at: number, into: Uint8Array): void => {
    let got = 0;
    while (got < into.length) {
      const count = readSync(fd, into, got, into.length - got, at + got);
      if (count === 0) break;
      got += count;
    }
    into.fill(0, got);
  };
  const write = (at: number, from: Uint8Array): void => {
    let done = 0;
    while (done < from.length) done += writeSync(fd, from, done, from.length - done, at + done);
  };
  return {
    u32: (at) => {
      get(at, 4);
      return word.readUInt32LE(0);
    },
    setU32: (at, value) => {
      word.writeUInt32LE(value, 0);
      writeSync(fd, word, 0, 4, at);
    },
    u64: (at) => {
      get(at, 8);
      return word.readBigUInt64LE(0);
    },
    setU64: (at, value) => {
      word.writeBigUInt64LE(value, 0);
      writeSync(fd, word, 0, 8, at);
    },
    read,
    write,
    copy: (from, to, length) => {
      const bytes = new Uint8Array(length);
      read(from, bytes);
      write(to, bytes);
    },
    close: () => undefined,
  };
}
