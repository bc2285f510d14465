/**
 * An anchor is a directory held open, and the way to name what is directly in it.
 *
 * Node has no `openat`. On Linux `/proc/self/fd/N/name` says the same: the kernel starts from the open
 * directory, wherever it has been moved to since. Elsewhere an anchor is its path as it was walked; a
 * swapper of directories can then win a race, which is why such hosts are second choice.
 *
 * A name given to an anchor is one component: no `/`, no NUL, not empty, and not `..`. `.` is the
 * directory itself.
 *
 * Under Node's permission model this needs `--allow-fs-read` and `--allow-fs-write` of `/proc/self/fd`
 * beside the granted directories: the model compares paths as text, so a grant of a directory does not
 * reach what is named through a descriptor. That descriptors open outside the grants could be named
 * too is no hole of the guest's, which never gives a path to Node: only single components get here.
 */
import { closeSync, constants, fstatSync, lstatSync, openSync } from 'node:fs';
import { fastCalls } from './fast-calls.ts';
import type { PrivateView } from './private-view.ts';

export interface Anchor {
  readonly fd: number;
  /** Goes before a name; ends with `/`. */
  readonly prefix: string;
  /** Whether `prefix` goes through the descriptor. */
  readonly byDescriptor: boolean;
  /** Where a private view has to fill in what is looked up: see `private-view.ts`. */
  readonly view: PrivateView | null;
}

/** Only names the directory: works without the right to list it. The same number on every Linux that Node supports. */
const O_PATH = process.platform === 'linux' ? 0o10000000 : 0;

const OPEN_DIRECTORY = constants.O_RDONLY | constants.O_DIRECTORY | O_PATH;

/** The anchor of a directory on the host; symbolic links in `hostPath` are followed. Throws what Node throws. */
export function openRootAnchor(hostPath: string): Anchor {
  const fd = openSync(hostPath, OPEN_DIRECTORY);
  const byDescriptor = process.platform === 'linux' && reachesItself(fd);
  return { fd, prefix: byDescriptor ? prefixOf(fd) : `${hostPath}/`, byDescriptor, view: null };
}

/** The anchor of the directory `name` in `parent`; a symbolic link is refused (ENOTDIR or ELOOP). */
export function openAnchor(parent: Anchor, name: string): Anchor {
  const { view } = parent;
  view?.prepare(parent, name);
  const path = parent.prefix + name;
  const flags = OPEN_DIRECTORY | constants.O_NOFOLLOW;
  const { byDescriptor } = parent;
  const native = byDescriptor ? fastCalls() : null;
  const opened = native === null ? -1 : native.openAt(parent.fd, name, flags);
  const fd = opened < 0 ? openSync(path, flags) : opened;
  return { fd, prefix: byDescriptor ? prefixOf(fd) : `${path}/`, byDescriptor, view };
}

export function closeAnchor(anchor: Anchor): void {
  closeSync(anchor.fd);
}

/** A path that names the open file `fd` itself, or null where there is none. */
export function pathOfDescriptor(fd: number, beside: Anchor): string | null {
  return beside.byDescriptor ? `/proc/self/fd/${fd}` : null;
}

function prefixOf(fd: number): string {
  return `/proc/self/fd/${fd}/`;
}

/** Whether `/proc` is there and is ours. */
function reachesItself(fd: number): boolean {
  try {
    const there = lstatSync(`${prefixOf(fd)}.`, { bigint: true });
    const here = fstatSync(fd, { bigint: true });
    return there.ino === here.ino && there.dev === here.dev;
  } catch {
    return false;
  }
}
