import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import type { HostError } from '../../src/fault/host-error.ts';
import {
  checkJobName,
  inventJobName,
  type JobRecord,
  jobState,
  type RunRecord,
} from '../../src/host/job-records.ts';
import { JobTable, type NewRun } from '../../src/host/job-table.ts';
import { claimDirectory, placesUnder, preparePlaces } from '../../src/host/places.ts';
import { NO_CAPS } from '../../src/host/policy.ts';
import { identifyProcess, isAlive, killProcess } from '../../src/host/process-identity.ts';
import type { RunEnding } from '../../src/host/run-ending.ts';
import { plainRequest } from './plain-request.ts';
import { scratchDirectory } from './scratch.ts';

const scratch = scratchDirectory();
let tables = 0;

function freshPath(): string {
  tables += 1;
  return join(scratch, `jobs-${tables}.db`);
}

const alive = identifyProcess(process.pid);
const gone = { ...alive, stamp: `${alive.stamp}0` };

function job(name: string, owner = 'uid:1'): JobRecord {
  return {
    id: `${owner}-${name}`,
    name,
    owner,
    moduleDigest: 'd',
    createdAt: '2026-01-01T00:00:00Z',
  };
}

function run(host = alive): NewRun {
  return {
    parent: null,
    request: plainRequest,
    host,
    startedAt: '2026-01-01T00:00:00Z',
  };
}

const exited: RunEnding = { kind: 'exit', code: 3 };
const outcome = { ending: exited, fuel: '9007199254740993', calls: '2', memoryDigest: null };

describe('the process table', () => {
  test('gives back what was put in, also to another opener', () => {
    const path = freshPath();
    const table = new JobTable(path);
    table.createJob(job('a'), run());
    table.setProcesses('uid:1-a', 1, alive, '/s');
    table.setTrouble('uid:1-a', 1, 'The disk is full.');
    table.setCheckpoint('uid:1-a', 1, { sequence: 4, stamp: 't' });
    table.endRun('uid:1-a', 1, outcome, '2026-01-02T00:00:00Z');
    table.endRun('uid:1-a', 1, { ...outcome, fuel: '1' }, '2026-01-03T00:00:00Z');
    const other = new JobTable(path);
    const view = other.find('uid:1', 'a');
    expect(view.job).toEqual(job('a'));
    expect(view.run).toMatchObject({
      number: 1,
      cell: alive,
      socket: '/s',
      outcome,
      checkpoint: { sequence: 4, stamp: 't' },
      trouble: null,
      endedAt: '2026-01-02T00:00:00Z',
    });
    expect(other.withModules((digests) => new Set(digests))).toEqual(new Set(['d']));
    table.close();
    other.close();
    expect(statSync(path).mode & 0o777).toBe(0o600);
  });

  test('keeps names unique to an owner, and owners apart', () => {
    const table = new JobTable(freshPath());
    table.createJob(job('a'), run());
    table.createJob(job('a', 'uid:2'), run());
    expect(() => table.createJob({ ...job('a'), id: 'other' }, run())).toThrow(
      expect.objectContaining({ code: 'ERR_JOB_EXISTS' }),
    );
    expect(table.list('uid:1').length).toBe(1);
    expect(() => table.find('uid:3', 'a')).toThrow(
      expect.objectContaining({ code: 'ERR_NO_SUCH_JOB' }),
    );
    expect(() => table.find('uid:2', 'uid:1-a')).toThrow(
      expect.objectContaining({ code: 'ERR_NO_SUCH_JOB' }),
    );
    table.close();
  });

  test('begins a run only when the one before is over or its host is gone', () => {
    const table = new JobTable(freshPath());
    table.createJob(job('a'), run());
    expect(() => table.beginRun('uid:1-a', run())).toThrow(
      expect.objectContaining({ code: 'ERR_JOB_RUNNING' }),
    );
    table.endRun('uid:1-a', 1, outcome, 'x');
    expect(table.beginRun('uid:1-a', run(gone))).toBe(2);
    expect(jobState(table.find('uid:1', 'a').run)).toBe('lost');
    expect(table.beginRun('uid:1-a', run())).toBe(3);
    expect(table.runs('uid:1-a').map(({ number }) => number)).toEqual([1, 2, 3]);
    table.remove('uid:1-a');
    expect(table.runs('uid:1-a')).toEqual([]);
    expect(() => table.beginRun('uid:1-a', run())).toThrow(
      expect.objectContaining({ code: 'ERR_NO_SUCH_JOB' }),
    );
    table.close();
  });

  test('holds an owner to the caps, counting what runs and no more', () => {
    const table = new JobTable(freshPath());
    const caps = { ...NO_CAPS, jobs: 2, memoryBytes: 3 * 65_536 };
    const sized = (memoryPages: number, host = alive): NewRun => ({
      ...run(host),
      request: { ...run().request, memoryPages },
    });
    const refusal = (work: () => void) => {
      try {
        work();
      } catch (error) {
        return (error as HostError).facts;
      }
      return null;
    };
    table.createJob(job('other', 'uid:2'), sized(900));
    table.createJob(job('lost'), sized(900, gone), NO_CAPS);
    table.createJob(job('a'), sized(2), caps);
    expect(refusal(() => table.createJob(job('b'), sized(2), caps))).toEqual({
      cap: 'memoryBytes',
      allowed: 3 * 65_536,
      used: 2 * 65_536,
      asked: 2 * 65_536,
    });
    table.createJob(job('b'), sized(1), caps);
    const full = { cap: 'jobs', allowed: 2, used: 2, asked: 1 };
    expect(refusal(() => table.createJob(job('c'), sized(0), caps))).toEqual(full);
    expect(refusal(() => table.beginRun('uid:1-lost', sized(0), caps))).toEqual(full);
    // Nothing of what was refused is there.
    expect(table.list('uid:1').map(({ job }) => job.name)).toEqual(['a', 'b', 'lost']);
    table.endRun('uid:1-a', 1, outcome, 'x');
    expect(table.beginRun('uid:1-lost', sized(2), caps)).toBe(2);
    table.close();
  });

  test('refuses a table of a newer version, and what is no table', () => {
    const newer = freshPath();
    new JobTable(newer).close();
    const database = new DatabaseSync(newer);
    database.exec('PRAGMA user_version = 99');
    database.close();
    expect(() => new JobTable(newer)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_VERSION', facts: { found: 99, supported: 1 } }),
    );
    const other = freshPath();
    writeFileSync(
      other,
      'this is no database, though it is long enough to look like one '.repeat(20),
    );
    expect(() => new JobTable(other)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_DAMAGED' }),
    );
  });
});

