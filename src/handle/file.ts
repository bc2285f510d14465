/**
 * A regular file that a guest has open below one of its preopened directories.
 *
 * Invariants:
 * 1. `offsetBytes` is the guest's own offset: every read and write says where it happens, so the host's
 *    descriptor can be closed and opened again at any time. Appending alone is left to the host.
 * 2. `hostFd` is -1 exactly while the handle is quiesced or closed.
 * 3. What is open is a regular file, looked at after opening: no pipe, device or socket.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import { FDFLAGS } from '../abi/flags.ts';
import type { Anchor } from './anchor.ts';
import { fastCalls } from './fast-calls.ts';
import type { HandleFacts } from './handle-facts.ts';
import type { Preopen } from './preopens.ts';

export interface FileHandle extends HandleFacts {
  readonly kind: 'file';
  hostFd: number;
  readonly preopen: Preopen;
  /** From the preopened directory, `/` between components, no links; where it was last found. */
  path: string;
  offsetBytes: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Written since it was last made durable. */
  unsynced: boolean;
}

export interface FileAccess {
  readonly readable: boolean;
  readonly writable: boolean;
  /** `fdflags` of preview1. */
  readonly flags: number;
}

/** Flags for opening without any effect but opening: nothing is created or cut. */
export function openFlags(access: FileAccess): number {
  let flags = constants.O_RDONLY;
  if (access.writable) flags = access.readable ? constants.O_RDWR : constants.O_WRONLY;
  if (access.flags & FDFLAGS.APPEND) flags |= constants.O_APPEND;
  if (access.flags & FDFLAGS.DSYNC) flags |= constants.O_DSYNC;
  if (access.flags & (FDFLAGS.SYNC | FDFLAGS.RSYNC)) flags |= constants.O_SYNC;
  // A pipe would block until somebody opens its other end; a terminal would become ours.
  return flags | constants.O_NONBLOCK | constants.O_NOCTTY | constants.O_NOFOLLOW;
}

/** The same for a path that names an open file itself, which is a link to follow. */
export function reopenFlags(access: FileAccess): number {
  return openFlags(access) & ~constants.O_NOFOLLOW;
}

/**
 * Opens `hostPath`, whose last component must not be a link; -errno when that fails. What is neither a
 * regular file nor a directory is refused: NXIO. A directory is ISDIR.
 */
export function openRegularFile(hostPath: string, flags: number): number {
  let fd: number;
  try {
    fd = openSync(hostPath, flags, 0o666);
  } catch (error) {
    return -errnoOf(error);
  }
  return onlyRegular(fd);
}

/** The same for `name` in the directory `anchor`. */
export function openRegularFileIn(anchor: Anchor, name: string, flags: number): number {
  const native = anchor.byDescriptor && (flags & constants.O_CREAT) === 0 ? fastCalls() : null;
  const fd = native === null ? -1 : native.openAt(anchor.fd, name, flags);
  return fd < 0 ? openRegularFile(anchor.prefix + name, flags) : onlyRegular(fd);
}

function onlyRegular(fd: number): number {
  const stats = fstatSync(fd);
  if (stats.isFile()) return fd;
  closeSync(fd);
  return -(stats.isDirectory() ? ERRNO.ISDIR : ERRNO.NXIO);
}

export function closeFile(file: FileHandle): Errno {
  if (file.hostFd < 0) return ERRNO.SUCCESS;
  const fd = file.hostFd;
  file.hostFd = -1;
  try {
    closeSync(fd);
    return ERRNO.SUCCESS;
  } catch (error) {
    return errnoOf(error);
  }
}
