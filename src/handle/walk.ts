/**
 * Walking a guest's path from an open directory, one component at a time.
 *
 * A walk goes to the directory that holds the path's last component and stops there: the caller does
 * its work on `name` in `place(walk)`, never following a link, and when that turns out to be a symbolic
 * link which it wants to follow, calls `followLink` and tries again. So a swapper of names can change
 * what is found, never where it is looked for.
 *
 * Invariants:
 * 1. Each directory on the way was opened by name in the one before, without following links.
 * 2. `..` goes back along the directories opened, never through the host's `..`, and not above the base.
 * 3. An absolute path, or one that goes above the base, is NOTCAPABLE, in links as in the guest's path.
 * 4. The walk opens at most DIRECTORIES_MAX directories at once and STEPS_MAX in all, and follows at
 *    most LINKS_MAX links.
 */
import { type BigIntStats, lstatSync, readlinkSync } from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import { decodeUtf8, PATH_BYTES_MAX } from '../abi/guest-string.ts';
import { type Anchor, closeAnchor, openAnchor } from './anchor.ts';

const LINKS_MAX = 40;
const STEPS_MAX = 8192;
const DIRECTORIES_MAX = 512;

export interface Walk {
  readonly base: Anchor;
  /** Directories below the base, opened by this walk. */
  readonly opened: Anchor[];
  /** Their names, one each. */
  readonly names: string[];
  /** Components still to go, next one last. */
  readonly pending: string[];
  /** The last component; `.` when the path names the directory it stops in. */
  name: string;
  /** The path ended in `/`, `.` or `..`: only a directory will do. */
  needsDirectory: boolean;
  /** The path ended in `..`: what it names is not empty. */
  endsAbove: boolean;
  links: number;
  steps: number;
}

/** A walk along `path`, which `readPath` accepted; or an errno, and then nothing is open. */
export function startWalk(base: Anchor, path: string): Walk | Errno {
  const walk: Walk = {
    base,
    opened: [],
    names: [],
    pending: [],
    name: '.',
    needsDirectory: false,
    endsAbove: false,
    links: 0,
    steps: 0,
  };
  const errno = take(walk, path) || advance(walk);
  if (errno === ERRNO.SUCCESS) return walk;
  endWalk(walk);
  return errno;
}

/** Closes what the walk opened. The anchor that `place` gave is no longer to be used. */
export function endWalk(walk: Walk): void {
  for (const anchor of walk.opened) closeAnchor(anchor);
  walk.opened.length = 0;
}

/** The directory in which `walk.name` is to be looked up. */
export function place(walk: Walk): Anchor {
  return walk.opened.at(-1) ?? walk.base;
}

/** What to hand to the host for `walk.name`. */
export function hostPathOf(walk: Walk): string {
  const directory = place(walk);
  directory.view?.prepare(directory, walk.name);
  return directory.prefix + walk.name;
}

/** What stands at the end of the walk, not following a link; null when nothing does. */
export function statsHere(walk: Walk): BigIntStats | null {
  return lstatSync(hostPathOf(walk), { bigint: true, throwIfNoEntry: false }) ?? null;
}

/** Where the walk ended, from the base: no links, no `.`, no `..`. */
export function walkedPath(walk: Walk): string {
  return (walk.name === '.' ? walk.names : [...walk.names, walk.name]).join('/');
}

/**
 * Goes where the symbolic link `walk.name` points to. An errno when it can't: LOOP, NOTCAPABLE, or
 * INVAL when it is no link (any more). The walk is still to be ended then.
 */
export function followLink(walk: Walk): Errno {
  const target = linkTarget(walk);
  return typeof target === 'string' ? take(walk, target) || advance(walk) : target;
}

/** Where the link `walk.name` points to; counts it. */
function linkTarget(walk: Walk): string | Errno {
  walk.links += 1;
  if (walk.links > LINKS_MAX) return ERRNO.LOOP;
  let target: Buffer;
  try {
    target = readlinkSync(hostPathOf(walk), { encoding: 'buffer' });
  } catch (error) {
    return errnoOf(error);
  }
  if (target.length > PATH_BYTES_MAX) return ERRNO.NAMETOOLONG;
  if (target.length === 0) return ERRNO.NOENT;
  return decodeUtf8(target) ?? ERRNO.ILSEQ;
}

/** Puts the components of `path` before those pending. */
function take(walk: Walk, path: string): Errno {
  if (path.startsWith('/')) return ERRNO.NOTCAPABLE;
  const parts = path.split('/');
  let last = parts.length - 1;
  while (parts[last] === '') last -= 1;
  const ending = parts[last];
  if (last < parts.length - 1 || ending === '.' || ending === '..') walk.needsDirectory = true;
  walk.endsAbove = ending === '..';
  // A `.` at the end is a name of its own: what comes before it is entered.
  if (ending === '.') walk.pending.push('.');
  for (let index = last; index >= 0; index--) {
    const part = parts[index]!;
    if (part !== '' && part !== '.') walk.pending.push(part);
  }
  return walk.pending.length > STEPS_MAX ? ERRNO.NAMETOOLONG : ERRNO.SUCCESS;
}

/** Goes on until the last component is at hand. */
function advance(walk: Walk): Errno {
  for (;;) {
    const part = walk.pending.pop();
    if (part === undefined) {
      walk.name = '.';
      return ERRNO.SUCCESS;
    }
    if (part === '.') continue;
    walk.steps += 1;
    if (walk.steps > STEPS_MAX) return ERRNO.NAMETOOLONG;
    if (part === '..') {
      const left = walk.opened.pop();
      if (left === undefined) return ERRNO.NOTCAPABLE;
      closeAnchor(left);
      walk.names.pop();
      continue;
    }
    walk.name = part;
    if (walk.pending.length === 0) return ERRNO.SUCCESS;
    const errno = enter(walk);
    if (errno !== ERRNO.SUCCESS) return errno;
  }
}

/** Opens the directory `walk.name`; when it is a link, its target's components come next instead. */
function enter(walk: Walk): Errno {
  if (walk.opened.length >= DIRECTORIES_MAX) return ERRNO.NAMETOOLONG;
  try {
    walk.opened.push(openAnchor(place(walk), walk.name));
    walk.names.push(walk.name);
    return ERRNO.SUCCESS;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno !== ERRNO.NOTDIR && errno !== ERRNO.LOOP) return errno;
  }
  const target = linkTarget(walk);
  // No link: a file in the middle of a path.
  if (typeof target !== 'string') return target === ERRNO.INVAL ? ERRNO.NOTDIR : target;
  const { needsDirectory, endsAbove } = walk;
  const errno = take(walk, target);
  // How the target is written says nothing about the last component.
  walk.needsDirectory = needsDirectory;
  walk.endsAbove = endsAbove;
  return errno;
}
