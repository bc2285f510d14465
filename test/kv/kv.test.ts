import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import type { KvGrant } from '../../src/kv/kv-grant.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import type { ProviderState } from '../../src/resource/provider.ts';
import { newChance } from '../e2e/random-source.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { findImports, readSource } from '../source-imports.ts';
import { type Answer, type KvGuest, kvGuest, restart, resume } from './kv-guest.ts';

const CALLS = 5000;
const scratch = scratchDirectory();
let files = 0;

function newGrant(name = 'main', readOnly = false): KvGrant {
  files += 1;
  return { name, hostPath: join(scratch, `${files}.db`), readOnly };
}

/** As somebody else's process sees the file. */
function others({ hostPath }: KvGrant): DatabaseSync {
  return new DatabaseSync(hostPath);
}

type Step = (guest: KvGuest) => Answer;

/** Everything that a guest can hold, step by step; a transaction stands at the end. */
const SCRIPT: readonly Step[] = [
  (guest) => guest.open('main'),
  (guest) => guest.put(1, 'b', 'two'),
  (guest) => guest.put(1, 'a', 'one'),
  (guest) => guest.put(1, 'd', ''),
  (guest) => guest.put(1, 'c', 'three'),
  (guest) => guest.open('main'),
  (guest) => guest.get(2, 'b'),
  (guest) => guest.cursor(1, '', ''),
  (guest) => guest.cursor(2, 'b', 'd'),
  (guest) => guest.cursor(1, 'b', 'd', 1),
  (guest) => guest.cursor(1, '', '', 1),
  (guest) => guest.next(1),
  (guest) => guest.next(2),
  (guest) => guest.next(3),
  (guest) => guest.next(4),
  (guest) => guest.delete(1, 'b'),
  (guest) => guest.put(1, 'ab', 'between'),
  (guest) => guest.next(1),
  (guest) => guest.next(1),
  (guest) => guest.next(2),
  (guest) => guest.next(2),
  (guest) => guest.next(3),
  (guest) => guest.next(4),
  (guest) => guest.close(2),
  (guest) => guest.next(2),
  (guest) => guest.cursor(1, 'x', ''),
  (guest) => guest.next(2),
  (guest) => guest.put(1, 'y', 'late'),
  (guest) => guest.next(2),
  (guest) => guest.get(1, 'b'),
  (guest) => guest.cursorClose(3),
  (guest) => guest.next(3),
  (guest) => guest.open('main'),
  (guest) => guest.begin(1),
  (guest) => guest.put(1, 'z', 'undone'),
  (guest) => guest.rollback(1),
  (guest) => guest.get(2, 'z'),
  (guest) => guest.begin(1),
  (guest) => guest.put(1, 'z', 'done'),
  (guest) => guest.commit(1),
  (guest) => guest.get(2, 'z'),
];

const EXPECTED: readonly Answer[] = [
  { number: 1 },
  0,
  0,
  0,
  0,
  { number: 2 },
  'two',
  { number: 1 },
  { number: 2 },
  { number: 3 },
  { number: 4 },
  ['a', 'one'],
  ['b', 'two'],
  ['c', 'three'],
  ['d', ''],
  0,
  0,
  ['ab', 'between'],
  ['c', 'three'],
  ['c', 'three'],
  ERRNO.NOENT,
  ERRNO.NOENT,
  ['c', 'three'],
  0,
  ERRNO.BADF,
  { number: 2 },
  ERRNO.NOENT,
  0,
  ['y', 'late'],
  ERRNO.NOENT,
  0,
  ERRNO.BADF,
  { number: 2 },
  0,
  0,
  0,
  ERRNO.NOENT,
  0,
  0,
  0,
  'done',
];

