/**
 * Where an open file or directory is now: renaming moves it, and an image needs a path to find it again.
 *
 * A path counts only when walking it from the preopened directory leads to the very same inode.
 */
import { lstatSync, readdirSync, readlinkSync } from 'node:fs';
import { type Anchor, closeAnchor, openAnchor, pathOfDescriptor } from './anchor.ts';
import type { Preopen } from './preopens.ts';
import { endWalk, hostPathOf, startWalk, walkedPath } from './walk.ts';

export interface Inode {
  readonly dev: bigint;
  readonly ino: bigint;
}

/**
 * The path of `inode`, open as `fd`, below `preopen`: where it was last, what the kernel calls it, or any
 * other of its names. null: it is not there, or so deep among so much that it is not looked for.
 */
export function locate(
  preopen: Preopen,
  lastPath: string,
  fd: number,
  inode: Inode,
): string | null {
  return (
    confirmed(preopen, lastPath, inode) ??
    confirmed(preopen, kernelPath(preopen, fd), inode) ??
    confirmed(preopen, otherName(preopen, inode, null), inode)
  );
}

/** Entries looked at for a file's other name, and how deep. */
const SEARCHED_MAX = 10_000;
const DEPTH_MAX = 32;

/** A name of `inode` below `preopen` other than `except`, by looking through what is there. */
export function otherName(preopen: Preopen, inode: Inode, except: string | null): string | null {
  let left = SEARCHED_MAX;
  const search = (anchor: Anchor, above: string, depth: number): string | null => {
    const below: string[] = [];
    for (const entry of readdirSync(`${anchor.prefix}.`, { withFileTypes: true })) {
      left -= 1;
      if (left < 0) return null;
      if (entry.isDirectory()) below.push(entry.name);
      if (!entry.isFile() && !entry.isSymbolicLink()) continue;
      if (above + entry.name === except) continue;
      const path = `${anchor.prefix}${entry.name}`;
      const found = lstatSync(path, { bigint: true, throwIfNoEntry: false });
      if (found?.ino === inode.ino && found.dev === inode.dev) return above + entry.name;
    }
    if (depth >= DEPTH_MAX) return null;
    for (const name of below) {
      const found = within(anchor, name, (next) => search(next, `${above}${name}/`, depth + 1));
      if (found !== null) return found;
    }
    return null;
  };
  return within(preopen.root, '.', (root) => search(root, '', 0));
}

/** What `work` finds in the directory `name`; null where that can't be looked into. */
function within<T>(parent: Anchor, name: string, work: (anchor: Anchor) => T | null): T | null {
  let anchor: Anchor | null = null;
  try {
    anchor = openAnchor(parent, name);
    return work(anchor);
  } catch {
    // Gone meanwhile, or not ours to look at.
    return null;
  } finally {
    if (anchor !== null) closeAnchor(anchor);
  }
}

function confirmed(preopen: Preopen, path: string | null, inode: Inode): string | null {
  if (path === null) return null;
  const walk = startWalk(preopen.root, path);
  if (typeof walk === 'number') return null;
  try {
    const found = lstatSync(hostPathOf(walk), { bigint: true });
    return found.ino === inode.ino && found.dev === inode.dev ? walkedPath(walk) : null;
  } catch {
    // Gone meanwhile, or not ours to look at: both mean that it can't be found by this path.
    return null;
  } finally {
    endWalk(walk);
  }
}

/** What the kernel calls `fd`, as a path from the preopened directory, where both can be asked. */
function kernelPath(preopen: Preopen, fd: number): string | null {
  const link = pathOfDescriptor(fd, preopen.root);
  const rootLink = pathOfDescriptor(preopen.root.fd, preopen.root);
  if (link === null || rootLink === null) return null;
  const root = readlinkSync(rootLink);
  const prefix = root.endsWith('/') ? root : `${root}/`;
  const path = readlinkSync(link);
  return path.startsWith(prefix) ? path.slice(prefix.length) : null;
}
