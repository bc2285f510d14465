/**
 * A view of a granted directory that a guest may change while the directory itself stays as it is.
 *
 * The view is a real directory in the job's own place, the *upper* one, filled in from the granted, *lower*
 * one as names are looked up. So the host's kernel says what every operation means, and nothing of it
 * reaches the lower directory, which the cell may only read. What is made for a lower
 *
 *   directory   is a directory, filled in itself when it is looked into
 *   link        is a link with the same target
 *   file        is an empty file, a *stub*: who only reads opens the lower file; who would change it gets
 *               its contents copied first, and all who have it open go over to the copy
 *
 * Pipes, devices and sockets are not shown.
 *
 * Invariants:
 * 1. `prepare` comes before every look at a name: `hostPathOf` and `openAnchor` see to it.
 * 2. A name that a directory *owns* was made or found in the upper directory once: the upper one alone says
 *    whether it is there. Of other names the lower one does.
 * 3. Looking changes no time that a guest can see, and an inode number that it was told stays.
 * 4. Nothing is ever opened for writing, made or removed by way of the lower directory.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
  rmSync,
  unlinkSync,
} from 'node:fs';
import { join } from 'node:path';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import { FILETYPE } from '../abi/flags.ts';
import { decodeUtf8 } from '../abi/guest-string.ts';
import type { Filestat } from '../abi/layout.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import {
  type Anchor,
  closeAnchor,
  openAnchor,
  openRootAnchor,
  pathOfDescriptor,
} from './anchor.ts';
import { copyContents } from './copy-file.ts';
import { type FileHandle, openFlags, openRegularFile } from './file.ts';
import type { KeptBytes } from './kept-bytes.ts';
import { filetypeOf, type Listing } from './listing.ts';
import { makeLink } from './make-link.ts';
import { setTimesOfPath } from './times.ts';
import { identityOf, keyOf } from './undo-record.ts';

/** What the upper directory knows of one of its directories. */
export interface ViewDirectory {
  /** Path from the lower root; null when the guest made it. */
  readonly lower: string | null;
  readonly owned: Set<string>;
}

export interface Seen {
  readonly dev: bigint;
  readonly ino: bigint;
}

/** Beyond what file systems give: numbers of what a guest made. */
const INO_MADE_FIRST = 2n ** 48n;

export class PrivateView {
  readonly lower: Anchor;
  readonly root: Anchor;
  readonly rootPath: string;
  /** By identity in the upper directory. */
  readonly directories = new Map<string, ViewDirectory>();
  readonly stubs = new Map<string, string>();
  readonly seen = new Map<string, Seen>();
  nextIno = INO_MADE_FIRST;
  /** Paths from the lower root of files that were opened there, by identity in the lower directory. */
  readonly opened = new Map<string, string>();
  readonly #scratch: string;
  readonly #kept: KeptBytes | null;
  #files: () => readonly FileHandle[] = () => [];

  /** `scratch` is made, and removed by `close`. Throws what Node throws. */
  constructor(lower: Anchor, scratch: string, kept: KeptBytes | null) {
    this.#kept = kept;
    this.lower = lower;
    this.#scratch = scratch;
    this.rootPath = join(scratch, 'root');
    rmSync(scratch, { recursive: true, force: true });
    mkdirSync(scratch, { mode: 0o700 });
    mkdirSync(this.rootPath, { mode: 0o700 });
    this.root = { ...openRootAnchor(this.rootPath), view: this };
    const stats = fstatSync(lower.fd, { bigint: true });
    this.becomes(fstatSync(this.root.fd, { bigint: true }), stats);
    this.directories.set(keyAt(this.root.fd), { lower: '', owned: new Set() });
    setTimes(`${this.root.prefix}.`, stats);
  }

  /** The guest's open files, which go over to a copy when one is made. */
  watch(files: () => readonly FileHandle[]): void {
    this.#files = files;
  }

