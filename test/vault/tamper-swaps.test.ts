/**
 * Whatever is of the same kind and size changes places, pair by pair, an owner's own and another's: single columns,
 * whole rows, chunks within their packs, packs, and entries of the ledger. And authentication tags are cut short.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { expect, test } from 'vitest';
import { closeAll, makeSmallVault, packPaths, probe, type SmallVault } from './small-vault.ts';
import { makeImage } from './test-vault.ts';

/** Sealed by nothing, since nothing but room depends on them; see the format's page. */
const UNSEALED = new Set(['refs', 'bytes', 'pack_bytes', 'used_bytes', 'generation']);
const TABLES = ['owners', 'packs', 'chunks', 'checkpoints', 'digests', 'job_lists', 'ledger'];
const TAG_BYTES = 16;

type Row = Readonly<Record<string, SQLOutputValue>>;

/** Pages that can't be compressed, so that chunks have one size. */
const pages = (seed: number): Uint8Array => makeImage(seed, 4).pages;

function* pairsOf<T>(items: readonly T[]): Generator<readonly [T, T]> {
  for (const [at, a] of items.entries()) for (const b of items.slice(at + 1)) yield [a, b];
}

function sealedColumns(database: DatabaseSync, table: string): string[] {
  return database
    .prepare(`PRAGMA table_info(${table})`)
    .all()
    .map((column) => String(column['name']))
    .filter((name) => !UNSEALED.has(name) && !(table === 'chunks' && name === 'number'));
}

function isSame(a: SQLOutputValue, b: SQLOutputValue): boolean {
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  return a === b;
}

function setRow(
  database: DatabaseSync,
  table: string,
  key: SQLOutputValue,
  columns: readonly string[],
  row: Row,
): void {
  const values = columns.map((column) => row[column]!);
  database
    .prepare(
      `UPDATE ${table} SET ${columns.map((column) => `${column} = ?`).join(', ')} WHERE rowid = ?`,
    )
    .run(...values, key);
}

/** Exchanges `columns` of two rows, looks, and puts them back. */
async function swapped(
  small: SmallVault,
  table: string,
  columns: readonly string[],
  a: Row,
  b: Row,
): Promise<string[]> {
  const { database } = small;
  const exchange = (first: Row, second: Row): void => {
    setRow(database, table, a['r']!, columns, first);
    setRow(database, table, b['r']!, columns, second);
  };
  exchange(b, a);
  const codes = await probe(small);
  exchange(a, b);
  return codes;
}

test('every pair of values in a column, and every pair of rows, that change places are refused', async () => {
  const small = await makeSmallVault((seed) => makeImage(seed, 2).pages);
  // Unique indexes would keep the pairs from changing places one after the other.
  for (const { name } of small.database
    .prepare("SELECT name FROM sqlite_schema WHERE type = 'index' AND sql IS NOT NULL")
    .all()) {
    small.database.exec(`DROP INDEX ${name}`);
  }
  const counts: Record<string, number> = {};
  for (const table of TABLES) {
    const columns = sealedColumns(small.database, table);
    // Keys are how rows are found again; that a row is found under another one's key is what a whole row's swap is.
    const free = columns.filter((column) => !['number', 'id', 'name'].includes(column));
    const rows = small.database.prepare(`SELECT rowid AS r, * FROM ${table}`).all() as Row[];
    for (const [a, b] of pairsOf(rows)) {
      // Some rows have nothing but a number that would stay; it means nothing.
      const isAll = ['chunks', 'digests', 'job_lists'].includes(table);
      const sets = [...free.map((column) => [column]), ...(isAll ? [] : [free])];
      for (const set of sets) {
        if (set.every((column) => isSame(a[column]!, b[column]!))) continue;
        expect(
          await swapped(small, table, set, a, b),
          `${set} of rows ${a['r']} and ${b['r']} of ${table}`,
        ).not.toEqual([]);
        counts[table] = (counts[table] ?? 0) + 1;
      }
    }
  }
  expect(await probe(small)).toEqual([]);
  console.log(`swapped and refused: ${JSON.stringify(counts)}`);
  expect(Object.keys(counts)).toEqual(TABLES);
  await closeAll(small);
});

