/**
 * Writes down, before a guest changes something below directories that are rolled back, how it was.
 *
 *   idle ──commit──▶ recording ──commit──▶ recording, in the next interval
 *                        ▲
 *      goBack ───────────┘  (undoes first: `undo.ts`)
 *
 * Every `before…` answers with an errno; anything but SUCCESS means that the change can't be undone and
 * must not be made. Until the first checkpoint there is nothing to go back to, and nothing is written.
 *
 * Invariants:
 * 1. What existed when the interval began is written down before it changes, once.
 * 2. What did not exist then is only named, so that it can be removed: writing to it costs nothing.
 * 3. An interval without a change is used again: a checkpoint costs only what changed.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  linkSync,
  lstatSync,
  openSync,
  readlinkSync,
} from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import type { RandomSource } from '../resource/random.ts';
import { pathOfDescriptor } from './anchor.ts';
import { copyFile } from './copy-file.ts';
import { anchorOf, type DirectoryHandle } from './directory.ts';
import { type FileHandle, openRegularFile } from './file.ts';
import { locate, otherName } from './locate.ts';
import type { Preopen } from './preopens.ts';
import { BLOCK_BYTES, missingRuns, partRecord } from './saved-parts.ts';
import { undoInterval } from './undo.ts';
import type { Interval, UndoChain } from './undo-chain.ts';
import type { UndoJournal } from './undo-journal.ts';
import { identityOf, keyOf, type MadeKind, type UndoRecord, type Where } from './undo-record.ts';
import { syncNames, UnsyncedThings } from './unsynced.ts';
import { hostPathOf, place, statsHere, type Walk, walkedPath } from './walk.ts';

/** One record holds at most so much of a file. */
const PART_BYTES_MAX = 2 ** 20;
/** Saving more than this for one change would hold up a guest for minutes. */
const SAVED_BYTES_MAX = 2 ** 34;
const MARK_BYTES = 8;

/** An old file that changed in this interval. */
interface Touched {
  readonly sizeBytes: number;
  readonly blocks: Set<number>;
}

type Known = Touched | 'new';

/** An old file that is about to change, open for reading. */
interface Source {
  readonly where: Where;
  readonly fd: number;
  readonly isOwn: boolean;
}

export class Rollback {
  readonly #chain: UndoChain;
  readonly #random: RandomSource;
  #interval: Interval | null = null;
  #journal: UndoJournal | null = null;
  #next: { readonly interval: Interval; readonly journal: UndoJournal } | null = null;
  readonly #unsynced = new UnsyncedThings();
  #kept = 0;
  /** By identity. */
  #known = new Map<string, Known>();
  #handles = new WeakMap<FileHandle, Known>();
  /** Directories whose times are written down. */
  #parents = new Set<string>();
  /** Where files are that lost a name to this chain, in this process. */
  readonly #atKept = new Map<string, Where>();
  /** Names that this chain itself gave to files, by identity: no guest knows of them. */
  readonly #extraLinks = new Map<string, bigint>();

  constructor(chain: UndoChain, random: RandomSource) {
    this.#chain = chain;
    this.#random = random;
  }

  get chain(): UndoChain {
    return this.#chain;
  }

