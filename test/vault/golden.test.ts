/**
 * Vaults of each format, kept as they were written. They have to open for ever, or be refused with a reason;
 * and the same clock, randomness and images have to give the same packs and rows as the newest of them has.
 */
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect, test } from 'vitest';
import { GOLDEN_IMAGES, sealGolden } from './golden-vault.ts';
import { makePlaces } from './places.ts';
import { ALICE, BOB, open, opensAs, type Places, sealRequest } from './test-vault.ts';

const NEWEST = 3;

function goldenOf(format: number): string {
  return join(import.meta.dirname, 'golden', `format-${format}`);
}

/** The golden files as a vault wants to find them; a checkout keeps no modes. */
function copyGolden(format: number): Places {
  const golden = goldenOf(format);
  const places = makePlaces();
  mkdirSync(join(places.directory, 'packs'), { recursive: true, mode: 0o700 });
  mkdirSync(join(places.root, 'keys'), { mode: 0o700 });
  chmodSync(places.directory, 0o700);
  cpSync(join(golden, 'master.key'), places.keyFile);
  cpSync(join(golden, 'index.sqlite'), join(places.directory, 'index.sqlite'));
  chmodSync(places.keyFile, 0o600);
  for (const name of readdirSync(join(golden, 'packs'))) {
    cpSync(join(golden, 'packs', name), join(places.directory, 'packs', name));
  }
  return places;
}

test.each([1, 2, 3])('a vault of format %i opens, image by image', async (format) => {
  const vault = await open(copyGolden(format), { mode: 'existing' });
  const infos = [...(await vault.list(ALICE)).toReversed(), ...(await vault.list(BOB))];
  expect(infos.map(({ name, sequence, stamp }) => ({ name, sequence, stamp }))).toEqual([
    { name: 'first', sequence: 1, stamp: '2026-11-23T12:00:00.000Z' },
    { name: 'third', sequence: 3, stamp: '2026-11-23T12:00:00.002Z' },
    { name: 'fourth', sequence: 1, stamp: '2026-11-23T12:00:00.000Z' },
  ]);
  for (const [index, info] of infos.entries()) {
    const { requester, ...image } = GOLDEN_IMAGES[info.name]!;
    expect(await opensAs(vault, requester, info, image), `image ${index}`).toBe(true);
  }
  expect((await vault.verifyLedger()).entries).toBe(8);
  expect((await vault.verify({ depth: 'data' })).findings).toEqual([]);
  // Old vaults are not only read. Bob's checkpoints stay as they are listed there.
  await vault.seal(sealRequest(GOLDEN_IMAGES['fourth']));
  await vault.remove(
    ALICE,
    (await vault.list(ALICE)).map(({ id }) => id),
  );
  expect((await vault.verify({ depth: 'data' })).findings).toEqual([]);
  await vault.close();
});

test('what is written today is what was written then, byte by byte', async () => {
  const places = makePlaces();
  await sealGolden(places);
  expect(packsOf(join(places.directory, 'packs'))).toEqual(
    packsOf(join(goldenOf(NEWEST), 'packs')),
  );
  expect(readFileSync(places.keyFile)).toEqual(readFileSync(join(goldenOf(NEWEST), 'master.key')));
  expect(rowsOf(join(places.directory, 'index.sqlite'))).toEqual(
    rowsOf(join(copyGolden(NEWEST).directory, 'index.sqlite')),
  );
});

function packsOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory)
      .sort()
      .map((name) => [name, readFileSync(join(directory, name)).toString('base64')]),
  );
}

function rowsOf(path: string): unknown {
  const database = new DatabaseSync(path, { readOnly: true });
  const tables = database.prepare(
    "SELECT name FROM sqlite_schema WHERE type = 'table' ORDER BY name",
  );
  const rows = tables
    .all()
    .map(({ name }) => [name, database.prepare(`SELECT * FROM ${name}`).all()]);
  database.close();
  return rows;
}
