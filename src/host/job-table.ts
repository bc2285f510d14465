/**
 * The process table: one SQLite database under STASIS_HOME that every host process writes its own
 * rows to. No process owns it; who is alive is asked of the kernel, never read from a row.
 *
 * Layout (`PRAGMA user_version` is TABLE_VERSION):
 *   jobs   id, name (unique to its owner), owner, module, created_at
 *   runs   (job, number), parent (JSON), request (JSON), host and cell (JSON), socket, started_at,
 *          ended_at, outcome (JSON), checkpoint (JSON), trouble
 *
 * Invariants:
 * 1. A job has at least one run; both begin in one transaction.
 * 2. A new run begins only when the newest one is over or its host is gone; decided in the transaction
 *    that inserts it, so two restores at once can't both begin.
 * 3. A run's outcome is written once.
 */
import { closeSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { DatabaseSync, type SQLOutputValue } from 'node:sqlite';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import {
  type JobRecord,
  type JobView,
  jobState,
  type RunCheckpoint,
  type RunOutcome,
  type RunRecord,
} from './job-records.ts';
import { type Caps, NO_CAPS } from './policy.ts';
import type { ProcessIdentity } from './process-identity.ts';

const TABLE_VERSION = 1;
const PAGE_BYTES = 65_536;
/** Others hold the database for single short transactions. */
const BUSY_TIMEOUT_MS = 10_000;

const SQLITE_BUSY = 5;
const SQLITE_CORRUPT = 11;
const SQLITE_FULL = 13;
const SQLITE_CONSTRAINT_UNIQUE = 2067;
const SQLITE_NOTADB = 26;

const SCHEMA = `
  CREATE TABLE jobs (
    id TEXT PRIMARY KEY, name TEXT NOT NULL, owner TEXT NOT NULL, module TEXT NOT NULL,
    created_at TEXT NOT NULL, UNIQUE (owner, name)
  ) STRICT;
  CREATE TABLE runs (
    job TEXT NOT NULL REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER NOT NULL, parent TEXT,
    request TEXT NOT NULL, host TEXT NOT NULL, cell TEXT, socket TEXT, started_at TEXT NOT NULL,
    ended_at TEXT, outcome TEXT, checkpoint TEXT, trouble TEXT, PRIMARY KEY (job, number)
  ) STRICT;
  PRAGMA user_version = ${TABLE_VERSION};
`;

const NEWEST = `
  SELECT jobs.id, jobs.name, jobs.owner, jobs.module, jobs.created_at, runs.*
  FROM jobs JOIN runs ON runs.job = jobs.id
  WHERE runs.number = (SELECT max(number) FROM runs WHERE job = jobs.id)
`;

export type NewRun = Pick<RunRecord, 'parent' | 'request' | 'host' | 'startedAt'>;

type Row = Record<string, SQLOutputValue>;

export class JobTable {
  readonly #database: DatabaseSync;

  /** Opens or makes the table. Throws ERR_STATE_VERSION, ERR_STATE_DAMAGED, ERR_IO, ERR_DISK_FULL. */
  constructor(path: string) {
    try {
      // SQLite gives its side files the mode of the database.
      closeSync(openSync(path, 'a', 0o600));
    } catch (error) {
      throw ioFailure('open the process table', error);
    }
    this.#database = guard(() => new DatabaseSync(path, { timeout: BUSY_TIMEOUT_MS }));
    guard(() =>
      this.#database.exec(
        'PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON',
      ),
    );
    this.#transaction(() => {
      const version = Number(this.#database.prepare('PRAGMA user_version').get()?.['user_version']);
      if (version === 0) this.#database.exec(SCHEMA);
      else if (version !== TABLE_VERSION) {
        throw new HostError(
          'ERR_STATE_VERSION',
          'The state directory was written by a newer version.',
          {
            facts: { found: version, supported: TABLE_VERSION },
            hint: 'use that version, or another STASIS_HOME',
          },
        );
      }
    });
  }

  close(): void {
    this.#database.close();
  }

  /** Adds a job and its first run. Throws ERR_JOB_EXISTS, ERR_QUOTA. */
  createJob(job: JobRecord, run: NewRun, caps: Caps = NO_CAPS): void {
    this.#transaction(() => {
      this.#checkCaps(job.owner, run, caps);
      try {
        this.#database
          .prepare('INSERT INTO jobs (id, name, owner, module, created_at) VALUES (?, ?, ?, ?, ?)')
          .run(job.id, job.name, job.owner, job.moduleDigest, job.createdAt);
      } catch (error) {
        if (sqliteCode(error) !== SQLITE_CONSTRAINT_UNIQUE) throw error;
        throw new HostError('ERR_JOB_EXISTS', `There is a job named ${job.name} already.`, {
          facts: { name: job.name },
          hint: `stasis rm ${job.name}, or choose another --name`,
        });
      }
      this.#insertRun(job.id, 1, run);
    });
  }

  /** Adds the next run of a job and gives its number. Throws ERR_JOB_RUNNING, ERR_NO_SUCH_JOB, ERR_QUOTA. */
  beginRun(id: string, run: NewRun, caps: Caps = NO_CAPS): number {
    return this.#transaction(() => {
      const newest = this.#read(`${NEWEST} AND jobs.id = ?`, id)[0];
      if (newest === undefined) throw noSuchJob(id);
      if (jobState(newest.run) === 'running') throw jobRunning(newest);
      this.#checkCaps(newest.job.owner, run, caps);
      const number = newest.run.number + 1;
      this.#insertRun(id, number, run);
      return number;
    });
  }

  /** In the transaction that adds the run, so that two at once can't both have the last place. */
  #checkCaps(owner: string, { request }: NewRun, { jobs, memoryBytes }: Caps): void {
    if (jobs === null && memoryBytes === null) return;
    const running = this.#read(
      `${NEWEST} AND jobs.owner = ? AND runs.outcome IS NULL`,
      owner,
    ).filter(({ run }) => jobState(run) === 'running');
    checkCap('jobs', jobs, running.length, 1);
    const used = running.reduce((sum, { run }) => sum + run.request.memoryPages, 0) * PAGE_BYTES;
    checkCap('memoryBytes', memoryBytes, used, request.memoryPages * PAGE_BYTES);
  }

  #insertRun(id: string, number: number, run: NewRun): void {
    this.#database
      .prepare(
        'INSERT INTO runs (job, number, parent, request, host, started_at) VALUES (?, ?, ?, ?, ?, ?)',
      )
      .run(
        id,
        number,
        run.parent === null ? null : JSON.stringify(run.parent),
        JSON.stringify(run.request),
        JSON.stringify(run.host),
        run.startedAt,
      );
  }

  /** Notes the processes of a run that is under way. */
  setProcesses(id: string, number: number, cell: ProcessIdentity, socket: string): void {
    this.#change(
      'UPDATE runs SET cell = ?, socket = ? WHERE job = ? AND number = ?',
      JSON.stringify(cell),
      socket,
      id,
      number,
    );
  }

  setCheckpoint(id: string, number: number, checkpoint: RunCheckpoint): void {
    this.#change(
      'UPDATE runs SET checkpoint = ?, trouble = NULL WHERE job = ? AND number = ?',
      JSON.stringify(checkpoint),
      id,
      number,
    );
  }

  /** Notes in one sentence why the newest checkpoint of a run came to nothing. */
  setTrouble(id: string, number: number, trouble: string): void {
    this.#change('UPDATE runs SET trouble = ? WHERE job = ? AND number = ?', trouble, id, number);
  }

  endRun(id: string, number: number, outcome: RunOutcome, endedAt: string): void {
    this.#change(
      'UPDATE runs SET outcome = ?, ended_at = ? WHERE job = ? AND number = ? AND outcome IS NULL',
      JSON.stringify(outcome),
      endedAt,
      id,
      number,
    );
  }

  /** The owner's job with that name or id. Throws ERR_NO_SUCH_JOB. */
  find(owner: string, nameOrId: string): JobView {
    const found = this.#read(
      `${NEWEST} AND jobs.owner = ? AND (jobs.name = ? OR jobs.id = ?) ORDER BY jobs.name = ? DESC`,
      owner,
      nameOrId,
      nameOrId,
      nameOrId,
    )[0];
    if (found === undefined) throw noSuchJob(nameOrId);
    return found;
  }

  /** All jobs of an owner, oldest first. */
  list(owner: string): JobView[] {
    return this.#read(`${NEWEST} AND jobs.owner = ? ORDER BY jobs.created_at, jobs.id`, owner);
  }

  /** All jobs of all owners, oldest first. */
  all(): JobView[] {
    return this.#read(`${NEWEST} ORDER BY jobs.created_at, jobs.id`);
  }

  /** All runs of a job, oldest first. */
  runs(id: string): RunRecord[] {
    return guard(() =>
      this.#database
        .prepare('SELECT * FROM runs WHERE job = ? ORDER BY number')
        .all(id)
        .map(readRun),
    );
  }

  remove(id: string): void {
    this.#change('DELETE FROM jobs WHERE id = ?', id);
  }

  /**
   * Hands over the digests of the modules that jobs of any owner here were made from. No job can be added until
   * `body` is over: one whose module is kept meanwhile would find it gone.
   */
  withModules<T>(body: (digests: ReadonlySet<string>) => T): T {
    return this.#transaction(() => {
      const rows = this.#database.prepare('SELECT DISTINCT module FROM jobs').all();
      return body(new Set(rows.map((row) => String(row['module']))));
    });
  }

  /** Writes the whole table, as it is at one moment, to `path`, in place of what is there. Throws ERR_IO. */
  copyTo(path: string): void {
    const scratch = `${path}.${process.pid}`;
    try {
      rmSync(scratch, { force: true });
      closeSync(openSync(scratch, 'wx', 0o600));
    } catch (error) {
      throw ioFailure('copy the process table', error);
    }
    guard(() => this.#database.prepare('VACUUM INTO ?').run(scratch));
    try {
      const fd = openSync(scratch, 'r');
      try {
        fsyncSync(fd);
      } finally {
        closeSync(fd);
      }
      renameSync(scratch, path);
    } catch (error) {
      throw ioFailure('copy the process table', error);
    }
  }

  #read(sql: string, ...values: string[]): JobView[] {
    return guard(() =>
      this.#database
        .prepare(sql)
        .all(...values)
        .map((row) => ({ job: readJob(row), run: readRun(row) })),
    );
  }

  #change(sql: string, ...values: (string | number)[]): void {
    guard(() => this.#database.prepare(sql).run(...values));
  }

  #transaction<T>(body: () => T): T {
    return guard(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        const result = body();
        this.#database.exec('COMMIT');
        return result;
      } catch (error) {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
        throw error;
      }
    });
  }
}

