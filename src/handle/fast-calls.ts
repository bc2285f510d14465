/**
 * File operations that Node offers, too, with less around them: through `node:ffi`, from an open directory
 * instead of a path through `/proc`.
 *
 *   openat       a third of the time of opening `/proc/self/fd/N/name`
 *   getdents64   names, types and inode numbers at once: Node gives no inode numbers
 *   clock_gettime  processor time to the nanosecond: Node's moves on with the scheduler's ticks
 *
 * Invariants:
 * 1. Each answers -1 when it failed, and tells nothing more: the caller then asks Node for the same, which
 *    does it or says why. So no errno is read, and where FFI is absent only time is lost.
 * 2. Calls of at most three parameters: Node makes longer ones several times as slow.
 *
 * Reading and writing are not among them: alone, `read` takes less than `readSync`, called from a guest it
 * takes more, as the engine then does not build in the short way to it.
 *
 * Which processes have FFI: see `native-calls.ts`.
 */
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';

export interface FastCalls {
  /** Opens what `name`, one component, is in the directory `fd`; creates nothing. The descriptor or -1. */
  openAt(fd: number, name: string, flags: number): number;
  /** Entries of the open directory `fd` as the kernel writes them, from where it stands: bytes or -1. */
  readDirectory(fd: number, into: Uint8Array): number;
  /** Processor time of this thread in nanoseconds, or -1. */
  threadCpuNs(): bigint;
}

const SIGNATURES = {
  openat: { arguments: ['int32', 'string', 'int32'], return: 'int32' },
  clock_gettime: { arguments: ['int32', 'buffer'], return: 'int32' },
  getdents64: { arguments: ['int32', 'buffer', 'uint32'], return: 'int32' },
} as const;

/** On every Linux. */
const CLOCK_THREAD_CPUTIME_ID = 3;
/** `struct timespec`: seconds, nanoseconds. */
const timespec = new BigInt64Array(2);

let loaded: FastCalls | null | undefined;

/** The calls, or null where there are none. */
export function fastCalls(): FastCalls | null {
  if (loaded === undefined) {
    // A signature that Node understood differently shows here: no descriptor is -1.
    const library = openNativeLibrary(
      SIGNATURES,
      ({ functions }) => functions.openat(-1, '.', 0) === -1,
    );
    loaded = library === null ? null : withFunctions(library.functions);
  }
  return loaded;
}

function withFunctions(library: NativeLibrary<typeof SIGNATURES>['functions']): FastCalls {
  return {
    openAt: (fd, name, flags) => library.openat(fd, name, flags) as number,
    threadCpuNs: () => {
      if (library.clock_gettime(CLOCK_THREAD_CPUTIME_ID, timespec) !== 0) return -1n;
      return timespec[0]! * 1_000_000_000n + timespec[1]!;
    },
    readDirectory: (fd, into) => library.getdents64(fd, into, into.length) as number,
  };
}
