/**
 * Undoes one interval of a job: applies its records from the last to the first.
 *
 * The records were written by a cell, which is not trusted. They are applied by the cell of the guest that
 * goes on, below today's grants and by walking every path anew, so they can do nothing that the guest could
 * not do itself.
 *
 * Invariants:
 * 1. A record is cut off the journal when it is undone; undoing the last one twice is the same as once. So
 *    an undo that is killed goes on where it was.
 * 2. A thing is changed only if it is the one that the record names, or what an undo made in its place.
 *    Anything else in its place is somebody else's, and refused by name.
 * 3. Contents are on the disk before the records that hold them are gone.
 */
import {
  type BigIntStats,
  closeSync,
  constants,
  fstatSync,
  ftruncateSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  renameSync,
  rmdirSync,
  unlinkSync,
  writeSync,
} from 'node:fs';
import { ERRNO, errnoOf } from '../abi/errno.ts';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import { copyFile, setMode } from './copy-file.ts';
import { syncFile } from './durability.ts';
import { otherName } from './locate.ts';
import { makeLink } from './make-link.ts';
import { type Preopen, shownPath } from './preopens.ts';
import { notUndone } from './refusals.ts';
import { setTimesOfPath } from './times.ts';
import type { Interval, UndoChain } from './undo-chain.ts';
import { type Identity, identityOf, keyOf, type UndoRecord, type Where } from './undo-record.ts';
import { endWalk, hostPathOf, startWalk, type Walk } from './walk.ts';

const ZEROS = new Uint8Array(65_536);

type Change<K extends UndoRecord['change']> = Extract<UndoRecord, { change: K }>;

interface Undoing {
  readonly chain: UndoChain;
  readonly interval: Interval;
  readonly preopens: readonly Preopen[];
  /** Files written to since the journal was cut, open, by identity. */
  readonly files: Map<string, number>;
}

/** Throws HostError ERR_RESOURCE_CHANGED, _NOT_GRANTED, ERR_IO or ERR_DISK_FULL; what was undone stays. */
export function undoInterval(
  chain: UndoChain,
  interval: Interval,
  preopens: readonly Preopen[],
): void {
  const undoing: Undoing = { chain, interval, preopens, files: new Map() };
  const journal = chain.open(interval);
  try {
    for (const start of journal.starts().reverse()) {
      const record = journal.read(start);
      const isContent = record.change === 'bytes' || record.change === 'zeros';
      // Contents are undone together, and synced once.
      if (!isContent && finishFiles(undoing)) journal.cutTo(start + journal.lengthAt(start));
      undo(undoing, record);
      if (!isContent) {
        finishFiles(undoing);
        journal.cutTo(start);
      }
    }
    finishFiles(undoing);
    journal.cutTo(0);
    journal.sync();
    chain.dropKept(interval);
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure('undo what the guest changed in its files', error);
  } finally {
    finishFiles(undoing);
    journal.close();
  }
}

/** Syncs and closes what was written to; whether there was anything. */
function finishFiles({ files }: Undoing): boolean {
  const any = files.size > 0;
  for (const fd of files.values()) {
    const errno = syncFile(fd, true);
    closeSync(fd);
    if (errno !== ERRNO.SUCCESS && errno !== ERRNO.NOTSUP) {
      files.clear();
      throw new HostError(
        'ERR_IO',
        "What was undone in the guest's files could not be made durable.",
        {
          facts: { errno },
        },
      );
    }
  }
  files.clear();
  return any;
}

function undo(undoing: Undoing, record: UndoRecord): void {
  switch (record.change) {
    case 'touched':
      undoTouched(undoing, record);
      break;
    case 'bytes':
      writeAt(fileOf(undoing, record.where), record.bytes, record.start);
      break;
    case 'zeros':
      writeZeros(fileOf(undoing, record.where), record.start, record.lengthBytes);
      break;
    case 'times':
      undoTimes(undoing, record);
      break;
    case 'making':
      undoMaking(undoing, record);
      break;
    case 'made':
      undoMade(undoing, record);
      break;
    case 'removed':
      undoRemoved(undoing, record);
      break;
    case 'renamed':
      undoRenamed(undoing, record);
      break;
  }
}

// — contents —

function undoTouched(undoing: Undoing, { where, sizeBytes, atimeNs, mtimeNs }: Change<'touched'>) {
  ftruncateSync(fileOf(undoing, where), sizeBytes);
  finishFiles(undoing);
  atThing(undoing, where, (path) => setTimes(path, atimeNs, mtimeNs));
}