function readJob(row: Row): JobRecord {
  return {
    id: String(row['id']),
    name: String(row['name']),
    owner: String(row['owner']),
    moduleDigest: String(row['module']),
    createdAt: String(row['created_at']),
  };
}

/** Rows are this program's own writing; what does not parse is damage. */
function readRun(row: Row): RunRecord {
  const json = (column: string) => {
    const value = row[column];
    if (typeof value !== 'string') return null;
    try {
      return JSON.parse(value);
    } catch (cause) {
      throw damaged(cause);
    }
  };
  const plain = (column: string) => (row[column] === null ? null : String(row[column]));
  return {
    number: Number(row['number']),
    parent: json('parent'),
    // A run from before there was a choice was on our own layer.
    request: { wasi: 'stasis', ...json('request') },
    host: json('host'),
    cell: json('cell'),
    socket: plain('socket'),
    startedAt: String(row['started_at']),
    endedAt: plain('ended_at'),
    outcome: json('outcome'),
    checkpoint: json('checkpoint'),
    trouble: plain('trouble'),
  };
}

export function noSuchJob(nameOrId: string): HostError {
  return new HostError('ERR_NO_SUCH_JOB', `There is no job named ${JSON.stringify(nameOrId)}.`, {
    hint: 'stasis ps --all lists the jobs',
  });
}

