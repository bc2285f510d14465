/**
 * What Node lacks for descriptors that are read and written by turns on the guest's thread: waiting for
 * several of them at once, sockets without an event loop, and the offset of an open file.
 *
 *   ppoll                      waits for descriptors, with a limit in nanoseconds
 *   eventfd                    a descriptor that another thread makes ready to end such a wait
 *   accept4, recv, send, shutdown   sockets, never blocking, never a signal
 *   ioctl(FIONREAD)            how many bytes wait to be read
 *   lseek                      where an open file stands
 *
 * Structures, little-endian: pollfd 8 bytes (fd i32 0, events i16 4, revents i16 6), timespec 16 bytes
 * (seconds i64 0, nanoseconds i64 8).
 *
 * Loaded at the first use. Null where there is no FFI (`native/library.ts`): callers then do without, or
 * refuse by name what can't be done.
 */
import { writeSync } from 'node:fs';
import { ERRNO, type Errno } from '../abi/errno.ts';
import { assert } from '../fault/assert.ts';
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';
import type { AwaitedDescriptor } from '../resource/pause.ts';

/** What is so of a descriptor. Broken: an error, or closed by the other side in both directions. */
export interface Readiness {
  readonly read: boolean;
  readonly write: boolean;
  /** The other side is gone, or will send no more. */
  readonly hangup: boolean;
}

export interface NativeDescriptors {
  /** Waits until one is ready or `timeoutNs` passed (null: no limit); may come back early. */
  poll(awaited: readonly AwaitedDescriptor[], timeoutNs: bigint | null): readonly Readiness[];
  /** A descriptor that is ready to read from `makeReady` until `drain`. */
  createWake(): number;
  drain(wakeFd: number): void;
  /** Bytes that wait to be read; 0 where that is not known. */
  waitingBytes(fd: number): number;
  /** Bytes from the start of the file; null for what has no offset. */
  offset(fd: number): number | null;
  moveTo(fd: number, offsetBytes: number): void;
  /** The new connection's descriptor, which never blocks; or minus an errno. */
  accept(fd: number): number;
  /** Bytes put into `into` (at least 1 long), 0 at the end; or minus an errno. */
  receive(fd: number, into: Uint8Array, peek: boolean): number;
  /** Bytes sent of `bytes`; or minus an errno. */
  send(fd: number, bytes: Uint8Array): number;
  shutdown(fd: number, how: 'read' | 'write' | 'both'): Errno;
}

const POLLIN = 0x1;
const POLLOUT = 0x4;
const POLLERR = 0x8;
const POLLHUP = 0x10;
const POLLNVAL = 0x20;
const POLLRDHUP = 0x2000;
const BROKEN = POLLERR | POLLHUP | POLLNVAL;
const POLLFD_BYTES = 8;
const TIMESPEC_BYTES = 16;
const NS = 1_000_000_000n;

const O_NONBLOCK = 0x800;
const O_CLOEXEC = 0x8_0000;
const MSG_PEEK = 0x2;
const MSG_DONTWAIT = 0x40;
const MSG_NOSIGNAL = 0x4000;
const FIONREAD = 0x541bn;
const SEEK_SET = 0;
const SEEK_CUR = 1;
const SHUT = { read: 0, write: 1, both: 2 } as const;

const SIGNATURES = {
  ppoll: { arguments: ['buffer', 'uint64', 'buffer', 'pointer'], return: 'int32' },
  eventfd: { arguments: ['uint32', 'int32'], return: 'int32' },
  read: { arguments: ['int32', 'buffer', 'uint64'], return: 'int64' },
  ioctl: { arguments: ['int32', 'uint64', 'buffer'], return: 'int32' },
  lseek: { arguments: ['int32', 'int64', 'int32'], return: 'int64' },
  accept4: { arguments: ['int32', 'pointer', 'pointer', 'int32'], return: 'int32' },
  recv: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
  send: { arguments: ['int32', 'buffer', 'uint64', 'int32'], return: 'int64' },
  shutdown: { arguments: ['int32', 'int32'], return: 'int32' },
} as const;

let loaded: NativeDescriptors | null | undefined;