  /** Never throws. */
  close(): void {
    try {
      closeAnchor(this.root);
      rmSync(this.#scratch, { recursive: true, force: true });
    } catch {
      // The host removes what is left when the run is over.
    }
  }

  // — names —

  /** Makes `name` be there in the upper `directory`, if it is in the lower one. Throws what Node throws. */
  prepare(directory: Anchor, name: string): void {
    const node = this.#directoryOf(directory);
    if (name === '.' || node === undefined || node.lower === null || node.owned.has(name)) return;
    if (look(directory.prefix + name) !== null) {
      node.owned.add(name);
      return;
    }
    const lowerPath = joined(node.lower, name);
    this.atLower(node.lower, (lower) => {
      const stats = look(lower.prefix + name);
      if (stats === null || !this.#make(directory, name, lower, stats)) return;
      const made = lstatSync(directory.prefix + name, { bigint: true });
      this.becomes(made, stats);
      if (stats.isDirectory()) {
        this.directories.set(keyOf(identityOf(made)), { lower: lowerPath, owned: new Set() });
      } else if (stats.isFile()) this.stubs.set(keyOf(identityOf(made)), lowerPath);
      node.owned.add(name);
    });
  }

  #make(directory: Anchor, name: string, lower: Anchor, stats: BigIntStats): boolean {
    const before = fstatSync(directory.fd, { bigint: true });
    const path = directory.prefix + name;
    if (stats.isDirectory()) mkdirSync(path, { mode: 0o700 });
    else if (stats.isFile()) makeEmpty(path);
    else if (stats.isSymbolicLink()) {
      const target = decodeUtf8(readlinkSync(lower.prefix + name, { encoding: 'buffer' }));
      if (target === null || makeLink(target, path) !== ERRNO.SUCCESS) return false;
    } else return false;
    setTimes(path, stats);
    setTimes(`${directory.prefix}.`, before);
    return true;
  }

  /** Makes sure that the upper directory at `path` is empty only if the view of it is. */
  showContents(path: string): void {
    const stats = look(path);
    if (stats === null || !stats.isDirectory()) return;
    const node = this.directories.get(keyOf(identityOf(stats)));
    if (node === undefined || node.lower === null) return;
    const left = this.#lowerEntries(node).find(({ text }) => text !== null);
    if (left === undefined) return;
    const root = openRootAnchor(path);
    try {
      this.prepare({ ...root, view: this }, left.text!);
    } finally {
      closeAnchor(root);
    }
  }

  /** Entries of the upper directory and those of the lower one that it does not own. */
  list(directory: Anchor): Listing {
    const entries = readdirSync(`${directory.prefix}.`, {
      withFileTypes: true,
      encoding: 'buffer',
    }).map((entry) => ({ name: entry.name as Uint8Array, type: filetypeOf(entry) }));
    const own = new Set(entries.map(({ name }) => Buffer.from(name).toString('latin1')));
    const node = this.#directoryOf(directory);
    for (const { name, type } of node === undefined ? [] : this.#lowerEntries(node)) {
      if (!own.has(Buffer.from(name).toString('latin1'))) entries.push({ name, type });
    }
    return {
      names: entries.map(({ name }) => name),
      types: Uint8Array.from(entries, ({ type }) => type),
    };
  }

  /** The inode number and type of an entry; null when it is gone. */
  entry(directory: Anchor, name: Uint8Array): { ino: bigint; filetype: number } | null {
    const stats = look(Buffer.concat([Buffer.from(directory.prefix), name]));
    if (stats !== null) return { ino: this.seenOf(stats).ino, filetype: filetypeOf(stats) };
    const node = this.#directoryOf(directory);
    if (node === undefined || node.lower === null) return null;
    if (node.owned.has(Buffer.from(name).toString())) return null;
    return this.atLower(node.lower, (lower) => {
      const found = look(Buffer.concat([Buffer.from(lower.prefix), name]));
      return found === null ? null : { ino: found.ino, filetype: filetypeOf(found) };
    });
  }

  /** What the lower directory has that the upper one does not own. */
  #lowerEntries({ lower, owned }: ViewDirectory) {
    if (lower === null) return [];
    const found = this.atLower(lower, (anchor) =>
      readdirSync(`${anchor.prefix}.`, { withFileTypes: true, encoding: 'buffer' }),
    );
    const shown = [];
    for (const entry of found ?? []) {
      const type = filetypeOf(entry);
      const name = entry.name as Uint8Array;
      const text = decodeUtf8(name);
      if (!SHOWN.has(type) || (text !== null && owned.has(text))) continue;
      shown.push({ name, text, type });
    }
    return shown;
  }

