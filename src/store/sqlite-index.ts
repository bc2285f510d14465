/**
 * The index in SQLite: one database in WAL mode, synchronous=FULL, that several processes have open at
 * once.
 *
 * Invariants:
 * 1. One transaction at a time on the connection: everything goes through one queue, so a piece of work
 *    may wait in its middle and nobody sees it half done.
 * 2. Waiting for another process never blocks the event loop: SQLite's own waiting is off, and BEGIN is
 *    tried again after a pause.
 * 3. A database of a newer format, or one whose tables are not ours, is refused before it is changed.
 */
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as pause } from 'node:timers/promises';
import { HostError } from '../fault/host-error.ts';
import { prepareIndexRows } from './index-rows.ts';
import { APPLICATION_ID, FORMATS, INDEX_FORMAT } from './index-schema.ts';
import { createSerialQueue, type SerialQueue } from './serial-queue.ts';
import { BUSY, isBusy, isDiskFull, LOGIC, sqliteFailure } from './sqlite-failure.ts';
import type { Index } from './store.ts';

/** Short, since who writes one transaction after the other leaves the lock free for moments only. */
const RETRY_PAUSE_MS_MAX = 5;

type Rows = ReturnType<typeof prepareIndexRows>;

export interface SqliteIndex extends Index {
  /** As `write`, with the rows of freed packs, which are the pack store's own business. */
  exclusively<T>(work: (rows: Rows) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface SqliteIndexOptions {
  /** An existing file, empty for a new index. */
  readonly path: string;
  /** How long a transaction waits for other processes before ERR_VAULT_BUSY. */
  readonly busyMsMax: number;
}

/** Throws ERR_VAULT_VERSION, ERR_VAULT_DAMAGED, ERR_VAULT_BUSY, ERR_DISK_FULL, ERR_IO. */
export async function openSqliteIndex({
  path,
  busyMsMax,
}: SqliteIndexOptions): Promise<SqliteIndex> {
  const database = await openDatabase(path, busyMsMax);
  const rows = prepareIndexRows(database);
  const queue = createSerialQueue();
  const run = transactionRunner(database, queue, busyMsMax);
  return {
    read: (work) => run('read the index', 'BEGIN', () => work(rows)),
    write: (work) => run('write the index', 'BEGIN IMMEDIATE', () => work(rows)),
    exclusively: (work) => run('write the index', 'BEGIN IMMEDIATE', () => work(rows)),
    scrub: () => queue(() => scrub(database, busyMsMax)),
    copyTo: (path) => queue(() => copyTo(database, path, busyMsMax)),
    checkStructure: () => queue(async () => checkStructure(database)),
    close: () =>
      queue(async () => {
        if (database.isOpen) database.close();
      }),
  };
}

async function openDatabase(path: string, busyMsMax: number): Promise<DatabaseSync> {
  let database: DatabaseSync | null = null;
  try {
    const opened = new DatabaseSync(path, { timeout: 0 });
    database = opened;
    opened.exec('PRAGMA trusted_schema = OFF; PRAGMA cell_size_check = ON;');
    // What is removed from a page that is written anyway is zeroed; `scrub` does away with the rest.
    opened.exec('PRAGMA secure_delete = FAST');
    // SQLite does not wait, whatever it is told, when two processes change a new database to WAL at once.
    await patiently(() => prepareFormat(opened), busyMsMax);
    return opened;
  } catch (error) {
    database?.close();
    throw sqliteFailure('open the index', error, [LOGIC]);
  }
}

/** Makes the tables or brings them up to date where needed; can be done again after it was interrupted. */
function prepareFormat(database: DatabaseSync): void {
  try {
    // Before anything is changed, WAL mode included: a newer vault stays exactly as it is.
    const format = within(database, 'BEGIN', () => checkFormat(database));
    database.exec('PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;');
    if (format < INDEX_FORMAT) within(database, 'BEGIN IMMEDIATE', () => bringUpToDate(database));
    checkSchema(database, INDEX_FORMAT);
  } catch (error) {
    rollBack(database);
    throw error;
  }
}

/** All that is read within is of one moment. */
function within<T>(database: DatabaseSync, begin: string, work: () => T): T {
  database.exec(begin);
  const result = work();
  database.exec('COMMIT');
  return result;
}

/** The format that the database has; 0 when it has no tables yet. */
function checkFormat(database: DatabaseSync): number {
  const format = pragma(database, 'user_version');
  const application = pragma(database, 'application_id');
  if (application === APPLICATION_ID && format > INDEX_FORMAT) {
    throw new HostError(
      'ERR_VAULT_VERSION',
      `The vault has format ${format}, and this version reads up to format ${INDEX_FORMAT}.`,
      {
        facts: { found: format, supported: INDEX_FORMAT },
        hint: 'use the version that wrote the vault, or a newer one',
      },
    );
  }
  if (application === APPLICATION_ID && format > 0) return format;
  const tables = database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'];
  if (application === 0 && format === 0 && tables === 0) return 0;
  throw notOurs();
}

/** Takes the steps that are missing, in one transaction: an index is of one format or of the other. */
function bringUpToDate(database: DatabaseSync): void {
  // Another process may have been first.
  const format = checkFormat(database);
  if (format > 0) checkSchema(database, format);
  for (const step of FORMATS.slice(format)) database.exec(step);
  database.exec(
    `PRAGMA application_id = ${APPLICATION_ID}; PRAGMA user_version = ${INDEX_FORMAT};`,
  );
}

/** A trigger or a column put there by somebody else would run inside our transactions. */
function checkSchema(database: DatabaseSync, format: number): void {
  const model = new DatabaseSync(':memory:');
  for (const step of FORMATS.slice(0, format)) model.exec(step);
  const list = 'SELECT type, name, tbl_name, sql FROM sqlite_schema ORDER BY type, name';
  const expected = JSON.stringify(model.prepare(list).all());
  model.close();
  if (JSON.stringify(database.prepare(list).all()) !== expected) throw notOurs();
}

function notOurs(): HostError {
  return new HostError(
    'ERR_VAULT_DAMAGED',
    "The vault's index is damaged: its tables are not ours.",
  );
}

function pragma(database: DatabaseSync, name: 'user_version' | 'application_id'): number {
  return Number(database.prepare(`PRAGMA ${name}`).get()?.[name]);
}

function transactionRunner(
  database: DatabaseSync,
  queue: SerialQueue,
  busyMsMax: number,
): <T>(operation: string, begin: string, work: () => Promise<T>) => Promise<T> {
  return (operation, begin, work) =>
    queue(async () => {
      try {
        await patiently(() => database.exec(begin), busyMsMax);
        const result = await work();
        commit(database, begin !== 'BEGIN');
        return result;
      } catch (error) {
        rollBack(database);
        throw sqliteFailure(operation, error);
      }
    });
}

function commit(database: DatabaseSync, writes: boolean): void {
  try {
    database.exec('COMMIT');
  } catch (error) {
    // A full disk stopped the commit frame itself; after any other failure it may be in the log already.
    if (!writes || isBusy(error) || isDiskFull(error)) throw error;
    throw new HostError('ERR_IO', 'Could not write the index: the commit failed.', {
      facts: { operation: 'commit', outcome: 'unknown' },
      cause: error,
    });
  }
}

/**
 * A new database from the rows that there are, in place of the old one, and an empty log. Free pages and
 * unused parts of pages, where old rows may stand, are gone with it.
 */
async function scrub(database: DatabaseSync, busyMsMax: number): Promise<boolean> {
  try {
    await patiently(() => database.exec('VACUUM'), busyMsMax);
    await patiently(() => emptyLog(database), busyMsMax);
    return true;
  } catch (error) {
    if (isBusy(error)) return false;
    throw sqliteFailure('scrub the index', error);
  }
}

/** Throws as a busy database does while others still read from the log. */
function emptyLog(database: DatabaseSync): void {
  const row = database.prepare('PRAGMA wal_checkpoint(TRUNCATE)').get();
  if (row?.['busy'] !== 0) throw Object.assign(new Error('the log is in use'), { errcode: BUSY });
}

async function copyTo(database: DatabaseSync, path: string, busyMsMax: number): Promise<void> {
  try {
    await patiently(() => database.prepare('VACUUM INTO ?').run(path), busyMsMax);
  } catch (error) {
    throw sqliteFailure('copy the index', error);
  }
}

/**
 * What an index at `path` says that this process has not open: the vault's id, and the packs that it names.
 * Throws ERR_VAULT_DAMAGED, ERR_IO.
 */
export async function readCopiedIndex(
  path: string,
): Promise<{ readonly vault: Uint8Array | null; readonly packs: readonly string[] }> {
  let database: DatabaseSync | null = null;
  try {
    database = new DatabaseSync(path, { readOnly: true });
    // Of any format: these columns have been there from the first.
    const vault = database.prepare('SELECT id FROM vault').get()?.['id'];
    const names = database.prepare('SELECT name FROM packs').all();
    return {
      vault: vault instanceof Uint8Array ? vault : null,
      packs: names.map(({ name }) => String(name)),
    };
  } catch (error) {
    throw sqliteFailure('read the copy of the index', error, [LOGIC]);
  } finally {
    database?.close();
  }
}

function checkStructure(database: DatabaseSync): void {
  let rows: readonly Record<string, unknown>[];
  try {
    rows = database.prepare('PRAGMA integrity_check(1)').all();
  } catch (error) {
    throw sqliteFailure('check the index', error);
  }
  if (rows.length === 1 && rows[0]!['integrity_check'] === 'ok') return;
  throw new HostError('ERR_VAULT_DAMAGED', "The vault's index is damaged.", {
    facts: { operation: 'check the index' },
  });
}

function rollBack(database: DatabaseSync): void {
  try {
    if (database.isTransaction) database.exec('ROLLBACK');
  } catch {
    // SQLite rolls back by itself after the failures that end a transaction.
  }
}

/** Tries until the lock is free, with longer and longer pauses. */
async function patiently(attempt: () => void, busyMsMax: number): Promise<void> {
  let waitedMs = 0;
  for (let tries = 0; ; tries++) {
    try {
      attempt();
      return;
    } catch (error) {
      if (!isBusy(error) || waitedMs >= busyMsMax) throw error;
    }
    const pauseMs = Math.min(1 + tries, RETRY_PAUSE_MS_MAX);
    await pause(pauseMs);
    waitedMs += pauseMs;
  }
}
