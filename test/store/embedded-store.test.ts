import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { describe, expect, onTestFinished, test } from 'vitest';
import { findEmbeddedStore, hasPacks, openEmbeddedStore } from '../../src/store/embedded-store.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import type { Store } from '../../src/store/store.ts';
import { takeLease } from '../../src/store/writer-lease.ts';

const WRITER = 'a'.repeat(16);
const OTHER = 'b'.repeat(16);
const BYTES = Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8);

function makeDirectory(): string {
  const directory = mkdtempSync(join(tmpdir(), 'stasis-store-'));
  onTestFinished(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

function open(directory: string, writer = WRITER, busyMsMax = 30_000): Promise<Store> {
  return openEmbeddedStore({ directory, files: nodeFiles, writer, busyMsMax });
}

async function writePack(store: Store): Promise<string> {
  const writer = await store.packs.create();
  await writer.append([BYTES.subarray(0, 3), BYTES.subarray(3)]);
  await writer.sync();
  await writer.close();
  return writer.pack;
}

async function namePack(store: Store, pack: string): Promise<void> {
  await store.index.write((transaction) =>
    transaction.addPack({ name: pack, owner: 1, wrappedKey: BYTES, bytes: 8 }),
  );
}

const packsIn = (directory: string): string[] => readdirSync(join(directory, 'packs')).sort();
const DAMAGED = expect.objectContaining({ code: 'ERR_VAULT_DAMAGED' });

test('what there is of a store is told without making anything', async () => {
  const directory = makeDirectory();
  expect(await findEmbeddedStore(directory, nodeFiles)).toEqual({ index: false, packs: false });
  expect(readdirSync(directory)).toEqual([]);
  const store = await open(directory);
  expect(await findEmbeddedStore(directory, nodeFiles)).toEqual({ index: true, packs: false });
  expect(await hasPacks(directory, nodeFiles)).toBe(false);
  await writePack(store);
  expect(await hasPacks(directory, nodeFiles)).toBe(true);
  await store.close();
  // Packs are looked for only where there is no index.
  expect(await findEmbeddedStore(directory, nodeFiles)).toEqual({ index: true, packs: false });
  rmSync(join(directory, 'index.sqlite'));
  expect(await findEmbeddedStore(directory, nodeFiles)).toEqual({ index: false, packs: true });
});

describe('packs', () => {
  test('give back what was appended, wherever one reads', async () => {
    const store = await open(makeDirectory());
    const pack = await writePack(store);
    expect([...(await store.packs.read(pack, 0, 8))]).toEqual([...BYTES]);
    expect([...(await store.packs.read(pack, 2, 3))]).toEqual([3, 4, 5]);
    await expect(store.packs.read(pack, 5, 4)).rejects.toEqual(DAMAGED);
    expect(await store.packs.lengthOf(pack)).toBe(8);
    await store.packs.destroy([pack]);
    await store.packs.destroy([pack]);
    expect(await store.packs.lengthOf(pack)).toBeNull();
    await expect(store.packs.read(pack, 0, 1)).rejects.toEqual(DAMAGED);
    await store.close();
  });

  test('have names of one form only: an index that names another path is damaged', async () => {
    const store = await open(makeDirectory());
    for (const name of ['../index.sqlite', '/etc/passwd', '', `${WRITER}-1.pack/x`]) {
      await expect(store.packs.read(name, 0, 1)).rejects.toEqual(DAMAGED);
      await expect(store.packs.destroy([name])).rejects.toEqual(DAMAGED);
      await expect(store.packs.lengthOf(name)).rejects.toEqual(DAMAGED);
    }
    await store.close();
  });

  test('that were discarded, or never written to, leave nothing', async () => {
    const directory = makeDirectory();
    const store = await open(directory);
    const writer = await store.packs.create();
    await writer.append([BYTES]);
    await writer.discard();
    await (await store.packs.create()).sync();
    expect(packsIn(directory)).toEqual([]);
    await store.close();
  });
});

describe('sweeping', () => {
  test("leaves a live writer's packs, and those that are named", async () => {
    const directory = makeDirectory();
    const [alive, sweeper] = [await open(directory), await open(directory, OTHER)];
    const unnamed = await writePack(alive);
    await sweeper.packs.sweep(2, 'everything');
    expect(packsIn(directory)).toEqual([unnamed]);
    await namePack(alive, unnamed);
    await Promise.all([alive.close(), sweeper.close()]);
    const later = await open(directory);
    await later.packs.sweep(2, 'everything');
    expect(packsIn(directory)).toEqual([unnamed]);
    await later.close();
  });

  test("removes a dead writer's packs that nobody names, and its lease", async () => {
    const directory = makeDirectory();
    await (await open(directory)).close();
    // As a writer leaves it that was killed: its lease is there, and nobody holds it.
    writeFileSync(join(directory, 'writers', `${OTHER}.lease`), '');
    for (const number of [1, 2])
      writeFileSync(join(directory, 'packs', `${OTHER}-${number}.pack`), '');
    writeFileSync(join(directory, 'packs', 'notes.txt'), 'not ours');
    const store = await open(directory);
    await namePack(store, `${OTHER}-2.pack`);
    await store.packs.sweep(2, 'everything');
    expect(packsIn(directory)).toEqual([`${OTHER}-2.pack`, 'notes.txt']);
    expect(readdirSync(join(directory, 'writers'))).toEqual([]);
    await store.close();
  });

  test('removes a pack that nobody names of a writer that left no lease', async () => {
    const directory = makeDirectory();
    await (await open(directory)).close();
    writeFileSync(join(directory, 'packs', `${OTHER}-7.pack`), '12345');
    const store = await open(directory);
    expect(await store.packs.planSweep(2)).toMatchObject({ packs: 1, bytes: 5 });
    expect(packsIn(directory)).toEqual([`${OTHER}-7.pack`]);
    expect(await store.packs.sweep(2, 'everything')).toMatchObject({ packs: 1, bytes: 5 });
    expect(packsIn(directory)).toEqual([]);
    await store.close();
  });

  test('removes trash that is old enough, unless the list names a pack in use', async () => {
    const directory = makeDirectory();
    const store = await open(directory);
    const [used, old, young] = [
      await writePack(store),
      await writePack(store),
      await writePack(store),
    ];
    await namePack(store, used);
    const database = new DatabaseSync(join(directory, 'index.sqlite'));
    database.exec("INSERT INTO vault VALUES (1, x'00', x'00', x'00', NULL, 5)");
    const discard = database.prepare('INSERT INTO trash VALUES (?, ?, 8)');
    for (const [pack, generation] of [
      [used, 1],
      [old, 3],
      [young, 4],
    ] as const) {
      discard.run(pack, generation);
    }
    database.close();
    expect(await store.packs.sweep(2, 'everything')).toMatchObject({
      packs: 2,
      kept: 1,
      keptBytes: 8,
    });
    expect(packsIn(directory)).toEqual([used, young].sort());
    expect(await store.packs.sweep(0, 'everything')).toMatchObject({ packs: 1, kept: 0 });
    expect(packsIn(directory)).toEqual([used]);
    await store.close();
  });

  test('deletes no trash while somebody holds the packs, and does afterwards', async () => {
    const directory = makeDirectory();
    const [store, holder] = [await open(directory), await open(directory, OTHER)];
    const pack = await writePack(store);
    const database = new DatabaseSync(join(directory, 'index.sqlite'));
    database.prepare('INSERT INTO trash VALUES (?, 0, 8)').run(pack);
    database.close();
    const hold = await holder.packs.hold();
    expect(await store.packs.sweep(0, 'everything')).toMatchObject({
      packs: 0,
      kept: 1,
      held: true,
    });
    expect(packsIn(directory)).toEqual([pack]);
    await hold.release();
    expect(await store.packs.sweep(0, 'everything')).toMatchObject({
      packs: 1,
      kept: 0,
      held: false,
    });
    expect(packsIn(directory)).toEqual([]);
    // As a holder leaves it that was killed.
    writeFileSync(join(directory, 'writers', `${OTHER}-0.hold`), '');
    await store.packs.sweep(2, 'everything');
    expect(readdirSync(join(directory, 'writers'))).toEqual([`${WRITER}.lease`]);
    await Promise.all([store.close(), holder.close()]);
  });
});

test('a lease is held by one, and free again when it is released', () => {
  const path = join(makeDirectory(), 'x.lease');
  const lease = takeLease(path);
  expect(takeLease(path)).toBeNull();
  lease?.release();
  takeLease(path)?.release();
  expect(readdirSync(join(path, '..'))).toEqual(['x.lease']);
});

describe('transactions', () => {
  test('that fail leave no row, and the next one runs', async () => {
    const store = await open(makeDirectory());
    const failing = store.index.write(async (transaction) => {
      await transaction.addPack({ name: 'p', owner: 1, wrappedKey: BYTES, bytes: 8 });
      throw new TypeError('ours');
    });
    await expect(failing).rejects.toThrow(TypeError);
    expect(await store.index.read((view) => view.pack('p'))).toBeNull();
    await namePack(store, 'p');
    expect(await store.index.read((view) => view.pack('p'))).toMatchObject({ owner: 1 });
    await store.close();
  });

  test('run one after the other, though their work waits in its middle', async () => {
    const store = await open(makeDirectory());
    const order: string[] = [];
    await Promise.all(
      ['a', 'b', 'c'].map((name) =>
        store.index.write(async (transaction) => {
          order.push(name);
          await transaction.addPack({ name, owner: 1, wrappedKey: BYTES, bytes: 8 });
          await new Promise((resolve) => setImmediate(resolve));
          order.push(name);
        }),
      ),
    );
    expect(order).toEqual(['a', 'a', 'b', 'b', 'c', 'c']);
    await store.close();
  });

  test('wait for another process without blocking this one, and give up in the end', async () => {
    const directory = makeDirectory();
    const store = await open(directory, WRITER, 100);
    const other = new DatabaseSync(join(directory, 'index.sqlite'));
    other.exec('BEGIN IMMEDIATE');
    let turns = 0;
    const timer = setInterval(() => turns++, 1);
    await expect(namePack(store, 'p')).rejects.toMatchObject({ code: 'ERR_VAULT_BUSY' });
    clearInterval(timer);
    expect(turns).toBeGreaterThan(3);
    expect(await store.index.read((view) => view.pack('p'))).toBeNull();
    other.exec('ROLLBACK');
    other.close();
    await namePack(store, 'p');
    await store.close();
  });

  test('take references of chunks away one by one, and packs with the last of them', async () => {
    const store = await open(makeDirectory());
    const chunk = (byte: number, pack: string) => ({
      identity: new Uint8Array(32).fill(byte),
      pack,
      offsetBytes: byte,
      storedBytes: 1,
      plainBytes: 2,
      method: 0,
    });
    const [a, b] = [chunk(1, 'p'), chunk(2, 'q')];
    for (const name of ['p', 'q']) await namePack(store, name);
    const freed = await store.index.write(async (transaction) => {
      await transaction.addChunks(1, [a, b]);
      await transaction.retainChunks(1, [a.identity]);
      const identities = [a.identity, b.identity];
      return [
        await transaction.releaseChunks(2, identities),
        await transaction.releaseChunks(1, identities),
        await transaction.releaseChunks(1, identities),
      ];
    });
    expect(freed).toEqual([[], ['q'], ['p']]);
    expect(await store.index.read((view) => view.chunks(1, [a.identity]))).toEqual([null]);
    await store.close();
  });

  test('a row that holds what it never can is damage, not a crash', async () => {
    const directory = makeDirectory();
    const store = await open(directory);
    await namePack(store, 'p');
    const database = new DatabaseSync(join(directory, 'index.sqlite'));
    for (const owner of [-1, 2n ** 62n]) {
      database.prepare('UPDATE packs SET owner = ?').run(owner);
      await expect(store.index.read((view) => view.pack('p'))).rejects.toEqual(DAMAGED);
    }
    database.close();
    await store.close();
  });
});
