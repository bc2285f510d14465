/**
 * What pools need of the C library and Node does not offer, through `node:ffi`.
 *
 *   flock        a lock on a whole file, and
 *   fcntl        locks of ranges of a file (F_OFD_SETLK): both belong to an open file and die with it
 *   fdatasync    refused by Node when the permission model is on
 *   fallocate    so that a mapped file can't run out of disk while somebody writes into it
 *   mmap, munmap shared memory
 *
 * Linux with 64-bit pointers only; null elsewhere, and the callers do without (`pool-locks.ts`,
 * `shared-bytes.ts`).
 */
import { constants } from 'node:os';
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';

export interface PoolCalls {
  /** Bytes of a page of memory: what places of mappings are multiples of. */
  readonly memoryPageBytes: number;
  /** Whether the lock on the whole file could be had at once. It knows nothing of locks on bytes. */
  lockFile(fd: number): boolean;
  unlockFile(fd: number): void;
  /** Whether the lock on one byte of the file could be had at once. */
  lock(fd: number, at: bigint): boolean;
  unlock(fd: number, at: bigint): void;
  /** Whether another open file has a lock on any of the bytes. */
  isLocked(fd: number, at: bigint, lengthBytes: bigint): boolean;
  /** 0 or the system's number of the error, as the two below. */
  dataSync(fd: number): number;
  allocate(fd: number, lengthBytes: number): number;
  /** The address of a new shared mapping of the file's first bytes; null when the system refuses. */
  map(fd: number, lengthBytes: number): bigint | null;
  unmap(address: bigint, lengthBytes: number): void;
  /** Puts a shared mapping in the place of whatever is at `address`. False: refused, nothing changed. */
  mapAt(address: bigint, lengthBytes: number, fd: number, offsetBytes: number): boolean;
  /** Puts fresh private pages of zeros in the place of whatever is at `address`. */
  clearAt(address: bigint, lengthBytes: number): boolean;
  /** The bytes at `address`, not copied: they must stay mapped as long as the result is used. */
  view(address: bigint, lengthBytes: number): ArrayBuffer;
  addressOf(buffer: ArrayBufferLike): bigint;
}

const LOCK_EX_NB = 6;
const LOCK_UN = 8;
const F_OFD_GETLK = 36;
const F_OFD_SETLK = 37;
const F_WRLCK = 1;
const F_UNLCK = 2;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
const MAP_PRIVATE = 2;
const MAP_FIXED = 0x10;
const MAP_ANONYMOUS = 0x20;
const NOWHERE = 0n;
const MAP_FAILED = 2n ** 64n - 1n;

/** `struct flock`: type i16 0, whence i16 2, start i64 8, length i64 16, pid i32 24. */
const FLOCK_BYTES = 32;

const SIGNATURES = {
  flock: { arguments: ['int32', 'int32'], return: 'int32' },
  fcntl: { arguments: ['int32', 'int32', 'pointer'], return: 'int32' },
  fdatasync: { arguments: ['int32'], return: 'int32' },
  fallocate: { arguments: ['int32', 'int32', 'int64', 'int64'], return: 'int32' },
  mmap: {
    arguments: ['pointer', 'uint64', 'int32', 'int32', 'int32', 'int64'],
    return: 'pointer',
  },
  munmap: { arguments: ['pointer', 'uint64'], return: 'int32' },
  getpagesize: { arguments: [], return: 'int32' },
} as const;

let loaded: PoolCalls | null | undefined;

/** The calls, or null where there are none. */
export function poolCalls(): PoolCalls | null {
  if (loaded === undefined) {
    // Signatures that Node understood differently show here: no descriptor is -1.
    const library = openNativeLibrary(
      SIGNATURES,
      ({ functions, hostErrno }) =>
        functions.fdatasync(-1) === -1 && hostErrno() === constants.errno.EBADF,
    );
    loaded = library === null ? null : withLibrary(library);
  }
  return loaded;
}

function withLibrary(native: NativeLibrary<typeof SIGNATURES>): PoolCalls {
  const { functions: library, hostErrno } = native;
  const done = (result: number | bigint): number => (result === 0 ? 0 : hostErrno());
  // Filled anew for each call. Its address is taken once: passing the buffer itself costs more.
  const flock = new DataView(new ArrayBuffer(FLOCK_BYTES));
  const flockAt = native.addressOf(flock.buffer);
  const locking = (fd: number, command: number, type: number, at: bigint, length: bigint) => {
    flock.setInt16(0, type, true);
    flock.setBigInt64(8, at, true);
    flock.setBigInt64(16, length, true);
    flock.setInt32(24, 0, true);
    return library.fcntl(fd, command, flockAt);
  };
  const mapped = (address: unknown): address is bigint =>
    typeof address === 'bigint' && address !== MAP_FAILED && address !== -1n;
  return {
    memoryPageBytes: Number(library.getpagesize()),
    lockFile: (fd) => library.flock(fd, LOCK_EX_NB) === 0,
    unlockFile: (fd) => {
      library.flock(fd, LOCK_UN);
    },
    lock: (fd, at) => locking(fd, F_OFD_SETLK, F_WRLCK, at, 1n) === 0,
    unlock: (fd, at) => {
      locking(fd, F_OFD_SETLK, F_UNLCK, at, 1n);
    },
    isLocked: (fd, at, length) => {
      locking(fd, F_OFD_GETLK, F_WRLCK, at, length);
      return flock.getInt16(0, true) !== F_UNLCK;
    },
    dataSync: (fd) => done(library.fdatasync(fd)),
    allocate: (fd, length) => done(library.fallocate(fd, 0, 0n, BigInt(length))),
    map: (fd, length) => {
      const address = library.mmap(NOWHERE, BigInt(length), PROT_READ_WRITE, MAP_SHARED, fd, 0n);
      return mapped(address) ? address : null;
    },
    unmap: (address, length) => {
      library.munmap(address, BigInt(length));
    },
    mapAt: (address, length, fd, offset) =>
      mapped(
        library.mmap(
          address,
          BigInt(length),
          PROT_READ_WRITE,
          MAP_SHARED | MAP_FIXED,
          fd,
          BigInt(offset),
        ),
      ),
    clearAt: (address, length) =>
      mapped(
        library.mmap(
          address,
          BigInt(length),
          PROT_READ_WRITE,
          MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED,
          -1,
          0n,
        ),
      ),
    view: native.view,
    addressOf: native.addressOf,
  };
}
