/**
 * The files of a pool, opened by one guest's process.
 *
 *   FILE            page file, and the locks of `pool-locks.ts`
 *   FILE-journal    the batch that is being written
 *   FILE-frames     the frames, while any guest has the pool open
 *   FILE-lock-N     only where the system has no locks of ranges
 *
 * They lie beside each other, so that whoever opens the page file meets the others who have it open,
 * whatever state directory, container or mount they come from.
 *
 * Invariants:
 * 1. Under the mutex, who finds no other guest's lock is alone: it finishes the journal and makes
 *    FILE-frames anew, under a new inode. What frames of dead guests held and did not flush is gone.
 * 2. Who is not alone takes FILE-frames only if it is of this page file: same id, same inode.
 * 3. Only regular files that belong to this user, that nobody else can write, and that have one name.
 */
import {
  constants,
  fstatSync,
  ftruncateSync,
  openSync,
  readSync,
  statSync,
  unlinkSync,
} from 'node:fs';
import { constants as system } from 'node:os';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { readTableIdentity, type TableIdentity, tableLayout } from './frame-layout.ts';
import { FrameTable } from './frame-table.ts';
import { PageFile, readHeader } from './page-file.ts';
import type { PoolCalls } from './pool-calls.ts';
import type { PoolGrant } from './pool-grant.ts';
import { databaseLocks, GUESTS_MAX, MUTEX, type PoolLocks, rangeLocks } from './pool-locks.ts';
import { fileBytes, mappedBytes } from './shared-bytes.ts';
import { closeAll, SharedPool, settle, takeMutex } from './shared-pool.ts';
import type { Waits } from './waiting.ts';

export interface PoolFiles {
  readonly table: FrameTable;
  readonly pages: PageFile;
  readonly locks: PoolLocks;
  readonly framesFd: number;
  /** Takes the frames' name away, when nobody else has the pool open. */
  removeFrames(): void;
  /** Lets go of all files and locks; never throws. */
  close(): void;
}

export interface OpenOptions {
  readonly grant: PoolGrant;
  readonly waits: Waits;
  /** Fills with random bytes: a new page file gets an id. */
  readonly random: (into: Uint8Array) => void;
  readonly calls: PoolCalls | null;
}

const ID_BYTES = 16;

/**
 * Opens a pool for one more guest. `interrupted` and `timeout`: the mutex was not to be had; `full`: there
 * are as many guests as can be. Throws ERR_POOL_UNUSABLE, ERR_DISK_FULL, ERR_IO.
 */
export function openPool(options: OpenOptions): SharedPool | 'interrupted' | 'timeout' | 'full' {
  const { grant, waits, calls } = options;
  const fds: (number | null)[] = [];
  let locks: PoolLocks | null = null;
  let table: FrameTable | null = null;
  let framesFd: number | null = null;
  const removeFrames = (): void => {
    const path = `${grant.hostPath}-frames`;
    // Somebody may have replaced the page file, and others made frames of their own since.
    if (framesFd !== null && isNamed(path, framesFd)) removeFile(path);
  };
  const close = (): void => {
    table?.close();
    locks?.close();
    closeAll(fds);
  };
  try {
    // Node's permission model refuses fsync: where that is all there is, each write is durable by itself.
    const flags = constants.O_RDWR | (calls === null ? constants.O_DSYNC : 0);
    const make = grant.readOnly ? 0 : constants.O_CREAT;
    const fd = openOwn(grant.hostPath, 'page file', flags | make);
    fds.push(fd);
    locks = calls === null ? databaseLocks(`${grant.hostPath}-lock-`) : rangeLocks(calls, fd);
    const taken = takeMutex(locks, waits);
    if (taken !== 'entered') {
      close();
      return taken;
    }
    checkStillNamed(grant.hostPath, fd);
    const header = readHeader({
      fd,
      path: grant.hostPath,
      pageBytes: grant.pageBytes,
      calls,
      newId: () => {
        const id = new Uint8Array(ID_BYTES);
        options.random(id);
        return id;
      },
    });
    const journal = `${grant.hostPath}-journal`;
    const journalFd = openOwn(journal, 'journal', flags | constants.O_CREAT);
    fds.push(journalFd);
    const pages = new PageFile({ path: grant.hostPath, header, fd, journalFd, calls });
    const isAlone = !locks.anyGuest();
    if (isAlone) {
      pages.recover();
      pages.truncateJournal();
    }
    const identity = { ...header, frames: grant.frames, inode: inodeOf(fd) };
    const frames = isAlone ? makeFrames(grant, identity, calls) : joinFrames(grant, identity);
    fds.push(frames.fd);
    framesFd = frames.fd;
    table = mapTable(frames, calls);
    if (isAlone) table.create({ ...identity, frames: frames.frames });
    else if (table.isBusy) settle(table, pages);
    const lock = takeGuestLock(table, locks);
    table.setBusy(false);
    locks.release(MUTEX);
    if (lock !== null)
      return new SharedPool(
        { table, pages, locks, framesFd: frames.fd, removeFrames, close },
        lock,
      );
    close();
    return 'full';
  } catch (error) {
    close();
    throw error instanceof HostError ? error : ioFailure('open the pool', error);
  }
}

