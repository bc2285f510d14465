/**
 * Changing names below a granted directory, in whatever way its policy asks for.
 *
 * The work is handed in: it is done if what was there could be written down, where that is needed. What it
 * throws is passed on.
 */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { DirectoryHandle } from './directory.ts';
import type { FileHandle } from './file.ts';
import { locate } from './locate.ts';
import { joined } from './private-view.ts';
import type { MadeKind } from './undo-record.ts';
import { hostPathOf, statsHere, type Walk } from './walk.ts';

/** The end of a walk, and the handle that it began at. */
export interface Place {
  readonly directory: DirectoryHandle;
  readonly walk: Walk;
}

/** Makes a name that is not there yet. */
export function makeName({ directory, walk }: Place, kind: MadeKind, make: () => Errno): Errno {
  const { rollback } = directory.preopen;
  const before = rollback?.beforeMake(directory, walk, kind) ?? ERRNO.SUCCESS;
  if (before !== 'making') return before === ERRNO.SUCCESS ? make() : before;
  const errno = make();
  if (errno === ERRNO.SUCCESS) rollback?.afterMake(directory, walk, kind);
  return errno;
}

export function removeName({ directory, walk }: Place, remove: () => void): Errno {
  const { rollback, view } = directory.preopen;
  view?.showContents(hostPathOf(walk));
  const before = rollback?.beforeRemove(directory, walk) ?? ERRNO.SUCCESS;
  if (before === ERRNO.SUCCESS) remove();
  return before;
}

/**
 * XDEV between directories of which one is rolled back, where nobody could undo the half of it, and from or
 * to a private view.
 */
export function renameName(from: Place, to: Place, rename: () => void): Errno {
  const { rollback } = from.directory.preopen;
  if (!areOne(from, to)) return ERRNO.XDEV;
  from.directory.preopen.view?.showContents(hostPathOf(to.walk));
  const before = rollback?.beforeRename(from, to) ?? ERRNO.SUCCESS;
  if (before === ERRNO.SUCCESS) rename();
  return before;
}

/** A further name, `to`, for what is at `from`. XDEV as for `renameName`. */
export function linkName(from: Place, to: Place, link: () => void): Errno {
  const { rollback } = to.directory.preopen;
  if (!areOne(from, to)) return ERRNO.XDEV;
  const stats = rollback === null ? null : statsHere(from.walk);
  const before =
    stats === null ? ERRNO.SUCCESS : (rollback?.beforeLink(to.directory, to.walk, stats) ?? 0);
  if (before === ERRNO.SUCCESS) link();
  return before;
}

/** Opens a file, which makes or cuts it as `intent` says; the host's descriptor, or minus an errno. */
export function openName(
  { directory, walk }: Place,
  intent: {
    readonly creates: boolean;
    readonly exclusive: boolean;
    readonly cuts: boolean;
    readonly writes: boolean;
  },
  open: () => number,
): number {
  const { rollback, view } = directory.preopen;
  if (view !== null) return view.open(hostPathOf(walk), intent, open);
  const before = rollback?.beforeOpen(directory, walk, intent) ?? ERRNO.SUCCESS;
  if (before !== 'making') return before === ERRNO.SUCCESS ? open() : -before;
  const hostFd = open();
  if (hostFd >= 0) rollback?.afterMake(directory, walk, 'file');
  return hostFd;
}

/** The times of what is at the end of a walk are about to be set; an errno when they can't be. */
export function beforeTimesAt({ directory, walk }: Place): Errno {
  const { rollback, view } = directory.preopen;
  if (view !== null) return view.ownPath(hostPathOf(walk));
  return rollback?.beforeTimes(directory, walk) ?? ERRNO.SUCCESS;
}

/** The same for an open file or directory. */
export function beforeTimesOf(handle: FileHandle | DirectoryHandle): Errno {
  const { rollback, view } = handle.preopen;
  if (handle.kind === 'directory') return rollback?.beforeTimes(handle, null) ?? ERRNO.SUCCESS;
  if (view === null) return rollback?.beforeFileTimes(handle) ?? ERRNO.SUCCESS;
  return view.ownFile(handle, (stub) => {
    const path = locate(handle.preopen, handle.path, handle.hostFd, stub);
    return path === null ? null : joined(view.rootPath, path);
  });
}

function areOne(one: Place, other: Place): boolean {
  const { rollback, view } = one.directory.preopen;
  return rollback === other.directory.preopen.rollback && view === other.directory.preopen.view;
}
