/**
 * File operations that Node doesn't offer, or not under its permission model, through `node:ffi`.
 *
 *   fsync, fdatasync       refused by Node when the permission model is on
 *   syncfs                 Node has none
 *   futimens, utimensat    Node sets times in microseconds at best
 *   fallocate              Node has none
 *   symlink                Node wants grants of the whole file system for it
 *
 * None is required: where FFI is absent or not allowed (`--allow-ffi`), `nativeCalls` is null and the
 * callers fall back to what Node does. Linux with 64-bit pointers only, where `time_t` and `off_t` are
 * i64; the signatures below are the whole of what can be called.
 *
 * Loaded at the first use: it takes some milliseconds, and most guests never need it.
 */
import { ERRNO, type Errno } from '../abi/errno.ts';
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';

/** A time to set: nanoseconds since 1970, or to leave it, or the moment of the call. */
export type TimeToSet = bigint | 'keep' | 'now';

export interface NativeCalls {
  sync(fd: number): Errno;
  /** Of the whole file system that `fd` is on. */
  syncAround(fd: number): Errno;
  dataSync(fd: number): Errno;
  setTimes(fd: number, atime: TimeToSet, mtime: TimeToSet): Errno;
  /** Of what `path` names, also if that is a symbolic link. */
  setTimesAt(path: string, atime: TimeToSet, mtime: TimeToSet): Errno;
  allocate(fd: number, offsetBytes: bigint, lengthBytes: bigint): Errno;
  symlink(target: string, path: string): Errno;
}

const AT_FDCWD = -100;
const AT_SYMLINK_NOFOLLOW = 0x100;
const UTIME_NOW = 0x3fffffffn;
const UTIME_OMIT = 0x3ffffffen;
const NS = 1_000_000_000n;

const SIGNATURES = {
  fsync: { arguments: ['int32'], return: 'int32' },
  syncfs: { arguments: ['int32'], return: 'int32' },
  fdatasync: { arguments: ['int32'], return: 'int32' },
  futimens: { arguments: ['int32', 'buffer'], return: 'int32' },
  utimensat: { arguments: ['int32', 'string', 'buffer', 'int32'], return: 'int32' },
  fallocate: { arguments: ['int32', 'int32', 'int64', 'int64'], return: 'int32' },
  symlink: { arguments: ['string', 'string'], return: 'int32' },
} as const;

let loaded: NativeCalls | null | undefined;

/** The calls, or null where there are none. */
export function nativeCalls(): NativeCalls | null {
  if (loaded === undefined) {
    // A signature that Node understood differently shows here: no descriptor is -1.
    const library = openNativeLibrary(
      SIGNATURES,
      ({ functions, errno }) => functions.fsync(-1) === -1 && errno() === ERRNO.BADF,
    );
    loaded = library === null ? null : withLibrary(library);
  }
  return loaded;
}

function withLibrary({ functions: library, errno }: NativeLibrary<typeof SIGNATURES>): NativeCalls {
  const done = (result: number | bigint): Errno => (result === 0 ? ERRNO.SUCCESS : errno());
  return {
    sync: (fd) => done(library.fsync(fd)),
    syncAround: (fd) => done(library.syncfs(fd)),
    dataSync: (fd) => done(library.fdatasync(fd)),
    setTimes: (fd, atime, mtime) => done(library.futimens(fd, timespecs(atime, mtime))),
    setTimesAt: (path, atime, mtime) =>
      done(library.utimensat(AT_FDCWD, path, timespecs(atime, mtime), AT_SYMLINK_NOFOLLOW)),
    allocate: (fd, offset, length) => done(library.fallocate(fd, 0, offset, length)),
    symlink: (target, path) => done(library.symlink(target, path)),
  };
}

/** Two `struct timespec`: seconds i64, nanoseconds i64. */
function timespecs(atime: TimeToSet, mtime: TimeToSet): Uint8Array {
  const words = new BigInt64Array(4);
  for (const [index, time] of [atime, mtime].entries()) {
    if (typeof time === 'bigint') {
      words[index * 2] = time / NS;
      words[index * 2 + 1] = time % NS;
    } else {
      words[index * 2 + 1] = time === 'now' ? UTIME_NOW : UTIME_OMIT;
    }
  }
  return new Uint8Array(words.buffer);
}