interface Frames {
  readonly fd: number;
  readonly pageBytes: number;
  readonly frames: number;
}

function makeFrames(grant: PoolGrant, shape: TableIdentity, calls: PoolCalls | null): Frames {
  const path = `${grant.hostPath}-frames`;
  removeFile(path);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const fd = openSync(path, flags, 0o600);
  try {
    const { totalBytes } = tableLayout(shape);
    ftruncateSync(fd, totalBytes);
    // A hole that finds no room when it is written to would end the process.
    const errno = calls?.allocate(fd, totalBytes) ?? 0;
    if (errno !== 0) {
      throw ioFailure('make room for the frames of the pool', { code: systemName(errno) });
    }
    return { fd, pageBytes: shape.pageBytes, frames: shape.frames };
  } catch (error) {
    closeAll([fd]);
    throw error;
  }
}

function joinFrames(grant: PoolGrant, { id, inode, pageBytes }: TableIdentity): Frames {
  const path = `${grant.hostPath}-frames`;
  const fd = openOwn(path, 'file of frames', constants.O_RDWR);
  const header = Buffer.alloc(128);
  readSync(fd, header, 0, header.length, 0);
  const found = readTableIdentity(header);
  const fits =
    found !== null &&
    Buffer.compare(found.id, id) === 0 &&
    found.inode === inode &&
    found.pageBytes === pageBytes &&
    fstatSync(fd).size === tableLayout(found).totalBytes;
  if (fits) return { fd, pageBytes, frames: found.frames };
  closeAll([fd]);
  throw new HostError(
    'ERR_POOL_UNUSABLE',
    `The frames beside ${grant.hostPath} are not of this page file, and guests have it open.`,
    { facts: { file: path }, hint: 'end those guests, then try again' },
  );
}

function mapTable({ fd, pageBytes, frames }: Frames, calls: PoolCalls | null): FrameTable {
  const shape = { pageBytes, frames };
  const { totalBytes } = tableLayout(shape);
  const bytes = calls === null ? null : mappedBytes(calls, fd, totalBytes);
  return new FrameTable(bytes ?? fileBytes(fd), shape);
}

/** A lock of this guest's own, written down; null when all are in use. */
function takeGuestLock(table: FrameTable, locks: PoolLocks): number | null {
  for (let lock = 1; lock <= GUESTS_MAX; lock++) {
    if (!locks.take(lock)) continue;
    // Whoever had it died without a word.
    if (table.hadGuest(lock)) table.clearGuest(lock);
    table.setGuest(lock, true);
    return lock;
  }
  return null;
}

function removeFile(path: string): void {
  try {
    unlinkSync(path);
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw ioFailure(`remove ${path}`, error);
  }
}

/** Opens a file that must be ours alone. */
function openOwn(path: string, what: string, flags: number): number {
  let fd: number;
  try {
    fd = openSync(path, flags | constants.O_NOFOLLOW | constants.O_NONBLOCK, 0o600);
  } catch (error) {
    const code = errorCode(error);
    if (code === 'ELOOP') throw refused(path, what, 'is a symbolic link');
    if (code === 'EISDIR') throw refused(path, what, 'is a directory');
    throw ioFailure(`open the ${what} ${path}`, error);
  }
  const { uid, mode, nlink } = fstatSync(fd);
  const why =
    (mode & constants.S_IFMT) !== constants.S_IFREG
      ? 'is not a regular file'
      : uid !== process.geteuid?.()
        ? 'belongs to another user'
        : (mode & 0o022) !== 0
          ? 'can be written by others'
          : nlink > 1
            ? 'has more than one name'
            : null;
  if (why === null) return fd;
  closeAll([fd]);
  throw refused(path, what, why);
}

function refused(path: string, what: string, why: string): HostError {
  return new HostError('ERR_POOL_UNUSABLE', `The ${what} ${path} ${why}.`, {
    facts: { file: path },
    hint: 'pools are shared by guests of one user, through a regular file of mode 600',
  });
}

/** Whoever replaces a page file replaces it for those who come later, not for those who are here. */
function checkStillNamed(path: string, fd: number): void {
  if (isNamed(path, fd)) return;
  throw new HostError('ERR_POOL_UNUSABLE', `The page file ${path} is being replaced.`, {
    facts: { file: path },
    hint: 'try again',
  });
}

function isNamed(path: string, fd: number): boolean {
  return statSync(path, { bigint: true, throwIfNoEntry: false })?.ino === inodeOf(fd);
}

function inodeOf(fd: number): bigint {
  return fstatSync(fd, { bigint: true }).ino;
}

function systemName(errno: number): string {
  for (const [name, number] of Object.entries(system.errno)) if (number === errno) return name;
  return `errno ${errno}`;
}
