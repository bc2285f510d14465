/**
 * How an open file goes through a checkpoint: made durable, closed, opened again at the same offset.
 *
 * Invariants:
 * 1. Nothing is closed before everything that could refuse the checkpoint was looked at.
 * 2. Opening again creates, cuts and writes nothing: what `path_open` did once is not done again.
 * 3. It is the same file: its inode and, where the host knows it, the time of its birth. Inode numbers
 *    alone are given out again soon after a file is gone.
 * 4. It is as long as it was or has grown: what was there before has not been cut off.
 * 5. A file without a name left is found by nobody again: its contents are in the image instead, and in
 *    another process it is a new file that holds them (`unnamed-files.ts`).
 */
import { closeSync, fstatSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { FDFLAGS_ALL } from '../abi/flags.ts';
import { PATH_BYTES_MAX } from '../abi/guest-string.ts';
import { RIGHT, RIGHTS_ALL, RIGHTS_OF_FILES, RIGHTS_OF_WRITING } from '../abi/rights.ts';
import { boolean, i64, integer, mapOf, nullable, type ShapeOf, text, u64 } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode } from '../fault/io-failure.ts';
import { pathOfDescriptor } from './anchor.ts';
import { syncFile } from './durability.ts';
import { type FileHandle, openFlags, openRegularFile, reopenFlags } from './file.ts';
import { locate } from './locate.ts';
import { type Preopen, shownPath } from './preopens.ts';
import { numberInView, openInView } from './private-files.ts';
import { changed, grantedPreopen, notCapturable, refuseIfAsked } from './refusals.ts';
import { identityOf } from './undo-record.ts';
import type { UnnamedFiles } from './unnamed-files.ts';
import { endWalk, hostPathOf, startWalk, walkedPath } from './walk.ts';

export const fileShape = mapOf({
  /** The guest's name of the preopened directory. */
  preopen: text(PATH_BYTES_MAX),
  path: text(PATH_BYTES_MAX),
  /** Number of its contents in the image, when it has no name left; what follows up to `mtimeNs` doesn't count then. */
  unnamed: nullable(integer(0)),
  /** Number of the file in its directory's private view (`private-state.ts`). */
  inView: nullable(integer(0)),
  dev: u64,
  ino: u64,
  /** Nanoseconds since 1970; 0 where the host doesn't know. */
  birthtimeNs: i64,
  sizeBytes: u64,
  /** A hint for people: others may write to the file. */
  mtimeNs: i64,
  offsetBytes: integer(0),
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
  rightsInheriting: integer(0, RIGHTS_ALL),
  readable: boolean,
  writable: boolean,
});

export type FileState = ShapeOf<typeof fileShape>;

/** Throws HostError ERR_NOT_CAPTURABLE or ERR_IO; the file stays open in any case. */
export function captureFile(file: FileHandle, unnamed: UnnamedFiles): FileState {
  const { grant } = file.preopen;
  refuseIfAsked(file.preopen, file.path);
  const stats = fstatSync(file.hostFd, { bigint: true });
  const inView = numberInView(file, unnamed.allowance);
  const links = file.preopen.rollback?.linksOf(stats) ?? stats.nlink;
  const nameless = links === 0n && inView === null ? carry(file, unnamed) : null;
  if (nameless === null && inView === null) {
    const path = locate(file.preopen, file.path, file.hostFd, stats);
    if (path === null) {
      throw notCapturable(grant, file.path, 'was deleted or moved out of the directory');
    }
    file.path = path;
    makeDurable(file);
  }
  return {
    preopen: grant.guestPath,
    path: file.path,
    unnamed: nameless,
    inView,
    dev: stats.dev,
    ino: stats.ino,
    birthtimeNs: stats.birthtimeNs,
    sizeBytes: stats.size,
    mtimeNs: stats.mtimeNs,
    offsetBytes: file.offsetBytes,
    flags: file.flags,
    rights: file.rights,
    rightsInheriting: file.rightsInheriting,
    readable: file.readable,
    writable: file.writable,
  };
}

/** Opens the file again below today's grants. Throws HostError ERR_RESOURCE_CHANGED or _NOT_GRANTED. */
export function rebuildFile(
  state: FileState,
  { preopens, unnamed }: { readonly preopens: readonly Preopen[]; readonly unnamed: UnnamedFiles },
): FileHandle {
  const preopen = grantedPreopen(preopens, state.preopen, { readOnly: !state.writable });
  const { hostFd, path } = openAgain(state, preopen, unnamed);
  return {
    kind: 'file',
    hostFd,
    preopen,
    path,
    offsetBytes: state.offsetBytes,
    flags: state.flags,
    rights: state.rights & possibleRights(state),
    rightsInheriting: state.rightsInheriting & RIGHTS_OF_FILES,
    readable: state.readable,
    writable: state.writable,
    unsynced: false,
  };
}