/** The old file, open for writing. */
function fileOf(undoing: Undoing, where: Where): number {
  const key = keyOf(where.identity);
  const open = undoing.files.get(key);
  if (open !== undefined) return open;
  return atThing(undoing, where, (path) => {
    const flags = constants.O_RDWR | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    const fd = openSync(path, flags);
    const stats = fstatSync(fd, { bigint: true });
    if (!stats.isFile() || !isThing(undoing, where.identity, stats)) {
      closeSync(fd);
      throw foreign(undoing, where);
    }
    undoing.files.set(key, fd);
    return fd;
  });
}

function writeAt(fd: number, bytes: Uint8Array, start: number): void {
  for (let done = 0; done < bytes.length; ) {
    done += writeSync(fd, bytes, done, bytes.length - done, start + done);
  }
}

/** Up to the end of the file: what it is longer by later is zeros. */
function writeZeros(fd: number, start: number, lengthBytes: number): void {
  const end = Math.min(start + lengthBytes, fstatSync(fd).size);
  for (let at = start; at < end; ) {
    at += writeSync(fd, ZEROS, 0, Math.min(ZEROS.length, end - at), at);
  }
}

function undoTimes(undoing: Undoing, { where, atimeNs, mtimeNs }: Change<'times'>): void {
  atPlace(undoing, where.dir, where.path, (path) => {
    const stats = look(path);
    // Times alone are not worth a refusal.
    if (stats !== null && isThing(undoing, where.identity, stats)) setTimes(path, atimeNs, mtimeNs);
  });
}

function setTimes(path: string, atime: bigint, mtime: bigint): void {
  setTimesOfPath(path, { atime, mtime, nowNs: 0n });
}

// — names —

/** All that is known is that something was to be made: an empty thing of that kind is what was made. */
function undoMaking(undoing: Undoing, { dir, path: name, kind }: Change<'making'>): void {
  atPlace(undoing, dir, name, (path) => {
    const stats = look(path);
    if (stats === null) return;
    if (kind === 'file' && stats.isFile() && stats.size === 0n) unlinkSync(path);
    if (kind === 'link' && stats.isSymbolicLink()) unlinkSync(path);
    if (kind === 'directory' && stats.isDirectory() && readdirSync(path).length === 0) {
      rmdirSync(path);
    }
  });
}

/** Gone already when the guest removed it itself. */
function undoMade(undoing: Undoing, { where, kind }: Change<'made'>): void {
  atPlace(undoing, where.dir, where.path, (path) => {
    const stats = look(path);
    if (stats === null || !isThing(undoing, where.identity, stats)) return;
    if (kind !== 'directory') unlinkSync(path);
    else if (readdirSync(path).length === 0) rmdirSync(path);
    else throw refusal(undoing, where, 'others have put something into it');
  });
}

function undoRemoved(undoing: Undoing, record: Change<'removed'>): void {
  const { where, kind, target } = record;
  const found = atPlace(undoing, where.dir, where.path, (path) => {
    const stats = look(path);
    if (stats !== null && isThing(undoing, where.identity, stats)) {
      dropKept(undoing, where);
      return true;
    }
    const isKept = where.kept !== null && look(undoing.chain.keptPath(where.kept)) !== null;
    if (kind === 'file' || isKept) bringBack(undoing, record, path, stats);
    else if (stats === null && record.hasOthers && linkAgain(undoing, where, path)) return true;
    else if (stats === null && kind === 'link') {
      const errno = makeLink(target ?? '', path);
      if (errno !== ERRNO.SUCCESS) throw refusal(undoing, where, 'can not be made again');
      madeAnew(undoing, record, path);
    } else if (kind === 'directory' && (stats === null || isEmptyDirectory(path, stats))) {
      if (stats === null) mkdirSync(path);
      setMode(path, record.mode);
      madeAnew(undoing, record, path);
    } else throw foreign(undoing, where);
    return true;
  });
  if (found === null) throw refusal(undoing, where, 'was in a directory that is gone');
}

/** Gives a file that was removed its name again. */
function bringBack(
  undoing: Undoing,
  record: Change<'removed'>,
  path: string,
  stats: BigIntStats | null,
): void {
  const { where, mode } = record;
  if (stats !== null) throw foreign(undoing, where);
  const keptPath = where.kept === null ? null : undoing.chain.keptPath(where.kept);
  const kept = keptPath === null ? null : look(keptPath);
  if (keptPath === null || kept === null) {
    if (!linkAgain(undoing, where, path)) throw refusal(undoing, where, 'was not kept');
    return;
  }
  if (isThing(undoing, where.identity, kept)) {
    renameSync(keptPath, path);
    return;
  }
  // A copy, from another file system. It appears whole or not at all.
  const beside = `${path}.${undoing.interval.mark}`;
  // Left by an undo that was killed: nobody else knows the mark.
  if (look(beside) !== null) unlinkSync(beside);
  copyFile(keptPath, beside);
  setMode(beside, mode);
  madeAnew(undoing, record, beside);
  renameSync(beside, path);
  unlinkSync(keptPath);
}

