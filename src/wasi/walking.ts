/** Walking the path that a call names, and what most calls on paths do with its last component. */
import { type BigIntStats, lstatSync } from 'node:fs';
import { ERRNO, type Errno } from '../abi/errno.ts';
import { LOOKUPFLAGS } from '../abi/flags.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { anchorOf, type DirectoryHandle } from '../handle/directory.ts';
import { endWalk, followLink, hostPathOf, startWalk, type Walk } from '../handle/walk.ts';
import { guestPath } from './guest-path.ts';

/**
 * Does `work` at the end of a path below `directory`, and closes what was opened on the way.
 *
 * Beside what `work` gives: NOTCAPABLE when the path leads out of the directory, NOENT, NOTDIR, ACCES,
 * LOOP and NAMETOOLONG from the components before the last, ILSEQ and INVAL for text that is no path.
 */
export function atPath(
  memory: GuestMemory,
  directory: DirectoryHandle,
  pointer: number,
  length: number,
  work: (walk: Walk) => Errno,
): Errno {
  const path = guestPath(memory, pointer, length);
  if (typeof path !== 'string') return path;
  const walk = startWalk(anchorOf(directory), path);
  if (typeof walk === 'number') return walk;
  try {
    return work(walk);
  } finally {
    endWalk(walk);
  }
}

/**
 * What stands at the end of the walk, links followed with `follow` or if the path ended in `/`; the
 * walk ends at what was found. NOENT, NOTDIR, LOOP or NOTCAPABLE otherwise.
 */
export function statAtEnd(walk: Walk, follow: boolean): BigIntStats | Errno {
  for (;;) {
    const stats = statHere(walk);
    if (stats === null) return ERRNO.NOENT;
    if (stats.isSymbolicLink() && (follow || walk.needsDirectory)) {
      const errno = followLink(walk);
      // INVAL: somebody put something else there meanwhile; look again.
      if (errno !== ERRNO.SUCCESS && errno !== ERRNO.INVAL) return errno;
      continue;
    }
    return walk.needsDirectory && !stats.isDirectory() ? ERRNO.NOTDIR : stats;
  }
}

/** What stands at the end of the walk, not following a link; null when nothing does. */
export function statHere(walk: Walk): BigIntStats | null {
  return lstatSync(hostPathOf(walk), { bigint: true, throwIfNoEntry: false }) ?? null;
}

/**
 * For a name that is to be made: why a path that ends in `/` won't do, or SUCCESS. NOENT where there is
 * nothing, NOTDIR where there is a file, EXIST where there is anything else. Linux says EXIST of files,
 * too, in some versions; other hosts of WASI say NOTDIR.
 */
export function checkNewName(walk: Walk): Errno {
  if (!walk.needsDirectory) return ERRNO.SUCCESS;
  const stats = statHere(walk);
  if (stats === null) return ERRNO.NOENT;
  return stats.isFile() ? ERRNO.NOTDIR : ERRNO.EXIST;
}

/** Whether `lookupflags` say to follow a link at the end of a path. */
export function follows(lookupflags: number): boolean {
  return (lookupflags & LOOKUPFLAGS.SYMLINK_FOLLOW) !== 0;
}