  #directoryOf(directory: Anchor): ViewDirectory | undefined {
    return this.directories.get(keyAt(directory.fd));
  }

  // — files —

  /** Opens a file for a guest; `open` opens what is in the upper directory. Minus an errno if it can't. */
  open(
    path: string,
    intent: { creates: boolean; exclusive: boolean; cuts: boolean; writes: boolean },
    open: () => number,
  ): number {
    const stats = look(path);
    const lowerPath = stats === null ? undefined : this.stubs.get(keyOf(identityOf(stats)));
    if (lowerPath === undefined || (intent.creates && intent.exclusive)) return open();
    if (!intent.writes && !intent.cuts) return this.openLower(lowerPath);
    const errno = this.#own(path, lowerPath, !intent.cuts);
    return errno === ERRNO.SUCCESS ? open() : -errno;
  }

  /** Opens a file of the lower directory for reading; minus an errno when it can't be. */
  openLower(lowerPath: string): number {
    const slash = lowerPath.lastIndexOf('/');
    const name = lowerPath.slice(slash + 1);
    const fd = this.atLower(lowerPath.slice(0, Math.max(slash, 0)), (lower) =>
      openRegularFile(
        lower.prefix + name,
        openFlags({ readable: true, writable: false, flags: 0 }),
      ),
    );
    if (fd === null) return -ERRNO.NOENT;
    if (fd >= 0) this.opened.set(keyAt(fd), lowerPath);
    return fd;
  }

  /** What is at `path` is about to change in another way than by opening it: a stub gets its contents. */
  ownPath(path: string): Errno {
    const stats = look(path);
    const lowerPath = stats === null ? undefined : this.stubs.get(keyOf(identityOf(stats)));
    return lowerPath === undefined ? ERRNO.SUCCESS : this.#own(path, lowerPath, true);
  }

  /** The same for an open file; `upperPath` finds the stub that it was opened by, if that is still there. */
  ownFile(file: FileHandle, upperPath: (stub: Seen) => string | null): Errno {
    const lowerPath = this.opened.get(keyAt(file.hostFd));
    if (lowerPath === undefined) return ERRNO.SUCCESS;
    for (const [key, from] of this.stubs) {
      if (from !== lowerPath) continue;
      const [dev, ino] = key.split(':');
      const path = upperPath({ dev: BigInt(dev!), ino: BigInt(ino!) });
      if (path !== null) return this.#own(path, lowerPath, true);
    }
    // Its name is gone from the view: a copy without a name.
    const path = join(this.#scratch, 'unnamed');
    makeEmpty(path);
    const writer = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      this.#kept?.take(fstatSync(file.hostFd).size);
      copyContents(file.hostFd, writer);
      this.#goOver(keyAt(file.hostFd), path);
      return ERRNO.SUCCESS;
    } catch (error) {
      if (error instanceof LimitReached) throw error;
      return errnoOf(error);
    } finally {
      closeSync(writer);
      unlinkSync(path);
    }
  }

  #own(path: string, lowerPath: string, copies: boolean): Errno {
    const reader = this.openLower(lowerPath);
    if (reader < 0) return -reader as Errno;
    const writer = openSync(path, constants.O_WRONLY | constants.O_NOFOLLOW);
    try {
      if (copies) {
        this.#kept?.take(fstatSync(reader).size);
        copyContents(reader, writer);
      }
      const stats = fstatSync(reader, { bigint: true });
      setTimes(path, stats);
      this.stubs.delete(keyAt(writer));
      this.#goOver(keyOf(identityOf(stats)), path);
      return ERRNO.SUCCESS;
    } catch (error) {
      ftruncateSync(writer, 0);
      if (error instanceof LimitReached) throw error;
      return errnoOf(error);
    } finally {
      closeSync(reader);
      closeSync(writer);
    }
  }

  /** Whoever reads the lower file reads what is at `path` from now on. */
  #goOver(lowerKey: string, path: string): void {
    for (const file of this.#files()) {
      if (file.hostFd < 0 || file.preopen.view !== this || keyAt(file.hostFd) !== lowerKey)
        continue;
      const fd = openSync(path, openFlags(file));
      closeSync(file.hostFd);
      file.hostFd = fd;
    }
  }

  // — what a guest is told —

  filestat(stats: BigIntStats): Filestat {
    const { dev, ino } = this.seenOf(stats);
    const { nlink, ctimeNs } = stats;
    const lowerPath = this.stubs.get(keyOf(identityOf(stats)));
    const shown = (lowerPath === undefined ? null : this.lookLower(lowerPath)) ?? stats;
    const { size, atimeNs, mtimeNs } = shown;
    return { dev, ino, filetype: filetypeOf(stats), nlink, size, atimeNs, mtimeNs, ctimeNs };
  }

  /** The numbers by which a guest knows a thing. */
  seenOf(stats: BigIntStats): Seen {
    const key = keyOf(identityOf(stats));
    if (this.opened.has(key)) return stats;
    let seen = this.seen.get(key);
    if (seen === undefined) {
      seen = { dev: this.seen.get(keyAt(this.root.fd))!.dev, ino: this.nextIno };
      this.nextIno += 1n;
      this.seen.set(key, seen);
    }
    return seen;
  }

  /** The upper thing is known by the numbers of `known` from now on. */
  becomes(upper: BigIntStats, known: Seen): void {
    this.seen.set(keyOf(identityOf(upper)), { dev: known.dev, ino: known.ino });
  }

  // — the lower directory —

  lookLower(lowerPath: string): BigIntStats | null {
    const slash = lowerPath.lastIndexOf('/');
    const name = lowerPath.slice(slash + 1);
    return this.atLower(lowerPath.slice(0, Math.max(slash, 0)), (lower) =>
      look(lower.prefix + name),
    );
  }

  /** `work` in a directory below the lower root, each component opened without following links. */
  atLower<T>(lowerPath: string, work: (lower: Anchor) => T): T | null {
    const opened: Anchor[] = [];
    try {
      for (const name of lowerPath === '' ? [] : lowerPath.split('/')) {
        opened.push(openAnchor(opened.at(-1) ?? this.lower, name));
      }
    } catch (error) {
      for (const anchor of opened) closeAnchor(anchor);
      if (GONE.has(errnoOf(error))) return null;
      throw error;
    }
    try {
      return work(opened.at(-1) ?? this.lower);
    } finally {
      for (const anchor of opened) closeAnchor(anchor);
    }
  }

  /** A file that lost its name, as a copy that has none; its descriptor only names it. */
  makeUnnamed(write: (fd: number) => void): number {
    const path = join(this.#scratch, 'unnamed');
    makeEmpty(path);
    const fd = openSync(path, constants.O_RDWR | constants.O_NOFOLLOW);
    try {
      write(fd);
      return openSync(pathOfDescriptor(fd, this.root) ?? path, O_PATH);
    } finally {
      closeSync(fd);
      unlinkSync(path);
    }
  }
}

const O_PATH = 0o10000000;
const SHOWN: ReadonlySet<number> = new Set([
  FILETYPE.REGULAR_FILE,
  FILETYPE.DIRECTORY,
  FILETYPE.SYMBOLIC_LINK,
]);
const GONE: ReadonlySet<number> = new Set([ERRNO.NOENT, ERRNO.NOTDIR, ERRNO.LOOP]);

export function keyAt(fd: number): string {
  return keyOf(identityOf(fstatSync(fd, { bigint: true })));
}

export function joined(directory: string, name: string): string {
  return directory === '' ? name : `${directory}/${name}`;
}

export function look(path: string | Buffer): BigIntStats | null {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}

function makeEmpty(path: string): void {
  closeSync(openSync(path, constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL, 0o600));
}

export function setTimes(path: string, of: { readonly atimeNs: bigint; readonly mtimeNs: bigint }) {
  setTimesOfPath(path, { atime: of.atimeNs, mtime: of.mtimeNs, nowNs: 0n });
}