describe('a script of calls', () => {
  test('answers as the header says', () => {
    const guest = kvGuest([newGrant()]);
    expect(SCRIPT.map((step) => step(guest))).toEqual(EXPECTED);
    expect(guest.registry.close()).toBe(null);
  });

  test('answers the same with a checkpoint, or a restart, between any two calls', async () => {
    let captured = 0;
    let refused = 0;
    for (const again of [resume, (guest: KvGuest, grant: KvGrant) => restart(guest, [grant])]) {
      for (let at = 0; at <= SCRIPT.length; at++) {
        const grant = newGrant();
        let guest = kvGuest([grant]);
        const answers = SCRIPT.slice(0, at).map((step) => step(guest));
        try {
          guest = await again(guest, grant);
          captured += 1;
        } catch (error) {
          expect(String(error)).toContain('a transaction on the database main is open');
          refused += 1;
        }
        answers.push(...SCRIPT.slice(at).map((step) => step(guest)));
        expect(answers, `after call ${at}`).toEqual(EXPECTED);
        guest.registry.close();
      }
    }
    expect({ captured, refused }).toEqual({ captured: 2 * (SCRIPT.length + 1 - 4), refused: 8 });
  });
});

describe('while the guest is away', () => {
  test('others change the database, and it sees what is there then', async () => {
    const grant = newGrant();
    const guest = kvGuest([grant]);
    guest.open('main');
    guest.put(1, 'k1', 'old');
    guest.put(1, 'k3', 'old');
    guest.cursor(1, 'k', 'l');
    expect(guest.next(1)).toEqual(['k1', 'old']);
    const states = await guest.registry.quiesce();
    // All connections are closed: the write-ahead log is gone, the file is whole by itself.
    expect(() => statSync(`${grant.hostPath}-wal`)).toThrow('ENOENT');
    const other = others(grant);
    other.exec("INSERT INTO entries VALUES (CAST('k0' AS BLOB), CAST('new' AS BLOB))");
    other.exec("INSERT INTO entries VALUES (CAST('k2' AS BLOB), CAST('new' AS BLOB))");
    other.exec("DELETE FROM entries WHERE key = CAST('k3' AS BLOB)");
    other.close();
    guest.registry.close();
    const again = kvGuest([grant]);
    await again.registry.rebuild(states, 'restarted');
    expect(again.next(1)).toEqual(['k2', 'new']);
    expect(again.next(1)).toBe(ERRNO.NOENT);
    expect(again.get(1, 'k3')).toBe(ERRNO.NOENT);
  });

  test.each<[string, (grant: KvGrant) => readonly KvGrant[], string]>([
    ['not granted', () => [], 'is not granted today: grant it with --kv main=FILE'],
    ['granted by another name', (grant) => [{ ...grant, name: 'other' }], 'is not granted today'],
    ['another file', () => [newGrant()], 'another database than the guest had open as main'],
  ])('%s: refused by name', async (_, today, why) => {
    const grant = newGrant();
    const guest = kvGuest([grant]);
    guest.open('main');
    await expect(restart(guest, today(grant))).rejects.toThrow(why);
  });

  test('its file was taken away: nothing is restored', async () => {
    const grant = newGrant();
    const guest = kvGuest([grant]);
    guest.open('main');
    const states = await guest.registry.quiesce();
    writeFileSync(grant.hostPath, 'nonsense, and enough of it to be no database file at all');
    await expect(guest.registry.rebuild(states, 'resumed')).rejects.toThrow('not a database');
    expect(guest.registry.isLost).toBe(true);
  });
});

describe('others who write at the same time', () => {
  test('are waited for', () => {
    const grant = newGrant();
    const guest = kvGuest([grant]);
    guest.open('main');
    const other = others(grant);
    other.exec('BEGIN IMMEDIATE');
    let waits = 0;
    guest.pause = () => {
      waits += 1;
      if (waits === 3) other.exec('COMMIT');
      return 'timeout';
    };
    expect(guest.put(1, 'a', 'b')).toBe(0);
    expect(waits).toBe(3);
    other.close();
  });

  test('for five seconds, then it is BUSY; a checkpoint interrupts the wait', async () => {
    const grant = newGrant();
    const guest = kvGuest([grant]);
    guest.open('main');
    const other = others(grant);
    other.exec('BEGIN IMMEDIATE');
    expect(guest.begin(1)).toBe(ERRNO.BUSY);
    expect(guest.nowNs).toBe(5_000_000_000n);
    guest.pause = () => 'interrupted';
    expect(guest.put(1, 'a', 'b')).toBe(INTERRUPTED);
    await resume(guest);
    other.exec('COMMIT');
    other.close();
    expect(guest.put(1, 'a', 'b')).toBe(0);
  });
});

