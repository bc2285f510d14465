/**
 * Descriptors from one process to another, over a unix socket (SCM_RIGHTS): whoever receives one may do with
 * it what its sender could, and nothing that a name would have to be trusted for.
 *
 * struct msghdr, 56 bytes: name 0, name length 8, iovec 16, iovecs 24, control 32, control length 40, flags 48.
 * struct cmsghdr: length u64 0, level i32 8, type i32 12, then the descriptors, i32 each.
 */
import { closeSync } from 'node:fs';
import { ERRNO, type Errno } from '../abi/errno.ts';
import { type NativeLibrary, openNativeLibrary } from './library.ts';

const SOL_SOCKET = 1;
const SCM_RIGHTS = 1;
const MSG_NOSIGNAL = 0x4000;
const MSG_CMSG_CLOEXEC = 0x4000_0000;
const MSG_CTRUNC = 8;
const POLLIN = 1;
const HEADER_BYTES = 56;
const CONTROL_HEADER_BYTES = 16;

const SIGNATURES = {
  sendmsg: { arguments: ['int32', 'buffer', 'int32'], return: 'int64' },
  recvmsg: { arguments: ['int32', 'buffer', 'int32'], return: 'int64' },
  poll: { arguments: ['buffer', 'uint64', 'int32'], return: 'int32' },
} as const;

type Library = NativeLibrary<typeof SIGNATURES>;

export interface Received {
  readonly bytes: Uint8Array;
  readonly fds: readonly number[];
}

export interface DescriptorPost {
  /** Sends a few bytes with `fds`, or says what was wrong. */
  send(socketFd: number, bytes: Uint8Array, fds: readonly number[]): Errno;
  /**
   * Waits up to `timeoutMs`, and stops everything else in this thread while it does, for at most `bytesMax`
   * bytes and `fdsMax` descriptors. Null when nothing came in time, when it was more descriptors, or when
   * the sender is gone. The descriptors are the caller's to close.
   */
  receive(
    socketFd: number,
    limits: { readonly bytesMax: number; readonly fdsMax: number; readonly timeoutMs: number },
  ): Received | null;
}

/** Null on a system without. */
export function descriptorPost(): DescriptorPost | null {
  const library = openNativeLibrary(
    SIGNATURES,
    ({ functions, errno }) =>
      Number(functions.sendmsg(-1, new Uint8Array(HEADER_BYTES), 0)) === -1 &&
      errno() === ERRNO.BADF,
  );
  return library === null ? null : withLibrary(library);
}

function withLibrary(library: Library): DescriptorPost {
  const { functions, errno } = library;
  return {
    send: (socketFd, bytes, fds) => {
      const message = layMessage(library, Uint8Array.from(bytes), fds, fds.length);
      const sent = Number(functions.sendmsg(socketFd, message.header, MSG_NOSIGNAL));
      return sent === bytes.length ? ERRNO.SUCCESS : errno();
    },
    receive: (socketFd, { bytesMax, fdsMax, timeoutMs }) => {
      const waited = new Uint8Array(8);
      const wait = new DataView(waited.buffer);
      wait.setInt32(0, socketFd, true);
      wait.setInt16(4, POLLIN, true);
      if (functions.poll(waited, 1n, timeoutMs) !== 1) return null;
      const message = layMessage(library, new Uint8Array(bytesMax), [], fdsMax);
      const count = Number(functions.recvmsg(socketFd, message.header, MSG_CMSG_CLOEXEC));
      if (count < 0) return null;
      const fds = readDescriptors(message);
      const cut = (new DataView(message.header.buffer).getInt32(48, true) & MSG_CTRUNC) !== 0;
      if (count > 0 && !cut) return { bytes: message.bytes.subarray(0, count), fds };
      for (const fd of fds) closeSync(fd);
      return null;
    },
  };
}

/** A message header and everything that it points to; whoever has it keeps all of it alive. */
interface Message {
  readonly header: Uint8Array<ArrayBuffer>;
  readonly vector: BigUint64Array<ArrayBuffer>;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly control: Uint8Array<ArrayBuffer>;
}

function layMessage(
  { addressOf }: Library,
  bytes: Uint8Array<ArrayBuffer>,
  fds: readonly number[],
  fdsMax: number,
): Message {
  // Rounded up as CMSG_SPACE does; at least one byte, so that there is an address.
  const space = fdsMax === 0 ? 0 : CONTROL_HEADER_BYTES + Math.ceil(fdsMax / 2) * 8;
  const control = new Uint8Array(Math.max(space, 8));
  const view = new DataView(control.buffer);
  if (fds.length > 0) {
    view.setBigUint64(0, BigInt(CONTROL_HEADER_BYTES + 4 * fds.length), true);
    view.setInt32(8, SOL_SOCKET, true);
    view.setInt32(12, SCM_RIGHTS, true);
    for (const [at, fd] of fds.entries()) view.setInt32(CONTROL_HEADER_BYTES + 4 * at, fd, true);
  }
  const vector = new BigUint64Array([addressOf(bytes.buffer), BigInt(bytes.length)]);
  const header = new Uint8Array(HEADER_BYTES);
  const fields = new DataView(header.buffer);
  fields.setBigUint64(16, addressOf(vector.buffer), true);
  fields.setBigUint64(24, 1n, true);
  if (space > 0) {
    fields.setBigUint64(32, addressOf(control.buffer), true);
    fields.setBigUint64(40, BigInt(space), true);
  }
  return { header, vector, bytes, control };
}

function readDescriptors({ header, control }: Message): number[] {
  const controlBytes = Number(new DataView(header.buffer).getBigUint64(40, true));
  const view = new DataView(control.buffer);
  if (controlBytes < CONTROL_HEADER_BYTES) return [];
  if (view.getInt32(8, true) !== SOL_SOCKET || view.getInt32(12, true) !== SCM_RIGHTS) return [];
  const end = Math.min(Number(view.getBigUint64(0, true)), controlBytes);
  const fds: number[] = [];
  for (let at = CONTROL_HEADER_BYTES; at + 4 <= end; at += 4) fds.push(view.getInt32(at, true));
  return fds;
}
