/**
 * One connection to a database of keys and values: a SQLite file with two tables.
 *
 *   PRAGMA application_id   0x5374_6b76 (`Stkv`)      PRAGMA user_version   1
 *   entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID
 *   identity (id BLOB NOT NULL)     one row: 16 random bytes, drawn when the file was made
 *
 * Keys are ordered byte by byte. The journal is a write-ahead log, and a commit is on the disk when it
 * returns (`synchronous=FULL`).
 *
 * Invariants:
 * 1. A file that is neither empty nor such a database is refused, and nothing in it is changed.
 * 2. Statements live as long as the connection; after a checkpoint and after a restart both are new.
 * 3. No statement stays open between two calls: a cursor is a position, not a statement.
 */
import { DatabaseSync, type StatementSync } from 'node:sqlite';

const APPLICATION_ID = 0x5374_6b76;
const USER_VERSION = 1;
/**
 * Whoever comes first after a crash puts the log in order, and keeps all others out for that long. Short,
 * unless the log is very large; less than the time that a provider has.
 */
const OPENING_MS = 5000;

/** An entry as it is read. */
export interface Entry {
  readonly key: Uint8Array;
  readonly value: Uint8Array;
}

/** A stretch of keys: `from` ≤ key < `to`; null for no bound. */
export interface KeyRange {
  readonly from: Uint8Array | null;
  readonly to: Uint8Array | null;
  readonly descending: boolean;
}

/** A file that is something else. The message completes "the database NAME …". */
export class ForeignFile extends Error {}

export class KvDatabase {
  readonly #connection: DatabaseSync;
  readonly #get: StatementSync;
  readonly #put: StatementSync | null;
  readonly #delete: StatementSync | null;
  /** Each finds one entry by one bound, so each is one descent of the tree. */
  readonly #seek: Readonly<Record<'from' | 'behind' | 'before' | 'end', StatementSync>>;
  readonly id: Uint8Array;

  /** Throws ForeignFile, and what SQLite throws (see `sqlite-errno.ts`). */
  constructor(path: string, readOnly: boolean) {
    const timeout = OPENING_MS;
    this.#connection = new DatabaseSync(path, { readOnly, timeout, allowExtension: false });
    try {
      this.id = this.#enter(readOnly);
      // From here on the calls wait for others, where a checkpoint can interrupt it.
      this.#connection.exec('PRAGMA busy_timeout = 0');
      const prepare = (sql: string): StatementSync => this.#connection.prepare(sql);
      this.#get = prepare('SELECT value FROM entries WHERE key = ?');
      this.#put = readOnly
        ? null
        : prepare(
            'INSERT INTO entries VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET value = excluded.value',
          );
      this.#delete = readOnly ? null : prepare('DELETE FROM entries WHERE key = ?');
      const first = (where: string, order = ''): StatementSync =>
        prepare(`SELECT key, value FROM entries ${where} ORDER BY key ${order} LIMIT 1`);
      this.#seek = {
        from: first('WHERE key >= ?'),
        behind: first('WHERE key > ?'),
        before: first('WHERE key < ?', 'DESC'),
        end: first('', 'DESC'),
      };
    } catch (error) {
      this.#connection.close();
      throw error;
    }
  }

  #enter(readOnly: boolean): Uint8Array {
    const connection = this.#connection;
    const pragma = (name: string): unknown =>
      Object.values(connection.prepare(`PRAGMA ${name}`).get() ?? {})[0];
    const isOurs = pragma('application_id') === APPLICATION_ID;
    if (isOurs && pragma('user_version') !== USER_VERSION) {
      throw new ForeignFile('was written by a newer version');
    }
    if (!isOurs) {
      const { count } = connection.prepare('SELECT count(*) AS count FROM sqlite_schema').get()!;
      if (readOnly || count !== 0 || pragma('application_id') !== 0) {
        throw new ForeignFile('is a file of something else');
      }
      connection.exec('PRAGMA journal_mode = WAL');
    }
    connection.exec('PRAGMA synchronous = FULL');
    if (!isOurs) {
      // Two guests may make it at the same time: the second finds it made.
      connection.exec(`
        BEGIN IMMEDIATE;
        CREATE TABLE IF NOT EXISTS entries (key BLOB PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
        CREATE TABLE IF NOT EXISTS identity (id BLOB NOT NULL);
        INSERT INTO identity SELECT randomblob(16) WHERE NOT EXISTS (SELECT 1 FROM identity);
        PRAGMA application_id = ${APPLICATION_ID};
        PRAGMA user_version = ${USER_VERSION};
        COMMIT;`);
    }
    const { id } = connection.prepare('SELECT id FROM identity').get() ?? {};
    if (!(id instanceof Uint8Array)) throw new ForeignFile('lacks its identity');
    return id;
  }

  get isReadOnly(): boolean {
    return this.#put === null;
  }

  get inTransaction(): boolean {
    return this.#connection.isTransaction;
  }

  get(key: Uint8Array): Uint8Array | null {
    const row = this.#get.get(key);
    return row === undefined ? null : (row['value'] as Uint8Array);
  }

  put(key: Uint8Array, value: Uint8Array): void {
    this.#put!.run(key, value);
  }

  /** Whether there was one. */
  delete(key: Uint8Array): boolean {
    return this.#delete!.run(key).changes === 1;
  }

  /** The first entry of `range`, in its order, that lies behind `last`; null at the end. */
  next({ from, to, descending }: KeyRange, last: Uint8Array | null): Entry | null {
    const { from: seekFrom, behind, before, end } = this.#seek;
    let row: unknown;
    if (!descending) row = last === null ? seekFrom.get(from ?? EMPTY) : behind.get(last);
    else if (last !== null || to !== null) row = before.get(last ?? to!);
    else row = end.get();
    const entry = (row ?? null) as Entry | null;
    if (entry === null) return null;
    const isBeyond = descending
      ? from !== null && Buffer.compare(entry.key, from) < 0
      : to !== null && Buffer.compare(entry.key, to) >= 0;
    return isBeyond ? null : entry;
  }

  /** A reader sees one state of the database until the end; a writer also keeps other writers out. */
  begin(): void {
    this.#connection.exec(this.isReadOnly ? 'BEGIN' : 'BEGIN IMMEDIATE');
  }

  commit(): void {
    this.#connection.exec('COMMIT');
  }

  rollback(): void {
    this.#connection.exec('ROLLBACK');
  }

  /** Rolls back what is open. */
  close(): void {
    this.#connection.close();
  }
}

/** Below every key. */
const EMPTY = new Uint8Array(0);
