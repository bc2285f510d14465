/**
 * Locks between the processes that share a pool. They belong to an open file and end with the process
 * that holds them, however it ends: a word in shared memory would outlive its holder.
 *
 *   lock 0        the pool's mutex: held only within one call, by who looks at or changes the frames
 *   lock 1 to 64  one for each guest that has the pool open, held as long as it does
 *
 * On Linux they belong to the open page file: unlike locks of the process, another open of the same file
 * neither shares nor drops them. The mutex is a lock on the whole file, whose two calls take a quarter of
 * the time of others, because nothing but small integers is passed; the guests' are locks on single bytes
 * far beyond its end. Elsewhere they are SQLite's: each an empty database within an exclusive transaction.
 */
import { DatabaseSync } from 'node:sqlite';
import type { PoolCalls } from './pool-calls.ts';

export const MUTEX = 0;
export const GUESTS_MAX = 64;

export interface PoolLocks {
  /** Takes a lock if nobody has it. */
  take(lock: number): boolean;
  release(lock: number): void;
  /** Whether somebody else holds a guest's lock. */
  isHeld(lock: number): boolean;
  /** Whether somebody else holds any of the locks of guests. */
  anyGuest(): boolean;
  /** Gives up what is held. */
  close(): void;
}

/** Beyond any file, so that no byte of the file is ever meant. */
const FIRST_BYTE = 2n ** 62n;

/** `fd`: the page file, open for writing; closing it gives up the locks. */
export function rangeLocks(calls: PoolCalls, fd: number): PoolLocks {
  const byte = (lock: number): bigint => FIRST_BYTE + BigInt(lock);
  return {
    take: (lock) => (lock === MUTEX ? calls.lockFile(fd) : calls.lock(fd, byte(lock))),
    release: (lock) => (lock === MUTEX ? calls.unlockFile(fd) : calls.unlock(fd, byte(lock))),
    isHeld: (lock) => calls.isLocked(fd, byte(lock), 1n),
    anyGuest: () => calls.isLocked(fd, byte(1), BigInt(GUESTS_MAX)),
    close: () => undefined,
  };
}

/** `path`: what the names of the locks' files begin with. */
export function databaseLocks(path: string): PoolLocks {
  const held = new Map<number, DatabaseSync>();
  const take = (lock: number): boolean => {
    if (held.has(lock)) return false;
    const database = new DatabaseSync(`${path}${lock}`, { timeout: 0 });
    try {
      // In memory: the lock is the point, and a journal would be a second file to clean up.
      database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    } catch (error) {
      database.close();
      if (isBusy(error)) return false;
      throw error;
    }
    held.set(lock, database);
    return true;
  };
  const release = (lock: number): void => {
    held.get(lock)?.close();
    held.delete(lock);
  };
  const isHeld = (lock: number): boolean => {
    if (held.has(lock)) return false;
    if (!take(lock)) return true;
    release(lock);
    return false;
  };
  return {
    take,
    release,
    isHeld,
    anyGuest: () => {
      for (let lock = 1; lock <= GUESTS_MAX; lock++) if (isHeld(lock)) return true;
      return false;
    },
    close: () => {
      for (const lock of [...held.keys()]) release(lock);
    },
  };
}

/** SQLITE_BUSY and SQLITE_LOCKED. */
function isBusy(error: unknown): boolean {
  const code = (error as { readonly errcode?: unknown }).errcode;
  return typeof code === 'number' && [5, 6].includes(code & 0xff);
}