export function jobRunning({ job }: JobView): HostError {
  return new HostError('ERR_JOB_RUNNING', `The job ${job.name} is running.`, {
    facts: { job: job.name },
    hint: `stasis kill ${job.name} first`,
  });
}

function checkCap(
  cap: 'jobs' | 'memoryBytes',
  allowed: number | null,
  used: number,
  asked: number,
): void {
  if (allowed === null || used + asked <= allowed) return;
  throw new HostError(
    'ERR_QUOTA',
    cap === 'jobs'
      ? `You may run ${allowed} jobs at a time, and run ${used}.`
      : `The guests that you run may have ${allowed} bytes of memory together, and this is more.`,
    {
      facts: { cap, allowed, used, asked },
      hint:
        cap === 'jobs'
          ? 'stasis ps shows them; stasis kill ends one'
          : 'give this one less with --max-memory, or end another: stasis ps, stasis kill',
    },
  );
}

function sqliteCode(error: unknown): number | null {
  if (!(error instanceof Error) || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode : null;
}

function damaged(cause: unknown): HostError {
  return new HostError('ERR_STATE_DAMAGED', 'The process table is damaged.', {
    hint: 'move jobs.db away; checkpoints are kept elsewhere and stay',
    cause,
  });
}

/** Runs `body` and gives SQLite's errors their names here. */
function guard<T>(body: () => T): T {
  try {
    return body();
  } catch (error) {
    const extended = sqliteCode(error);
    if (extended === null) throw error;
    switch (extended & 0xff) {
      case SQLITE_BUSY:
        throw new HostError('ERR_STATE_BUSY', 'The process table was in use for too long.', {
          cause: error,
          hint: 'do it again',
        });
      case SQLITE_FULL:
        throw ioFailure('write the process table', Object.assign(new Error(), { code: 'ENOSPC' }));
      case SQLITE_CORRUPT:
      case SQLITE_NOTADB:
        throw damaged(error);
      default:
        throw ioFailure('use the process table', error);
    }
  }
}
