/**
 * Where an open file or directory is now: renaming moves it, and an image needs a path to find it again.
 *
 * A path counts only when walking it from the preopened directory leads to the very same inode.
 */
import { lstatSync, readlinkSync } from 'node:fs';
import { pathOfDescriptor } from './anchor.ts';
import type { Preopen } from './preopens.ts';
import { endWalk, hostPathOf, startWalk, walkedPath } from './walk.ts';

export interface Inode {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** The path of `inode`, open as `fd`, below `preopen`; tries `lastPath` first. null: it is not there. */
export function locate(
  preopen: Preopen,
  lastPath: string,
  fd: number,
  inode: Inode,
): string | null {
  return confirmed(preopen, lastPath, inode) ?? confirmed(preopen, kernelPath(preopen, fd), inode);
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
