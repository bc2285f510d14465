/**
 * Who is at the other end of a unix socket, as the kernel knows it: SO_PEERCRED, which is what the peer was
 * when it connected (or, for one that listens, when it began to). Nothing that the peer sends can change it.
 *
 * struct ucred: pid i32 at 0, uid u32 at 4, gid u32 at 8.
 */
import { readFileSync } from 'node:fs';
import type { Socket } from 'node:net';
import { ERRNO } from '../abi/errno.ts';
import { assert } from '../fault/assert.ts';
import { openNativeLibrary } from './library.ts';

export interface Peer {
  readonly pid: number;
  readonly uid: number;
  readonly gid: number;
}

const SOL_SOCKET = 1;
const SO_PEERCRED = 17;
const UCRED_BYTES = 12;
/** The kernel's own default. */
const OVERFLOW_UID_DEFAULT = 65_534;

const SIGNATURES = {
  getsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
} as const;

/** How to ask the kernel, or null on a system that has no such question. */
export function peerReader(): ((socketFd: number) => Peer | null) | null {
  const library = openNativeLibrary(SIGNATURES, ({ functions, errno }) => {
    const nothing = new Uint8Array(UCRED_BYTES);
    const asked = functions.getsockopt(-1, SOL_SOCKET, SO_PEERCRED, nothing, sizeOf(nothing));
    return asked === -1 && errno() === ERRNO.BADF;
  });
  if (library === null) return null;
  const { functions } = library;
  return (socketFd) => {
    const bytes = new Uint8Array(UCRED_BYTES);
    const size = sizeOf(bytes);
    if (functions.getsockopt(socketFd, SOL_SOCKET, SO_PEERCRED, bytes, size) !== 0) return null;
    const view = new DataView(bytes.buffer);
    const pid = view.getInt32(0, true);
    // Not a socket of this kind, or one that nobody is connected to.
    if (new DataView(size.buffer).getUint32(0, true) !== UCRED_BYTES || pid === 0) return null;
    return { pid, uid: view.getUint32(4, true), gid: view.getUint32(8, true) };
  };
}

function sizeOf(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(new Uint32Array([bytes.length]).buffer);
}

/**
 * The user id that stands for everybody whom this system has no id for, such as users of a container that are
 * mapped to none. It belongs to nobody.
 */
export function overflowUid(): number {
  try {
    return Number(readFileSync('/proc/sys/kernel/overflowuid', 'latin1'));
  } catch {
    return OVERFLOW_UID_DEFAULT;
  }
}

/** The descriptor that Node has for an open socket; it has no public name. */
export function socketFd(socket: Socket): number {
  const { _handle: handle } = socket as unknown as { _handle: { readonly fd: number } | null };
  assert(handle !== null && handle.fd >= 0, 'an open socket has a descriptor');
  return handle.fd;
}