/** Gives a name again to a thing that had more than one; false when no other is found. */
function linkAgain(undoing: Undoing, where: Where, path: string): boolean {
  const preopen = preopenOf(undoing.preopens, where.dir);
  const { dev, ino } = undoing.chain.successorOf(where.identity);
  const other = otherName(preopen, { dev, ino }, where.path);
  if (other === null) return false;
  atPlace(undoing, where.dir, other, (from) => {
    const stats = look(from);
    if (stats === null || !isThing(undoing, where.identity, stats)) throw foreign(undoing, where);
    linkSync(from, path);
  });
  return true;
}

function dropKept({ chain }: Undoing, { kept }: Where): void {
  if (kept === null) return;
  const path = chain.keptPath(kept);
  if (look(path) !== null) unlinkSync(path);
}

/** `path` is what stands for the removed thing from now on. */
function madeAnew({ chain }: Undoing, record: Change<'removed'>, path: string): void {
  setTimes(path, record.atimeNs, record.mtimeNs);
  chain.addSuccessor(
    chain.successorOf(record.where.identity),
    identityOf(lstatSync(path, { bigint: true })),
  );
}

function isEmptyDirectory(path: string, stats: BigIntStats): boolean {
  return stats.isDirectory() && readdirSync(path).length === 0;
}

function undoRenamed(undoing: Undoing, record: Change<'renamed'>): void {
  const { where, toDir, toPath, isNew } = record;
  const moved = atPlace(undoing, where.dir, where.path, (path) => {
    const stats = look(path);
    if (stats !== null && isThing(undoing, where.identity, stats)) return true;
    return atPlace(undoing, toDir, toPath, (to) => {
      const there = look(to);
      if (there === null || !isThing(undoing, where.identity, there)) return null;
      if (stats !== null) throw foreign(undoing, where);
      renameSync(to, path);
      return true;
    });
  });
  if (moved === null && !isNew) throw refusal(undoing, where, 'is gone or was replaced');
}

// — finding things —

/** Whether `stats` are those of the thing that was `identity`, or of what stands for it since. */
function isThing({ chain }: Undoing, identity: Identity, stats: BigIntStats): boolean {
  return chain.isSuccessor(identity, identityOf(stats));
}

function look(path: string): BigIntStats | null {
  return lstatSync(path, { bigint: true, throwIfNoEntry: false }) ?? null;
}

/** `work` on the path of an old thing; refused by name when it can't be reached. */
function atThing<T>(undoing: Undoing, where: Where, work: (path: string) => T): T {
  if (where.kept !== null) {
    const keptPath = undoing.chain.keptPath(where.kept);
    if (look(keptPath) !== null) return work(keptPath);
  }
  const done = atPlace(undoing, where.dir, where.path, (path) => {
    const stats = look(path);
    if (stats === null) return null;
    if (!isThing(undoing, where.identity, stats)) throw foreign(undoing, where);
    return { value: work(path) };
  });
  if (done === null) throw refusal(undoing, where, 'is gone');
  return done.value;
}

/** `work` on the host's path of `path` below the granted `dir`; null when there is no way to it. */
function atPlace<T>(
  { preopens }: Undoing,
  dir: string,
  path: string,
  work: (hostPath: string) => T,
): T | null {
  const preopen = preopenOf(preopens, dir);
  let walk: Walk | null = null;
  try {
    const started = startWalk(preopen.root, path === '' ? '.' : path);
    if (typeof started === 'number') return null;
    walk = started;
    return work(hostPathOf(walk));
  } catch (error) {
    if (error instanceof HostError) throw error;
    const errno = errnoOf(error);
    if (errno === ERRNO.NOENT || errno === ERRNO.NOTDIR) return null;
    throw ioFailure(`undo a change of ${shownPath(preopen.grant, path)}`, error);
  } finally {
    if (walk !== null) endWalk(walk);
  }
}

function preopenOf(preopens: readonly Preopen[], dir: string): Preopen {
  const preopen = preopens.find(
    ({ grant, rollback }) => grant.guestPath === dir && rollback !== null,
  );
  if (preopen !== undefined) return preopen;
  throw new HostError(
    'ERR_RESOURCE_NOT_GRANTED',
    "What the guest changed in a directory can't be undone, since that is not granted to be rolled back now.",
    { hint: 'grant the directories that the job had, with --dir HOST::GUEST::rollback' },
  );
}

function foreign(undoing: Undoing, where: Where): HostError {
  return refusal(undoing, where, 'was replaced by something else');
}

function refusal({ preopens }: Undoing, where: Where, why: string): HostError {
  return notUndone(preopenOf(preopens, where.dir).grant, where.path, why);
}
