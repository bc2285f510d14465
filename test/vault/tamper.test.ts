/**
 * A small vault of two owners is changed in every place that holds something. Each change must be refused
 * by name, and no checkpoint may open as anything but what was sealed.
 */
import { readFileSync, statSync, truncateSync, writeFileSync } from 'node:fs';
import type { DatabaseSync, SQLOutputValue } from 'node:sqlite';
import { describe, expect, test } from 'vitest';
import { closeAll, makeSmallVault, onePage, packPaths, probe } from './small-vault.ts';
import { ALICE, BOB, makeImage, open, PAGE, SOFTWARE, sealRequest } from './test-vault.ts';

test('an unchanged vault is not refused', async () => {
  const small = await makeSmallVault(onePage);
  expect(await probe(small)).toEqual([]);
  await closeAll(small);
});

describe('packs', () => {
  test('every flipped bit is refused, and every truncation', async () => {
    const small = await makeSmallVault(onePage);
    const [path] = packPaths(small.places);
    const whole = readFileSync(path!);
    expect(whole.length).toBeGreaterThan(200);
    const { requester, info } = small.sealed[0]!;
    const refused = expect.objectContaining({ code: 'ERR_VAULT_DAMAGED' });
    for (let bit = 0; bit < whole.length * 8; bit++) {
      const changed = Buffer.from(whole);
      changed[bit >> 3]! ^= 1 << (bit & 7);
      writeFileSync(path!, changed);
      await expect(small.vault.open(requester, info.id, SOFTWARE)).rejects.toEqual(refused);
    }
    writeFileSync(path!, whole);
    for (let length = whole.length - 1; length >= 0; length--) {
      truncateSync(path!, length);
      await expect(small.vault.open(requester, info.id, SOFTWARE)).rejects.toEqual(refused);
    }
    writeFileSync(path!, whole);
    expect(await probe(small)).toEqual([]);
    await closeAll(small);
  });

  test('equal-sized chunks that change places are refused', async () => {
    const small = await makeSmallVault((seed) => makeImage(seed, 4).pages);
    const [path] = packPaths(small.places);
    const whole = readFileSync(path!);
    const rows = small.database
      .prepare('SELECT offset_bytes AS at, stored_bytes AS size FROM chunks WHERE pack = 1')
      .all() as unknown as { at: number; size: number }[];
    const [a, b] = rows.filter(({ size }) => size === PAGE + 16);
    const changed = Buffer.from(whole);
    changed.set(whole.subarray(a!.at, a!.at + a!.size), b!.at);
    changed.set(whole.subarray(b!.at, b!.at + b!.size), a!.at);
    writeFileSync(path!, changed);
    expect(await probe(small)).toEqual(['ERR_VAULT_DAMAGED']);
    await closeAll(small);
  });

  test("packs that change places are refused, an owner's own and another's", async () => {
    const small = await makeSmallVault(onePage);
    const paths = packPaths(small.places);
    for (const [a, b] of [
      [0, 1],
      [0, 2],
    ] as const) {
      const [first, second] = [readFileSync(paths[a]!), readFileSync(paths[b]!)];
      writeFileSync(paths[a]!, second);
      writeFileSync(paths[b]!, first);
      expect(await probe(small)).toEqual(['ERR_VAULT_DAMAGED', 'ERR_VAULT_DAMAGED']);
      writeFileSync(paths[a]!, first);
      writeFileSync(paths[b]!, second);
    }
    expect(statSync(paths[0]!).size).toBeGreaterThan(0);
    await closeAll(small);
  });
});

/**
 * Not sealed, and why that is no hole: reference counts decide only what `remove` frees, row ids of chunks
 * mean nothing, and freed packs are deleted only when no row names them.
 */
const UNSEALED = new Set([
  'chunks.refs',
  'chunks.number',
  'packs.bytes',
  'packs.used_bytes',
  'owners.pack_bytes',
  'owners.used_bytes',
  'vault.generation',
]);

const TABLES = ['owners', 'packs', 'chunks', 'checkpoints', 'digests', 'job_lists', 'ledger'];

interface Cell {
  readonly table: string;
  readonly column: string;
  readonly rowid: number;
  readonly value: SQLOutputValue;
}

function cellsOf(database: DatabaseSync): Cell[] {
  const cells: Cell[] = [];
  for (const table of TABLES) {
    const columns = database.prepare(`PRAGMA table_info(${table})`).all();
    for (const column of columns.map((row) => String(row['name']))) {
      if (UNSEALED.has(`${table}.${column}`)) continue;
      for (const row of database.prepare(`SELECT rowid AS r, ${column} AS v FROM ${table}`).all()) {
        cells.push({ table, column, rowid: Number(row['r']), value: row['v']! });
      }
    }
  }
  return cells;
}