  /** The file's names, without those that only this chain knows. */
  linksOf(stats: BigIntStats): bigint {
    return stats.nlink - (this.#extraLinks.get(keyOf(identityOf(stats))) ?? 0n);
  }

  // — around a checkpoint —

  /** Makes ready for the interval that begins at this checkpoint; its mark. Throws what Node throws. */
  prepare(preopens: readonly Preopen[]): string {
    if (this.#interval !== null && this.#journal?.isEmpty) return this.#interval.mark;
    this.abort();
    this.#chain.makeDirectory();
    this.#unsynced.sync(preopens.filter(({ rollback }) => rollback !== null));
    const bytes = new Uint8Array(MARK_BYTES);
    this.#random(bytes);
    const newest = this.#interval?.number ?? this.#chain.intervals().at(-1)?.number ?? -1;
    const interval = { number: newest + 1, mark: Buffer.from(bytes).toString('hex') };
    this.#next = { interval, journal: this.#chain.open(interval) };
    syncNames(this.#chain.directory);
    return interval.mark;
  }

  commit(): void {
    if (this.#next === null) return;
    this.#journal?.close();
    this.#begin(this.#next.interval, this.#next.journal);
    this.#next = null;
  }

  abort(): void {
    if (this.#next === null) return;
    this.#next.journal.close();
    this.#chain.drop(this.#next.interval);
    this.#next = null;
  }

  /** Undoes everything since the checkpoint whose image says `mark`. Throws HostError. */
  goBack(mark: string, preopens: readonly Preopen[]): boolean {
    this.#chain.makeDirectory();
    const intervals = this.#chain.intervals();
    const at = intervals.findIndex((interval) => interval.mark === mark);
    if (at < 0) return false;
    for (const interval of intervals.slice(at).reverse()) {
      undoInterval(this.#chain, interval, preopens);
      if (interval.mark !== mark) this.#chain.drop(interval);
    }
    this.#countKept();
    const interval = intervals[at]!;
    this.#begin(interval, this.#chain.open(interval));
    return true;
  }

  /** An earlier process of this job may have kept things: they have names there still. */
  #countKept(): void {
    this.#extraLinks.clear();
    for (const path of this.#chain.allKept()) {
      this.#countExtraLink(keyOf(identityOf(lstatSync(path, { bigint: true }))));
    }
  }

  #countExtraLink(key: string): void {
    this.#extraLinks.set(key, (this.#extraLinks.get(key) ?? 0n) + 1n);
  }

  close(): void {
    this.abort();
    this.#journal?.close();
    this.#journal = null;
  }

  #begin(interval: Interval, journal: UndoJournal): void {
    this.#interval = interval;
    this.#journal = journal;
    this.#kept = 0;
    this.#known = new Map();
    this.#handles = new WeakMap();
    this.#parents = new Set();
  }

  // — contents —

  /** `lengthBytes` are about to be written at `start`; at the end, wherever that is, when it is null. */
  beforeWrite(file: FileHandle, start: number | null, lengthBytes: number): Errno {
    if (this.#journal === null || lengthBytes === 0) return ERRNO.SUCCESS;
    return this.#guarded(() => {
      const known = this.#knownOf(file);
      if (typeof known === 'number' || known === 'new' || start === null) return known;
      return this.#save(known, start, start + lengthBytes, () => this.#sourceOf(file));
    });
  }

  /** The file is about to be cut, or to grow, to `sizeBytes`. */
  beforeResize(file: FileHandle, sizeBytes: number): Errno {
    if (this.#journal === null) return ERRNO.SUCCESS;
    return this.#guarded(() => {
      const known = this.#knownOf(file);
      if (typeof known === 'number' || known === 'new') return known;
      return this.#save(known, sizeBytes, known.sizeBytes, () => this.#sourceOf(file));
    });
  }

  /** The times of what is at the walk's end, or of the directory itself without one, are about to be set. */
  beforeTimes(directory: DirectoryHandle, walk: Walk | null): Errno {
    if (this.#journal === null) return ERRNO.SUCCESS;
    return this.#guarded(() => {
      const stats =
        walk === null ? fstatSync(anchorOf(directory).fd, { bigint: true }) : statsHere(walk);
      if (stats === null || this.#isNew(stats)) return ERRNO.SUCCESS;
      const path = this.#pathOf(directory, walk);
      if (path === null) return ERRNO.STALE;
      const where = whereOf(directory.preopen, path, stats);
      if (stats.isFile()) this.#touch(where, stats);
      else this.#write([timesRecord(where, stats)]);
      return ERRNO.SUCCESS;
    });
  }

  beforeFileTimes(file: FileHandle): Errno {
    if (this.#journal === null) return ERRNO.SUCCESS;
    return this.#guarded(() => this.#knownOf(file));
  }

  /** A file that the guest wrote to is about to be closed. */
  noteClosed(file: FileHandle): void {
    if (!file.unsynced) return;
    const stats = fstatSync(file.hostFd, { bigint: true });
    this.#unsynced.note(identityOf(stats), file.preopen, file.path);
  }

  // — names —

  /**
   * A file is about to be opened at the walk's end, made if `creates` and there is none, or cut. What
   * was opened is handed to `afterMake` when the answer is `making`.
   */
  beforeOpen(
    directory: DirectoryHandle,
    walk: Walk,
    { creates, exclusive, cuts }: { creates: boolean; exclusive: boolean; cuts: boolean },
  ): Errno | 'making' {
    if (this.#journal === null || !(creates || cuts)) return ERRNO.SUCCESS;
    const stats = statsHere(walk);
    if (stats === null) return creates ? this.beforeMake(directory, walk, 'file') : ERRNO.SUCCESS;
    // What can't be opened, or is there already, is left to the host to say.
    if (!cuts || !stats.isFile() || (creates && exclusive)) return ERRNO.SUCCESS;
    return this.#guarded(() => {
      if (this.#isNew(stats)) return ERRNO.SUCCESS;
      const path = this.#pathOf(directory, walk);
      if (path === null) return ERRNO.STALE;
      const where = whereOf(directory.preopen, path, stats);
      const known = this.#touch(where, stats);
      return this.#save(known, 0, known.sizeBytes, () => ({
        where,
        fd: openSync(hostPathOf(walk), constants.O_RDONLY | constants.O_NOFOLLOW),
        isOwn: true,
      }));
    });
  }

  /** A name is about to be made. `making`: hand what was made to `afterMake`. */
  beforeMake(directory: DirectoryHandle, walk: Walk, kind: MadeKind): Errno | 'making' {
    if (this.#journal === null || statsHere(walk) !== null) return ERRNO.SUCCESS;
    const errno = this.#guarded(() => {
      const path = this.#pathOf(directory, walk);
      if (path === null) return ERRNO.STALE;
      const dir = directory.preopen.grant.guestPath;
      const records = this.#parentTimes(directory, walk, path);
      this.#write([...records, { change: 'making', dir, path, kind }]);
      return ERRNO.SUCCESS;
    });
    return errno === ERRNO.SUCCESS ? 'making' : errno;
  }

  /** What was made where `beforeMake` said `making`; it is new in this interval. */
  afterMake(directory: DirectoryHandle, walk: Walk, kind: MadeKind): void {
    const stats = statsHere(walk);
    const path = this.#pathOf(directory, walk);
    if (stats === null || path === null) return;
    const where = whereOf(directory.preopen, path, stats);
    this.#known.set(keyOf(where.identity), 'new');
    this.#write([{ change: 'made', where, kind }]);
  }

  /** A further name of the file `stats` is about to be made. */
  beforeLink(directory: DirectoryHandle, walk: Walk, stats: BigIntStats): Errno {
    if (this.#journal === null || statsHere(walk) !== null) return ERRNO.SUCCESS;
    return this.#guarded(() => {
      const path = this.#pathOf(directory, walk);
      if (path === null) return ERRNO.STALE;
      const records = this.#parentTimes(directory, walk, path);
      const where = whereOf(directory.preopen, path, stats);
      this.#write([...records, { change: 'made', where, kind: 'file' }]);
      return ERRNO.SUCCESS;
    });
  }

  /** The name at the walk's end is about to be removed, or to be replaced. */
  beforeRemove(directory: DirectoryHandle, walk: Walk): Errno {
    if (this.#journal === null) return ERRNO.SUCCESS;
    return this.#guarded(() => this.#removal(directory, walk));
  }

  beforeRename(
    from: { readonly directory: DirectoryHandle; readonly walk: Walk },
    to: { readonly directory: DirectoryHandle; readonly walk: Walk },
  ): Errno {
    if (this.#journal === null) return ERRNO.SUCCESS;
    return this.#guarded(() => {
      const stats = statsHere(from.walk);
      const target = statsHere(to.walk);
      if (stats === null) return ERRNO.SUCCESS;
      // Two names of one file: nothing happens.
      if (target !== null && target.ino === stats.ino && target.dev === stats.dev) return 0;
      const path = this.#pathOf(from.directory, from.walk);
      const toPath = this.#pathOf(to.directory, to.walk);
      if (path === null || toPath === null) return ERRNO.STALE;
      if (target !== null) {
        const errno = this.#removal(to.directory, to.walk);
        if (errno !== ERRNO.SUCCESS) return errno;
      }
      const where = whereOf(from.directory.preopen, path, stats);
      const isNew = this.#isNew(stats);
      const toDir = to.directory.preopen.grant.guestPath;
      this.#unsynced.moved(where.identity, to.directory.preopen, toPath);
      this.#write([
        ...this.#parentTimes(from.directory, from.walk, path),
        ...this.#parentTimes(to.directory, to.walk, toPath),
        { change: 'renamed', where, toDir, toPath, isNew },
      ]);
      return ERRNO.SUCCESS;
    });
  }

  #removal(directory: DirectoryHandle, walk: Walk): Errno {
    const stats = statsHere(walk);
    if (stats === null) return ERRNO.SUCCESS;
    const path = this.#pathOf(directory, walk);
    if (path === null) return ERRNO.STALE;
    const records = this.#parentTimes(directory, walk, path);
    if (stats.nlink <= 1n || stats.isDirectory()) this.#unsynced.removed(identityOf(stats));
    const kind = kindOf(stats);
    // What is neither is no guest's to open; it is removed for good. A new directory is made again while
    // things are undone: old ones may have been in it.
    if (kind === null || (kind !== 'directory' && this.#isNew(stats))) {
      this.#write(records);
      return ERRNO.SUCCESS;
    }
    const where = {
      ...whereOf(directory.preopen, path, stats),
      kept: [this.#interval!.number, this.#kept] as const,
    };
    const { atimeNs, mtimeNs } = stats;
    const mode = Number(stats.mode & 0o7777n);
    const target = kind === 'link' ? readlinkSync(hostPathOf(walk)) : null;
    const hasOthers = kind !== 'directory' && stats.nlink > 1n;
    const removed = { change: 'removed', where, kind, mode, atimeNs, mtimeNs, target } as const;
    this.#write([...records, { ...removed, hasOthers }]);
    if (kind !== 'directory') {
      this.#keep(hostPathOf(walk), where, { kind, links: stats.nlink, preopen: directory.preopen });
    }
    return ERRNO.SUCCESS;
  }

  /** Keeps what is at `hostPath`: another name of it, or where that can't be a copy of a file. */
  #keep(
    hostPath: string,
    where: Where & { readonly kept: readonly [number, number] },
    {
      kind,
      links,
      preopen,
    }: { readonly kind: MadeKind; readonly links: bigint; readonly preopen: Preopen },
  ): void {
    if (this.#kept === 0) this.#chain.makeKept(this.#interval!);
    const keptPath = this.#chain.keptPath(where.kept);
    this.#kept += 1;
    const key = keyOf(where.identity);
    try {
      linkSync(hostPath, keptPath);
      this.#countExtraLink(key);
      this.#atKept.set(key, where);
    } catch {
      // Another file system, or a file that is somebody else's. A name that is left keeps it as well.
      const { dev, ino } = where.identity;
      if (links > 1n && otherName(preopen, { dev, ino }, where.path) !== null) return;
      if (kind === 'file') copyFile(hostPath, keptPath);
    }
  }

  // — what is known —

  /** SUCCESS when nothing needs to be saved of the file. */
  #knownOf(file: FileHandle): Touched | 'new' | Errno {
    const known = this.#handles.get(file);
    if (known !== undefined) return known;
    const found = this.#findKnown(file);
    if (typeof found === 'object' || found === 'new') this.#handles.set(file, found);
    return found;
  }

  #findKnown(file: FileHandle): Touched | 'new' | Errno {
    const stats = fstatSync(file.hostFd, { bigint: true });
    const key = keyOf(identityOf(stats));
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    // Without a name at the checkpoint: its contents are in the image.
    if (stats.nlink === 0n) return 'new';
    const where = this.#whereIs(file, stats);
    return where === null ? ERRNO.STALE : this.#touch(where, stats);
  }

  /** Where an open file is now; null when it can't be found by any name. */
  #whereIs(file: FileHandle, stats: BigIntStats): Where | null {
    if (this.linksOf(stats) === 0n) return this.#atKept.get(keyOf(identityOf(stats))) ?? null;
    const path = locate(file.preopen, file.path, file.hostFd, stats);
    if (path === null) return null;
    file.path = path;
    return whereOf(file.preopen, path, stats);
  }

  /** What an old file is read from, also where the guest only writes to it. */
  #sourceOf(file: FileHandle): Source | Errno {
    const where = this.#whereIs(file, fstatSync(file.hostFd, { bigint: true }));
    if (where === null) return ERRNO.STALE;
    if (file.readable) return { where, fd: file.hostFd, isOwn: false };
    const path = pathOfDescriptor(file.hostFd, file.preopen.root);
    const fd = openRegularFile(path ?? '', constants.O_RDONLY);
    return fd < 0 ? (-fd as Errno) : { where, fd, isOwn: true };
  }

  #isNew(stats: BigIntStats): boolean {
    return this.#known.get(keyOf(identityOf(stats))) === 'new';
  }

  #touch(where: Where, stats: BigIntStats): Touched {
    const key = keyOf(where.identity);
    const known = this.#known.get(key);
    if (typeof known === 'object') return known;
    const sizeBytes = Number(stats.size);
    const { atimeNs, mtimeNs } = stats;
    this.#write([{ change: 'touched', where, sizeBytes, atimeNs, mtimeNs }]);
    const touched = { sizeBytes, blocks: new Set<number>() };
    this.#known.set(key, touched);
    return touched;
  }

  /** Saves what was not saved yet of the old file from `start` to `end`. */
  #save(touched: Touched, start: number, end: number, open: () => Source | Errno): Errno {
    const { sizeBytes, blocks } = touched;
    const runs = missingRuns(blocks, start, Math.min(end, sizeBytes));
    if (runs.length === 0) return ERRNO.SUCCESS;
    const total = runs.reduce((sum, [first, last]) => sum + (last - first) * BLOCK_BYTES, 0);
    if (total > SAVED_BYTES_MAX) return ERRNO.NOSPC;
    const source = open();
    if (typeof source === 'number') return source;
    const { where, fd, isOwn } = source;
    try {
      for (const [first, last] of runs) {
        const to = Math.min(last * BLOCK_BYTES, sizeBytes);
        for (let at = first * BLOCK_BYTES; at < to; at += PART_BYTES_MAX) {
          this.#write([partRecord(fd, where, at, Math.min(PART_BYTES_MAX, to - at))]);
        }
        for (let block = first; block < last; block++) blocks.add(block);
      }
    } finally {
      if (isOwn) closeSync(fd);
    }
    return ERRNO.SUCCESS;
  }

  /** From the granted directory; null when the directory can't be found below it any more. */
  #pathOf(directory: DirectoryHandle, walk: Walk | null): string | null {
    const below = walk === null ? '' : walkedPath(walk);
    if (directory.path === '') return below;
    const { fd } = anchorOf(directory);
    const stats = fstatSync(fd, { bigint: true });
    const path = locate(directory.preopen, directory.path, fd, stats);
    if (path === null) return null;
    directory.path = path;
    return below === '' ? path : `${path}/${below}`;
  }

  /** The record of a directory's times before its names change for the first time. */
  #parentTimes(directory: DirectoryHandle, walk: Walk, path: string): UndoRecord[] {
    const stats = fstatSync(place(walk).fd, { bigint: true });
    const key = keyOf(identityOf(stats));
    if (this.#parents.has(key)) return [];
    this.#parents.add(key);
    const slash = path.lastIndexOf('/');
    const parent = slash < 0 ? '' : path.slice(0, slash);
    this.#unsynced.note(identityOf(stats), directory.preopen, parent);
    if (this.#known.get(key) === 'new') return [];
    return [timesRecord(whereOf(directory.preopen, parent, stats), stats)];
  }

  #write(records: readonly UndoRecord[]): void {
    this.#journal!.append(records);
  }

  /** SUCCESS for whatever `work` gives but an errno; the errno of what it throws. */
  #guarded(work: () => Touched | 'new' | Errno): Errno {
    try {
      const found = work();
      return typeof found === 'number' ? found : ERRNO.SUCCESS;
    } catch (error) {
      return errnoOf(error);
    }
  }
}

function whereOf({ grant }: Preopen, path: string, stats: BigIntStats): Where {
  return { dir: grant.guestPath, path, kept: null, identity: identityOf(stats) };
}

function timesRecord(where: Where, { atimeNs, mtimeNs }: BigIntStats): UndoRecord {
  return { change: 'times', where, atimeNs, mtimeNs };
}

function kindOf(stats: BigIntStats): MadeKind | null {
  if (stats.isFile()) return 'file';
  if (stats.isDirectory()) return 'directory';
  return stats.isSymbolicLink() ? 'link' : null;
}