test.each<[RunEnding, string]>([
  [exited, 'exited'],
  [{ kind: 'trap', message: 'm' }, 'trapped'],
  [{ kind: 'limit', limit: 'fuel' }, 'limit'],
  [{ kind: 'deadline' }, 'limit'],
  [{ kind: 'signal', signal: 'SIGTERM', by: 'host' }, 'killed'],
  [{ kind: 'checkpointed' }, 'stopped'],
  [{ kind: 'failed', code: 'ERR_IO', message: 'm', hint: null, facts: {} }, 'failed'],
])('an ending %o makes the state %s', (ending, state) => {
  const record = { ...run(gone), outcome: { ...outcome, ending } } as unknown as RunRecord;
  expect(jobState(record)).toBe(state);
});

describe('names of jobs', () => {
  test.each(['a', 'job-1', 'A.b_c', 'x'.repeat(63)])('%s is one', (name) => {
    expect(() => checkJobName(name)).not.toThrow();
  });

  test.each(['', '-a', '.a', 'a b', 'a/b', 'a\n', 'é', '\u202ea', 'x'.repeat(64)])(
    '%j is none',
    (name) => {
      expect(() => checkJobName(name)).toThrow(expect.objectContaining({ code: 'ERR_USAGE' }));
    },
  );

  test.each(['/x/nqueens.wasm', '/x/-.wasm', '/x/\u001b[31m.wasm', '/x/..wasm', '/x/ü.wasm', '/'])(
    'one is invented for %j',
    (path) => {
      expect(() =>
        checkJobName(inventJobName(path, (count) => new Uint8Array(count))),
      ).not.toThrow();
    },
  );
});

describe('identities of processes', () => {
  test('this one is alive; one with its number from another time is not', () => {
    expect(isAlive(alive)).toBe(true);
    expect(isAlive(gone)).toBe(false);
  });

  test('one that ended is not alive, and killing it does nothing', () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    const identity = { pid: pid!, stamp: null };
    expect(isAlive(identity)).toBe(false);
    killProcess(identity);
    killProcess(gone);
    expect(isAlive(alive)).toBe(true);
  });
});

describe('the state directory', () => {
  test('is made for its user alone', () => {
    const places = placesUnder(join(scratch, 'deep', 'home'), join(scratch, 'short'));
    preparePlaces(places);
    preparePlaces(places);
    for (const path of [places.home, places.jobs, places.sockets, places.modules, places.cache]) {
      expect(statSync(path).mode & 0o777).toBe(0o700);
    }
  });

  test('a place where nothing can be made is refused at once', () => {
    expect(() => preparePlaces(placesUnder('/proc/stasis-test', '/proc'))).toThrow(
      expect.objectContaining({ name: 'HostError' }),
    );
  });

  test('is refused when others can write it', () => {
    const home = join(scratch, 'open');
    mkdirSync(home);
    chmodSync(home, 0o777);
    expect(() => preparePlaces(placesUnder(home, home))).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_ACCESS' }),
    );
    expect(() => claimDirectory(home)).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_ACCESS' }),
    );
  });

  test('is refused when a file stands in its place', () => {
    const file = join(scratch, 'file');
    writeFileSync(file, '');
    expect(() => preparePlaces(placesUnder(file, file))).toThrow(
      expect.objectContaining({ code: 'ERR_STATE_ACCESS' }),
    );
  });
});