test('every pair of chunks of one size that change places are refused, in a pack, between packs and owners', async () => {
  const small = await makeSmallVault(pages);
  const places = small.database
    .prepare(
      'SELECT chunks.owner AS owner, name, offset_bytes AS at, stored_bytes AS size FROM chunks JOIN packs ON packs.number = chunks.pack',
    )
    .all() as { owner: number; name: string; at: number; size: number }[];
  const content = new Map(
    packPaths(small.places).map((path) => [
      path.split('/').at(-1)!,
      { path, whole: readFileSync(path) },
    ]),
  );
  let tried = 0;
  let foreign = 0;
  for (const [a, b] of pairsOf(places)) {
    if (a.size !== b.size) continue;
    const [first, second] = [content.get(a.name)!, content.get(b.name)!];
    const one = Buffer.from(first.whole);
    const other = a.name === b.name ? one : Buffer.from(second.whole);
    one.set(second.whole.subarray(b.at, b.at + b.size), a.at);
    other.set(first.whole.subarray(a.at, a.at + a.size), b.at);
    writeFileSync(first.path, one);
    writeFileSync(second.path, other);
    const codes = await probe(small);
    expect(new Set(codes), `${a.name} ${a.at} and ${b.name} ${b.at}`).toEqual(
      new Set(['ERR_VAULT_DAMAGED']),
    );
    writeFileSync(first.path, first.whole);
    writeFileSync(second.path, second.whole);
    tried++;
    if (a.owner !== b.owner) foreign++;
  }
  expect(await probe(small)).toEqual([]);
  console.log(`${tried} pairs of chunks swapped and refused, ${foreign} of them between owners`);
  expect(tried).toBeGreaterThan(10);
  expect(foreign).toBeGreaterThan(5);
  await closeAll(small);
});

test('an authentication tag of 0, 4, 8, 12 or 15 bytes is refused', async () => {
  const small = await makeSmallVault(pages);
  const { database } = small;
  let tried = 0;
  for (const left of [0, 4, 8, 12, 15]) {
    const missing = TAG_BYTES - left;
    for (const { r, size } of database
      .prepare('SELECT rowid AS r, stored_bytes AS size FROM chunks')
      .all() as Row[]) {
      database
        .prepare('UPDATE chunks SET stored_bytes = ? WHERE rowid = ?')
        .run(Number(size) - missing, r!);
      expect(new Set(await probe(small)), `chunk ${r}, ${missing} bytes cut`).toEqual(
        new Set(['ERR_VAULT_DAMAGED']),
      );
      database.prepare('UPDATE chunks SET stored_bytes = ? WHERE rowid = ?').run(size!, r!);
      tried++;
    }
    for (const [table, column] of [
      ['owners', 'wrapped_key'],
      ['owners', 'state'],
      ['packs', 'wrapped_key'],
      ['checkpoints', 'record'],
    ]) {
      const sealed = database
        .prepare(`SELECT rowid AS r, ${column} AS v FROM ${table}`)
        .all() as Row[];
      for (const { r, v } of sealed) {
        const bytes = v as Uint8Array;
        const update = database.prepare(`UPDATE ${table} SET ${column} = ? WHERE rowid = ?`);
        update.run(bytes.subarray(0, bytes.length - missing), r!);
        expect(await probe(small), `${table}.${column}, ${missing} bytes cut`).toContain(
          'ERR_VAULT_DAMAGED',
        );
        update.run(bytes, r!);
        tried++;
      }
    }
  }
  expect(await probe(small)).toEqual([]);
  console.log(`${tried} tags cut short, all refused`);
  await closeAll(small);
});