/** The calls, or null where there are none. */
export function nativeDescriptors(): NativeDescriptors | null {
  if (loaded === undefined) {
    // Signatures that Node understood differently show here: no descriptor is -1.
    const library = openNativeLibrary(
      SIGNATURES,
      ({ functions, errno }) => functions.shutdown(-1, 0) === -1 && errno() === ERRNO.BADF,
    );
    loaded = library === null ? null : withLibrary(library);
  }
  return loaded;
}

const ONE = new BigUint64Array([1n]);

/** Makes the descriptor of `createWake` ready; from any thread, also without FFI. */
export function makeReady(wakeFd: number): void {
  writeSync(wakeFd, ONE);
}

function withLibrary(library: NativeLibrary<typeof SIGNATURES>): NativeDescriptors {
  const { functions } = library;
  const number = new Uint8Array(8);
  const numberView = new DataView(number.buffer);
  const done = (result: number | bigint): number =>
    result < 0 ? -library.errno() : Number(result);

  function poll(
    awaited: readonly AwaitedDescriptor[],
    timeoutNs: bigint | null,
  ): readonly Readiness[] {
    const entries = new Uint8Array(awaited.length * POLLFD_BYTES);
    const view = new DataView(entries.buffer);
    for (const [index, { hostFd, read, write }] of awaited.entries()) {
      view.setInt32(index * POLLFD_BYTES, hostFd, true);
      const events = (read ? POLLIN | POLLRDHUP : 0) | (write ? POLLOUT : 0);
      view.setInt16(index * POLLFD_BYTES + 4, events, true);
    }
    const result = functions.ppoll(entries, BigInt(awaited.length), timespecOf(timeoutNs), 0n);
    if (result < 0) {
      const errno = library.errno();
      assert(errno === ERRNO.INTR || errno === ERRNO.NOMEM, 'descriptors can be waited for');
      return awaited.map(() => NOT_READY);
    }
    return awaited.map((_, index) => readinessOf(view.getInt16(index * POLLFD_BYTES + 6, true)));
  }

  return {
    poll,
    createWake: () => {
      const fd = done(functions.eventfd(0, O_CLOEXEC | O_NONBLOCK));
      assert(fd > 0, 'there is room for one more descriptor at the start');
      return fd;
    },
    drain: (wakeFd) => {
      functions.read(wakeFd, number, 8n);
    },
    waitingBytes: (fd) =>
      functions.ioctl(fd, FIONREAD, number) === 0 ? numberView.getInt32(0, true) : 0,
    offset: (fd) => {
      const at = Number(functions.lseek(fd, 0n, SEEK_CUR));
      return at < 0 ? null : at;
    },
    moveTo: (fd, offsetBytes) => {
      functions.lseek(fd, BigInt(offsetBytes), SEEK_SET);
    },
    accept: (fd) => done(functions.accept4(fd, 0n, 0n, O_CLOEXEC | O_NONBLOCK)),
    receive: (fd, into, peek) =>
      done(functions.recv(fd, into, BigInt(into.length), MSG_DONTWAIT | (peek ? MSG_PEEK : 0))),
    send: (fd, bytes) =>
      done(functions.send(fd, bytes, BigInt(bytes.length), MSG_DONTWAIT | MSG_NOSIGNAL)),
    shutdown: (fd, how) =>
      functions.shutdown(fd, SHUT[how]) === 0 ? ERRNO.SUCCESS : library.errno(),
  };
}

const NOT_READY: Readiness = { read: false, write: false, hangup: false };

function readinessOf(events: number): Readiness {
  if (events === 0) return NOT_READY;
  const broken = (events & BROKEN) !== 0;
  return {
    read: broken || (events & (POLLIN | POLLRDHUP)) !== 0,
    write: broken || (events & POLLOUT) !== 0,
    hangup: broken || (events & POLLRDHUP) !== 0,
  };
}

/** Longer than any clock of ours gets, so that no sum passes 64 bits. */
const TIMEOUT_NS_MAX = 2n ** 62n;

function timespecOf(timeoutNs: bigint | null): Uint8Array | null {
  if (timeoutNs === null) return null;
  const ns = timeoutNs < 0n ? 0n : timeoutNs < TIMEOUT_NS_MAX ? timeoutNs : TIMEOUT_NS_MAX;
  const words = new BigInt64Array(TIMESPEC_BYTES / 8);
  words[0] = ns / NS;
  words[1] = ns % NS;
  return new Uint8Array(words.buffer);
}