interface OpenedAgain {
  readonly hostFd: number;
  readonly path: string;
}

function openAgain(state: FileState, preopen: Preopen, unnamed: UnnamedFiles): OpenedAgain {
  const { path } = state;
  if (state.inView !== null) return { hostFd: openViewed(state, state.inView, preopen), path };
  if (state.unnamed === null) return openByPath(state, preopen);
  return { hostFd: openUnnamed(state, preopen, unnamed.pathOf(state.unnamed)), path };
}

function openViewed(state: FileState, inView: number, preopen: Preopen): number {
  const { hostFd, isLower } = openInView(preopen, inView, state);
  if (hostFd < 0) throw changed(preopen.grant, state.path, lostBy(-hostFd));
  const difference = isLower ? differenceOf(hostFd, state, preopen) : null;
  if (difference === null) return hostFd;
  closeSync(hostFd);
  throw changed(preopen.grant, state.path, difference);
}

function openByPath(state: FileState, preopen: Preopen): OpenedAgain {
  const { grant } = preopen;
  const walk = startWalk(preopen.root, state.path);
  if (typeof walk === 'number') throw changed(grant, state.path, lostBy(walk));
  let hostFd: number;
  let path: string;
  try {
    hostFd = openRegularFile(hostPathOf(walk), openFlags(state));
    path = walkedPath(walk);
  } finally {
    endWalk(walk);
  }
  if (hostFd < 0) throw changed(grant, state.path, lostBy(-hostFd));
  const difference = differenceOf(hostFd, state, preopen);
  if (difference !== null) {
    closeSync(hostFd);
    throw changed(grant, state.path, difference);
  }
  return { hostFd, path };
}

/** Opens contents that came with the image; they are nobody else's. */
function openUnnamed(state: FileState, { grant }: Preopen, path: string | null): number {
  const hostFd = path === null ? -ERRNO.NOENT : openRegularFile(path, reopenFlags(state));
  if (hostFd < 0) throw changed(grant, state.path, lostBy(-hostFd));
  return hostFd;
}

/** Takes the contents of a file without a name; their number. Throws HostError. */
function carry(file: FileHandle, unnamed: UnnamedFiles): number {
  const { grant, root } = file.preopen;
  let carried: number | string;
  try {
    carried = unnamed.capture(file.hostFd, pathOfDescriptor(file.hostFd, root));
  } catch (error) {
    carried = `was deleted and can't be read: ${errorCode(error) ?? 'unknown error'}`;
  }
  if (typeof carried === 'string') throw notCapturable(grant, file.path, carried);
  return carried;
}

function makeDurable(file: FileHandle): void {
  if (!file.unsynced) return;
  const errno = syncFile(file.hostFd, true);
  // A process without any way to sync says NOTSUP: its files are as durable as the kernel makes them.
  if (errno !== ERRNO.SUCCESS && errno !== ERRNO.NOTSUP) {
    const shown = shownPath(file.preopen.grant, file.path);
    throw new HostError('ERR_IO', `What the guest wrote to ${shown} could not be made durable.`, {
      facts: { path: shown, errno },
    });
  }
  file.unsynced = false;
}

function differenceOf(hostFd: number, state: FileState, { rollback }: Preopen): string | null {
  const stats = fstatSync(hostFd, { bigint: true });
  const was = rollback?.chain.successorOf(identityOf(state)) ?? state;
  const isOther =
    stats.ino !== was.ino ||
    stats.dev !== was.dev ||
    (was.birthtimeNs !== 0n && stats.birthtimeNs !== was.birthtimeNs);
  if (isOther) return 'was replaced by another file';
  if (stats.size < state.sizeBytes) return 'was cut short';
  return null;
}

function lostBy(errno: number): string {
  if (errno === ERRNO.NOENT) return 'is gone';
  if (errno === ERRNO.ISDIR || errno === ERRNO.NXIO || errno === ERRNO.LOOP) {
    return 'was replaced by something that is no file';
  }
  if (errno === ERRNO.ACCES || errno === ERRNO.PERM || errno === ERRNO.ROFS) {
    return 'became inaccessible';
  }
  if (errno === ERRNO.NOTCAPABLE) return 'leads out of the directory';
  return 'can no longer be reached';
}

function possibleRights(state: FileState): number {
  let rights = RIGHTS_OF_FILES;
  if (!state.writable) rights &= ~RIGHTS_OF_WRITING;
  if (!state.readable) rights &= ~RIGHT.FD_READ;
  return rights;
}