test('a file that somebody keeps to himself for a moment, as after a crash, is waited for', async () => {
  const grant = newGrant();
  const guest = kvGuest([grant]);
  guest.open('main');
  guest.put(1, 'a', 'b');
  const states = await guest.registry.quiesce();
  const holding = `
    const { DatabaseSync } = require('node:sqlite');
    const database = new DatabaseSync(process.argv[1]);
    database.exec('PRAGMA locking_mode = EXCLUSIVE; BEGIN IMMEDIATE; COMMIT');
    console.log('held');
    setTimeout(() => database.close(), 500);`;
  const child = spawn(process.execPath, ['-e', holding, grant.hostPath]);
  await once(child.stdout, 'data');
  await guest.registry.rebuild(states, 'resumed');
  expect(guest.get(1, 'a')).toBe('b');
  await once(child, 'close');
});

describe('arguments', () => {
  const far = 0xffff_fff0 | 0;
  test.each<[string, string, readonly number[], number]>([
    ['a name beyond memory', 'open', [far, 32, 0], ERRNO.FAULT],
    ['a result beyond memory', 'open', [64, 4, 65_533], ERRNO.FAULT],
    ['a name that is too long', 'open', [64, 65, 0], ERRNO.NOENT],
    ['a name that is not granted', 'open', [64, 3, 0], ERRNO.NOENT],
    ['no such database', 'get', [9, 64, 1, 128, 1, 32], ERRNO.BADF],
    ['no such database', 'close', [0], ERRNO.BADF],
    ['an empty key', 'put', [1, 64, 0, 64, 1], ERRNO.INVAL],
    ['a key that is too long', 'put', [1, 0, 4097, 64, 1], ERRNO.TOOBIG],
    ['a key beyond memory', 'delete', [1, 65_000, 4000], ERRNO.FAULT],
    ['a value beyond memory', 'put', [1, 64, 1, 0, -1], ERRNO.FAULT],
    ['unknown flags', 'cursor', [1, 0, 0, 0, 0, 2, 32], ERRNO.INVAL],
    ['a bound that is too long', 'cursor', [1, 0, 0, 0, 5000, 0, 32], ERRNO.TOOBIG],
    ['no such cursor', 'next', [1, 0, 0, 32, 0, 0, 36], ERRNO.BADF],
    ['no transaction', 'commit', [1], ERRNO.INVAL],
    ['no transaction', 'rollback', [1], ERRNO.INVAL],
  ])('%s: %s', (_, name, args, errno) => {
    const guest = kvGuest([newGrant()]);
    guest.open('main');
    const before = Buffer.from(guest.memory.bytes).toString('base64');
    expect(guest.call(name, ...args)).toBe(errno);
    expect(Buffer.from(guest.memory.bytes).toString('base64')).toBe(before);
  });

  test('what does not fit tells its length, and a cursor stays', () => {
    const guest = kvGuest([newGrant()]);
    guest.open('main');
    guest.put(1, 'key', 'value');
    expect(guest.call('get', 1, 128, 3, 8192, 4, 36)).toBe(ERRNO.OVERFLOW);
    expect(guest.memory.view.getUint32(36, true)).toBe(5);
    guest.cursor(1, '', '');
    expect(guest.call('next', 1, 128, 2, 32, 8192, 9, 36)).toBe(ERRNO.OVERFLOW);
    expect(guest.memory.view.getUint32(32, true)).toBe(3);
    expect(guest.next(1)).toEqual(['key', 'value']);
  });

  test('at most 16 databases and 64 cursors', () => {
    const guest = kvGuest([newGrant()]);
    for (let number = 1; number <= 16; number++) expect(guest.open('main')).toEqual({ number });
    expect(guest.open('main')).toBe(ERRNO.MFILE);
    for (let number = 1; number <= 64; number++) {
      expect(guest.cursor(1, '', '')).toEqual({ number });
    }
    expect(guest.cursor(1, '', '')).toBe(ERRNO.MFILE);
    expect(guest.close(1)).toBe(0);
    expect(guest.cursor(2, '', '')).toEqual({ number: 1 });
  });

  test('a database for reading only is not written', () => {
    const grant = newGrant();
    kvGuest([grant]).registry.close();
    const guest = kvGuest([{ ...grant, readOnly: true }]);
    guest.open('main');
    expect(guest.put(1, 'a', 'b')).toBe(ERRNO.ROFS);
    expect(guest.delete(1, 'a')).toBe(ERRNO.ROFS);
    expect(guest.begin(1)).toBe(0);
    expect(guest.get(1, 'a')).toBe(ERRNO.NOENT);
    expect(guest.commit(1)).toBe(0);
  });

  test('any at all: an errno, never an exception', () => {
    const chance = newChance();
    const grant = newGrant();
    const guest = kvGuest([grant]);
    guest.pause = () => 'timeout';
    guest.memory.bytes.set(Buffer.from('main'), 64);
    const names = [...guest.functions.keys()];
    const odd = [0, 1, 2, 4, 36, 64, 4096, 4097, 8192, 65_535, 65_536, -1, -(2 ** 31), 2 ** 31 - 1];
    const errnos = new Set<number>();
    for (let call = 0; call < CALLS; call++) {
      const name = names[chance.below(names.length)]!;
      const args = Array.from({ length: 7 }, () =>
        chance.below(3) > 0 ? odd[chance.below(odd.length)]! : chance.below(70_000),
      );
      const errno = guest.call(name, ...args);
      expect(Object.values(ERRNO), `${name}(${args}), seed ${chance.seed}`).toContain(errno);
      errnos.add(errno);
    }
    process.stdout.write(
      `kv: ${CALLS} calls, ${errnos.size} different errnos, seed ${chance.seed}\n`,
    );
    expect(errnos.size).toBeGreaterThan(3);
    expect(guest.registry.close()).toBe(null);
  });
});

