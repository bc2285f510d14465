/**
 * A lease tells whether the process that writes packs is still alive: a file that it keeps locked as long
 * as it lives, and that the kernel unlocks when it dies, however it dies.
 *
 * Node has no lock of its own, so SQLite's is used: the lease is an empty database within an exclusive
 * transaction that is never committed. That holds across process-id namespaces, where a number in a name would
 * not. Leases are taken and judged only inside a write transaction of the index, so nobody judges a lease
 * that is made but not locked yet.
 */
import { DatabaseSync } from 'node:sqlite';
import { isBusy } from './sqlite-failure.ts';

export interface Lease {
  /** Gives the lock up. The file stays. */
  release(): void;
}

/** Locks the existing, empty file at `path`; null when somebody else has it locked. */
export function takeLease(path: string): Lease | null {
  const database = new DatabaseSync(path, { timeout: 0 });
  try {
    // In memory: the lock is the point, and a journal would be a second file to clean up.
    database.exec('PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE');
    // A file that can't be opened for writing is opened for reading without a word, and then nothing is locked.
    // This change fails there; here it stays in memory, since nobody commits it.
    database.exec('PRAGMA user_version = 1');
  } catch (error) {
    database.close();
    if (isBusy(error)) return null;
    throw error;
  }
  return { release: () => database.close() };
}