/** Values that differ from `value` in one byte, or by one. */
function* changesOf(value: SQLOutputValue, column: string): Generator<SQLOutputValue> {
  if (value === null) {
    if (column === 'mark') {
      yield Uint8Array.of(1);
      return;
    }
    yield 'uid:1000';
    return;
  }
  if (typeof value === 'number') {
    yield value + 1000;
    if (value > 0) yield 0;
    yield -1;
    return;
  }
  if (typeof value === 'string') {
    for (let at = 0; at < value.length; at++) {
      const other = value[at] === '0' ? '1' : '0';
      yield value.slice(0, at) + other + value.slice(at + 1);
    }
    yield '';
    return;
  }
  const bytes = value as Uint8Array;
  for (let at = 0; at < bytes.length; at++) {
    const changed = new Uint8Array(bytes);
    changed[at]! ^= 1 << (at & 7);
    yield changed;
  }
  yield new Uint8Array(bytes.subarray(0, bytes.length - 1));
  yield new Uint8Array();
}

describe('rows', () => {
  test('every changed byte of every cell is refused by name', async () => {
    const small = await makeSmallVault(onePage);
    const cells = cellsOf(small.database);
    let tried = 0;
    for (const { table, column, rowid, value } of cells) {
      // A row's number is how we find it again.
      const isRowid = column === 'number';
      const update = small.database.prepare(
        `UPDATE OR IGNORE ${table} SET ${column} = ? WHERE rowid = ?`,
      );
      for (const changed of changesOf(value, column)) {
        const { changes } = update.run(changed, rowid);
        // Taken by another row already: the database itself keeps that from happening.
        if (changes === 0) continue;
        expect(await probe(small), `${table}.${column} of row ${rowid}`).not.toEqual([]);
        update.run(value, isRowid ? Number(changed) : rowid);
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(2000);
    expect(await probe(small)).toEqual([]);
    await closeAll(small);
  });

  test('every removed row is refused by name', async () => {
    const small = await makeSmallVault(onePage);
    let tried = 0;
    for (const table of TABLES) {
      for (const row of small.database.prepare(`SELECT rowid AS r, * FROM ${table}`).all()) {
        const { r, ...values } = row;
        small.database.prepare(`DELETE FROM ${table} WHERE rowid = ?`).run(r!);
        expect(await probe(small), `row ${r} of ${table}`).not.toEqual([]);
        const names = Object.keys(values);
        small.database
          .prepare(
            `INSERT INTO ${table} (rowid, ${names}) VALUES (?, ${names.map(() => '?').join(', ')})`,
          )
          .run(r!, ...(Object.values(values) as SQLOutputValue[]));
        tried++;
      }
    }
    expect(tried).toBeGreaterThan(20);
    expect(await probe(small)).toEqual([]);
    await closeAll(small);
  });

  test("every changed byte of the vault's first record is refused by name", async () => {
    const small = await makeSmallVault(onePage);
    await small.vault.close();
    let tried = 0;
    for (const column of ['id', 'key_check', 'owners']) {
      const value = small.database.prepare(`SELECT ${column} AS v FROM vault`).get()!['v']!;
      for (const changed of changesOf(value, column)) {
        small.database.prepare(`UPDATE vault SET ${column} = ?`).run(changed);
        const opened = open(small.places);
        await expect(opened, column).rejects.toMatchObject({
          code: expect.stringMatching(/^ERR_VAULT_(KEY|DAMAGED)$/),
        });
        tried++;
      }
      small.database.prepare(`UPDATE vault SET ${column} = ?`).run(value);
    }
    expect(tried).toBeGreaterThan(100);
    const vault = await open(small.places);
    expect(await probe({ vault, sealed: small.sealed })).toEqual([]);
    await closeAll({ ...small, vault });
  });
});

describe('rows put in other places', () => {
  const swaps: readonly (readonly [string, string])[] = [
    ['records of two checkpoints', swap('checkpoints', 'record', 1, 2)],
    ['records of two owners', swap('checkpoints', 'record', 1, 3)],
    ['keys of two packs', swap('packs', 'wrapped_key', 1, 2)],
    ['keys of two owners', swap('owners', 'wrapped_key', 1, 2)],
    ['states of two owners', swap('owners', 'state', 1, 2)],
    ['identities of two chunks', swap('chunks', 'identity', 1, 2)],
    ['identities of chunks of two checkpoints', swap('chunks', 'identity', 1, 4)],
    ['entries of the ledger', swap('ledger', 'record', 3, 4)],
    [
      'entries of the ledger with their macs',
      `${swap('ledger', 'record', 3, 4)};${swap('ledger', 'mac', 3, 4)}`,
    ],
    [
      'the newest record by the one before',
      'UPDATE checkpoints SET record = (SELECT record FROM checkpoints WHERE rowid = 1) WHERE rowid = 2',
    ],
    ['the newest checkpoint taken away', 'DELETE FROM checkpoints WHERE rowid = 2'],
    [
      'the newest checkpoint and its entry taken away',
      'DELETE FROM checkpoints WHERE rowid = 2; DELETE FROM ledger WHERE number >= 4',
    ],
    [
      "the ledger's end cut off",
      'DELETE FROM ledger WHERE number = (SELECT max(number) FROM ledger)',
    ],
    [
      'an entry of the ledger written twice',
      'INSERT INTO ledger SELECT max(number) + 1, owner, record, mac FROM ledger',
    ],
    [
      'numbers of the owners',
      'UPDATE owners SET number = 3 - number + 10; UPDATE owners SET number = number - 10',
    ],
  ];
  test.each(swaps)('%s', async (_name, sql) => {
    const small = await makeSmallVault(onePage);
    small.database.exec('PRAGMA ignore_check_constraints = ON');
    small.database.exec(sql);
    const codes = await probe(small);
    expect(codes.length).toBeGreaterThan(0);
    await closeAll(small);
  });

  test("another owner's checkpoint slipped under one's own name is refused as another's", async () => {
    const small = await makeSmallVault(onePage);
    const bobs = small.sealed[2]!.info;
    small.database.exec('UPDATE checkpoints SET owner = 1, sequence = 3 WHERE owner = 2');
    // The sequence is bound too, so put the old one back: what remains wrong is the owner alone.
    small.database.exec('DELETE FROM checkpoints WHERE owner = 1 AND sequence = 1');
    small.database.exec('UPDATE checkpoints SET sequence = 1 WHERE sequence = 3');
    for (const verb of ['open', 'check'] as const) {
      await expect(small.vault[verb](ALICE, bobs.id, SOFTWARE)).rejects.toMatchObject({
        code: 'ERR_OWNER_MISMATCH',
      });
    }
    await closeAll(small);
  });

  test('an owner as the vault was before the last checkpoint, put back row by row, is refused', async () => {
    const small = await makeSmallVault(onePage);
    const state = small.database.prepare('SELECT state FROM owners WHERE number = 1').get()![
      'state'
    ]!;
    const third = await small.vault.seal(sealRequest(small.sealed[0]!));
    small.database.prepare('UPDATE owners SET state = ? WHERE number = 1').run(state);
    await expect(small.vault.list(ALICE)).rejects.toMatchObject({ code: 'ERR_VAULT_DAMAGED' });
    await expect(small.vault.seal(sealRequest())).rejects.toMatchObject({
      code: 'ERR_VAULT_DAMAGED',
    });
    // With the row gone as well the owner's rows are as before, and the ledger goes on.
    small.database.prepare('DELETE FROM checkpoints WHERE id = ?').run(third.id);
    await expect(small.vault.list(ALICE)).rejects.toThrow('The ledger');
    await expect(small.vault.find(ALICE, {})).rejects.toThrow('The ledger');
    expect((await small.vault.list(BOB)).length).toBe(1);
    await closeAll(small);
  });

  test('a damaged checkpoint does not keep the others from being opened, and can be removed', async () => {
    const small = await makeSmallVault(onePage);
    const [first, second] = small.sealed;
    small.database.exec("UPDATE checkpoints SET record = x'00' WHERE rowid = 1");
    await expect(small.vault.open(ALICE, first!.info.id, SOFTWARE)).rejects.toMatchObject({
      code: 'ERR_VAULT_DAMAGED',
    });
    expect((await small.vault.open(ALICE, second!.info.id, SOFTWARE)).info).toEqual(second!.info);
    await small.vault.remove(ALICE, [first!.info.id]);
    expect(await small.vault.list(ALICE)).toEqual([second!.info]);
    await closeAll(small);
  });
});

function swap(table: string, column: string, a: number, b: number): string {
  const index = table === 'chunks' ? 'DROP INDEX chunks_by_identity;' : '';
  return `${index} CREATE TEMP TABLE IF NOT EXISTS held (v);
    DELETE FROM held; INSERT INTO held SELECT ${column} FROM ${table} WHERE rowid = ${a};
    UPDATE ${table} SET ${column} = (SELECT ${column} FROM ${table} WHERE rowid = ${b}) WHERE rowid = ${a};
    UPDATE ${table} SET ${column} = (SELECT v FROM held) WHERE rowid = ${b}`;
}