describe('what is granted and is no such database', () => {
  test('is refused, and stays as it was', () => {
    const grant = newGrant();
    const other = others(grant);
    other.exec('CREATE TABLE mine (a)');
    other.close();
    const before = readFileSync(grant.hostPath);
    expect(() => kvGuest([grant])).toThrow(/main, .*, is a file of something else/);
    expect(readFileSync(grant.hostPath)).toEqual(before);
    expect(() => kvGuest([{ ...newGrant(), readOnly: true }])).toThrow("can't be opened");
  });
});

describe('a state that no guest left', () => {
  const number = { number: 1, name: 'main', id: new Uint8Array(16) };
  const cursor = { number: 1, database: 1, from: null, to: null, descending: false, last: null };
  test.each<[string, unknown]>([
    ['a database twice', { databases: [number, number], cursors: [] }],
    ['a cursor twice', { databases: [number], cursors: [cursor, cursor] }],
    ['a cursor in no database', { databases: [], cursors: [cursor] }],
    [
      'a key that is too long',
      {
        databases: [number],
        cursors: [{ ...cursor, last: new Uint8Array(5000) }],
      },
    ],
  ])('%s is refused', async (_, state) => {
    const guest = kvGuest([newGrant()]);
    const states = [{ kind: 'kv', version: 1, state }] as unknown as ProviderState[];
    await expect(guest.registry.rebuild(states, 'restarted')).rejects.toMatchObject({
      code: 'ERR_MALFORMED_IMAGE',
    });
  });
});

test('the room uses what stasis/provider offers, and nothing else of ours', () => {
  const source = readSource();
  const offered = new Set(
    source
      .filter(({ path }) => path === 'provider.ts')
      .flatMap((file) => findImports(file).flatMap(({ names }) => names)),
  );
  expect(offered.size).toBeGreaterThan(20);
  const used = source
    .filter(({ path }) => path.startsWith('kv/'))
    .flatMap(findImports)
    .filter(({ own, to }) => own && !to.startsWith('kv/'))
    .flatMap(({ names }) => names);
  expect(used.length).toBeGreaterThan(10);
  for (const name of used) expect([...offered]).toContain(name);
});
