/**
 * The list of an owner's checkpoints, with more of them than one node of the trees holds: what is asked for is
 * answered from what was checked, and a row or a digest that is not as written is refused by whoever would have been
 * told of it.
 */
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { openEmbeddedStore } from '../../src/store/embedded-store.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import type { CheckpointKey, IndexTransaction, Store } from '../../src/store/store.ts';
import { CheckpointList, type ListRoots } from '../../src/vault/checkpoint-list.ts';
import { asKey } from '../../src/vault/sealing.ts';
import { seededRandom } from '../cbor/random-value.ts';
import { makePlaces } from './places.ts';
import { ALICE, makeImage, open, SOFTWARE, sealRequest } from './test-vault.ts';

const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const OWNER = { number: 1, keys: { live: asKey(new Uint8Array(32).fill(7)) } };
const REFUSED = { code: 'ERR_VAULT_DAMAGED' };

interface Listed {
  readonly store: Store;
  readonly database: DatabaseSync;
  roots: ListRoots;
}

async function makeStore(): Promise<Listed> {
  const { root } = makePlaces();
  const store = await openEmbeddedStore({
    directory: root,
    files: nodeFiles,
    writer: 'a'.repeat(16),
  });
  const database = new DatabaseSync(join(root, 'index.sqlite'));
  const listed = { store, database, roots: null as unknown as ListRoots };
  await store.index.write(async (transaction) => {
    listed.roots = await (await CheckpointList.of(transaction, OWNER, [])).save(transaction);
  });
  return listed;
}

function write(
  listed: Listed,
  work: (transaction: IndexTransaction, list: CheckpointList) => Promise<void>,
): Promise<void> {
  return listed.store.index.write(async (transaction) => {
    const list = CheckpointList.kept(transaction, OWNER, listed.roots);
    await work(transaction, list);
    listed.roots = await list.save(transaction);
  });
}

function read<T>({ store, roots }: Listed, work: (list: CheckpointList) => Promise<T>): Promise<T> {
  return store.index.read((view) => work(CheckpointList.kept(view, OWNER, roots)));
}

function keyOf(sequence: number, jobs: number): CheckpointKey {
  const job = new Uint8Array(32).fill(sequence % jobs);
  job[0] = (sequence % jobs) * 41;
  const id = sequence.toString(16).padStart(32, '0');
  return { id, sequence, job: sequence % jobs === 0 ? null : job, mark: null };
}

function add(listed: Listed, keys: readonly CheckpointKey[]): Promise<void> {
  return write(listed, (transaction, list) =>
    list.change(keys, async () => {
      for (const key of keys) {
        await transaction.addCheckpoint({ ...key, owner: 1, record: new Uint8Array() });
      }
    }),
  );
}

async function collect(keys: AsyncGenerator<CheckpointKey>, countMax = 1e9): Promise<number[]> {
  const found: number[] = [];
  for await (const { sequence } of keys) {
    found.push(sequence);
    if (found.length === countMax) break;
  }
  return found;
}

test('whatever is added, marked and removed, the list is what it would be if it were made anew', async () => {
  const listed = await makeStore();
  const random = seededRandom(SEED);
  const there = new Map<number, CheckpointKey>();
  let next = 1;
  for (let round = 0; round < 120; round++) {
    const dice = random();
    if (dice < 0.6 || there.size < 10) {
      // Now and then a jump, so that the trees grow by some levels at once.
      if (random() < 0.05) next += Math.floor(random() * 40_000);
      const keys = Array.from({ length: 1 + Math.floor(random() * 60) }, (_, at) =>
        keyOf(next + at, 5),
      );
      next += keys.length;
      await add(listed, keys);
      for (const key of keys) there.set(key.sequence, key);
      continue;
    }
    const touched = [...there.values()].filter(() => random() < 0.2);
    if (dice < 0.8) {
      await write(listed, (transaction, list) =>
        list.change(touched, async () => {
          for (const { id } of touched) await transaction.removeCheckpoint(id);
        }),
      );
      for (const { sequence } of touched) there.delete(sequence);
    } else {
      const mark = Uint8Array.of(round);
      await write(listed, (transaction, list) =>
        list.change(touched, async () => {
          for (const { id } of touched) await transaction.setCheckpointMark(id, mark);
        }),
      );
      for (const key of touched) there.set(key.sequence, { ...key, mark });
    }
  }
  const expected = [...there.values()].sort((a, b) => a.sequence - b.sequence);
  await read(listed, (list) => list.verify());
  expect(await read(listed, (list) => list.all())).toEqual(expected);
  expect(listed.roots.count).toBe(expected.length);
  const newest = expected.map(({ sequence }) => sequence).toReversed();
  expect(await read(listed, (list) => collect(list.newest(undefined, newest[30]!), 50))).toEqual(
    newest.slice(31, 81),
  );
  const { job } = keyOf(3, 5);
  expect(await read(listed, (list) => collect(list.newest(job!, 1e15)))).toEqual(
    newest.filter((sequence) => [0, 3].includes(sequence % 5)),
  );
  const counts = listed.database.prepare('SELECT count(*) AS rows FROM digests').get();
  console.log(`${expected.length} checkpoints up to ${next}, ${counts!['rows']} digests`);
  await write(listed, (transaction, list) =>
    list.change(expected, async () => {
      for (const { id } of expected) await transaction.removeCheckpoint(id);
    }),
  );
  // Nothing is left of what is gone.
  for (const table of ['digests', 'job_lists']) {
    expect(listed.database.prepare(`SELECT count(*) AS rows FROM ${table}`).get()).toEqual({
      rows: 0,
    });
  }
  await read(listed, (list) => list.verify());
  await listed.store.close();
});

test('a row or digest that is not as written is refused where it matters, and always by a look at everything', async () => {
  const listed = await makeStore();
  await add(
    listed,
    Array.from({ length: 1500 }, (_, at) => keyOf(at + 1, 3)),
  );
  const { database } = listed;
  for (const [table, columns] of Object.entries(COLUMNS)) {
    database.exec(`CREATE TEMP TABLE copy_${table} AS SELECT rowid AS r, ${columns} FROM ${table}`);
  }
  const whole = (): Promise<unknown> => read(listed, (list) => list.verify());
  const last = (): Promise<unknown> =>
    read(listed, (list) => collect(list.newest(undefined, 1e15), 1));
  const random = seededRandom(SEED);
  let tried = 0;
  const changes = [
    'UPDATE checkpoints SET sequence = sequence + 5000 WHERE rowid = ?',
    "UPDATE checkpoints SET id = substr(id, 2) || 'f' WHERE rowid = ?",
    'UPDATE checkpoints SET job = randomblob(32) WHERE rowid = ?',
    "UPDATE checkpoints SET mark = x'00' WHERE rowid = ?",
    'UPDATE checkpoints SET owner = 2 WHERE rowid = ?',
    'DELETE FROM checkpoints WHERE rowid = ?',
    'UPDATE digests SET digest = randomblob(32) WHERE rowid = ?',
    'UPDATE digests SET place = place + 5000 WHERE rowid = ?',
    'UPDATE digests SET level = level + 3 WHERE rowid = ?',
    'DELETE FROM digests WHERE rowid = ?',
    'INSERT INTO digests SELECT owner, tree, level, place + 9000, digest FROM digests WHERE rowid = ?',
    'UPDATE job_lists SET digest = randomblob(32) WHERE rowid = ?',
    'UPDATE job_lists SET height = height + 1 WHERE rowid = ?',
    'DELETE FROM job_lists WHERE rowid = ?',
    'INSERT INTO job_lists SELECT owner, randomblob(32), height, digest FROM job_lists WHERE rowid = ?',
  ];
  for (const change of changes) {
    const table = /(checkpoints|digests|job_lists)/.exec(change)![0];
    const rows = database.prepare(`SELECT rowid AS r FROM ${table}`).all();
    for (let count = 0; count < 6; count++) {
      const { r } = rows[Math.floor(random() * rows.length)]!;
      database.prepare(change).run(r!);
      await expect(whole(), `${change} ${r}`).rejects.toMatchObject(REFUSED);
      restoreRows(table);
      tried++;
    }
  }
  await whole();
  // The last one is asked for by nobody but by way of its own part of the list.
  database.exec('DELETE FROM checkpoints WHERE sequence = 1500');
  await expect(last()).rejects.toMatchObject(REFUSED);
  restoreRows('checkpoints');
  database.exec('DELETE FROM checkpoints WHERE sequence = 3');
  expect(await last()).toEqual([1500]);
  await expect(read(listed, (list) => list.find(keyOf(3, 3).id))).rejects.toMatchObject(REFUSED);
  restoreRows('checkpoints');
  await whole();
  console.log(`${tried} changes of a list of 1500, all refused`);
  expect(tried).toBe(changes.length * 6);
  await listed.store.close();

  function restoreRows(table: string): void {
    const columns = COLUMNS[table]!;
    database.exec(
      `DELETE FROM ${table};
       INSERT INTO ${table} (rowid, ${columns}) SELECT r, ${columns} FROM copy_${table}`,
    );
  }
});

const COLUMNS: Readonly<Record<string, string>> = {
  checkpoints: 'id, owner, sequence, job, record, mark',
  digests: 'owner, tree, level, place, digest',
  job_lists: 'owner, job, height, digest',
};

test('a change beside a row that was changed behind our back makes nothing right', async () => {
  const places = makePlaces();
  const vault = await open(places);
  const ids: string[] = [];
  for (let seed = 0; seed < 3; seed++) {
    ids.push((await vault.seal(sealRequest({ ...makeImage(seed, 1), run: seed + 1 }))).id);
  }
  const database = new DatabaseSync(join(places.directory, 'index.sqlite'));
  database.prepare('DELETE FROM checkpoints WHERE id = ?').run(ids[1]!);
  database.close();
  await expect(vault.seal(sealRequest(makeImage(9, 1)))).rejects.toMatchObject(REFUSED);
  await expect(vault.remove(ALICE, [ids[0]!])).rejects.toMatchObject(REFUSED);
  await expect(vault.open(ALICE, ids[1]!, SOFTWARE)).rejects.toMatchObject(REFUSED);
  await expect(vault.find(ALICE, {})).rejects.toMatchObject(REFUSED);
  await vault.close();
});
