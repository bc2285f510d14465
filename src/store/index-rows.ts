/**
 * The index's rows in SQLite: one statement a question, types checked on the way out, since a damaged
 * database can hold anything anywhere.
 */
import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import { HostError } from '../fault/host-error.ts';
import type {
  CheckpointKey,
  CheckpointRow,
  ChunkRow,
  IndexTransaction,
  LedgerRow,
  OwnerRow,
} from './store.ts';
import { turn } from './turn.ts';

type Row = Record<string, SQLOutputValue>;

/** Rows handled before other work gets its turn: about two milliseconds. */
const ROWS_PER_TURN = 1024;

/** All statements on `database`. Whoever calls them holds a transaction (see `sqlite-index.ts`). */
export function prepareIndexRows(database: DatabaseSync): IndexTransaction & {
  freedPacks(): Promise<readonly string[]>;
  forgetFreedPack(name: string): Promise<void>;
} {
  const prepare = statementCache(database);
  const packName = (number: number): string =>
    text(prepare('SELECT name FROM packs WHERE number = ?').get(number), 'name');
  const packNumber = (name: string): number =>
    integer(prepare('SELECT number FROM packs WHERE name = ?').get(name), 'number');

  return {
    vault: async () => {
      const row = prepare('SELECT id, key_check, owners FROM vault').get();
      if (row === undefined) return null;
      return { id: blob(row, 'id'), check: blob(row, 'key_check'), owners: blob(row, 'owners') };
    },
    owner: async (name) => {
      const row = prepare('SELECT number, name, wrapped_key, state FROM owners WHERE name = ?').get(
        name,
      );
      return row === undefined ? null : ownerRow(row);
    },
    owners: async () =>
      prepare('SELECT name FROM owners ORDER BY number')
        .all()
        .map((row) => text(row, 'name')),
    pack: async (name) => {
      const row = prepare('SELECT name, owner, wrapped_key FROM packs WHERE name = ?').get(name);
      if (row === undefined) return null;
      return {
        name: text(row, 'name'),
        owner: integer(row, 'owner'),
        wrappedKey: blob(row, 'wrapped_key'),
      };
    },
    chunks: async (owner, identities) => {
      const find = prepare(
        `SELECT pack, offset_bytes, stored_bytes, plain_bytes, method FROM chunks
         WHERE owner = ? AND identity = ?`,
      );
      const names = new Map<number, string>();
      const found: (ChunkRow | null)[] = [];
      for (const [index, identity] of identities.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        const row = find.get(owner, identity);
        if (row === undefined) {
          found.push(null);
          continue;
        }
        const pack = integer(row, 'pack');
        const name = names.get(pack) ?? packName(pack);
        names.set(pack, name);
        found.push(chunkRow(row, identity, name));
      }
      return found;
    },
    checkpoint: async (id) => {
      const row = prepare('SELECT id, owner, sequence, record FROM checkpoints WHERE id = ?').get(
        id,
      );
      return row === undefined ? null : checkpointRow(row);
    },
    checkpointKeys: async (owner) =>
      prepare('SELECT id, sequence FROM checkpoints WHERE owner = ? ORDER BY sequence')
        .all(owner)
        .map(checkpointKey),
    ledger: async (first, countMax) =>
      prepare(
        'SELECT number, owner, record, mac FROM ledger WHERE number >= ? ORDER BY number LIMIT ?',
      )
        .all(first, countMax)
        .map(ledgerRow),
    lastLedgerOf: async (owner) => {
      const row = prepare(
        `SELECT number, owner, record, mac FROM ledger WHERE owner = ?
         ORDER BY number DESC LIMIT 1`,
      ).get(owner);
      return row === undefined ? null : ledgerRow(row);
    },
    ledgerTail: async (countMax) =>
      prepare('SELECT number, owner, record, mac FROM ledger ORDER BY number DESC LIMIT ?')
        .all(countMax)
        .map(ledgerRow)
        .reverse(),

    addVault: async ({ id, check, owners }) => {
      prepare('INSERT INTO vault (only, id, key_check, owners) VALUES (1, ?, ?, ?)').run(
        id,
        check,
        owners,
      );
    },
    setVaultOwners: async (owners) => {
      prepare('UPDATE vault SET owners = ?').run(owners);
    },
    addOwner: async ({ name, wrappedKey, state }) => {
      prepare('INSERT INTO owners (name, wrapped_key, state) VALUES (?, ?, ?)').run(
        name,
        wrappedKey,
        state,
      );
      return integer(prepare('SELECT number FROM owners WHERE name = ?').get(name), 'number');
    },
    setOwnerState: async (owner, state) => {
      prepare('UPDATE owners SET state = ? WHERE number = ?').run(state, owner);
    },
    addPack: async ({ name, owner, wrappedKey }) => {
      prepare('INSERT INTO packs (name, owner, wrapped_key) VALUES (?, ?, ?)').run(
        name,
        owner,
        wrappedKey,
      );
    },
    addChunks: async (owner, rows) => {
      const add = prepare(
        `INSERT INTO chunks
         (owner, identity, pack, offset_bytes, stored_bytes, plain_bytes, method, refs)
         VALUES (?, ?, ?, ?, ?, ?, ?, 1)`,
      );
      const numbers = new Map<string, number>();
      for (const [index, row] of rows.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        const pack = numbers.get(row.pack) ?? packNumber(row.pack);
        numbers.set(row.pack, pack);
        add.run(
          owner,
          row.identity,
          pack,
          row.offsetBytes,
          row.storedBytes,
          row.plainBytes,
          row.method,
        );
      }
    },
    retainChunks: async (owner, identities) => {
      const retain = prepare('UPDATE chunks SET refs = refs + 1 WHERE owner = ? AND identity = ?');
      for (const [index, identity] of identities.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        retain.run(owner, identity);
      }
    },
    releaseChunks: async (owner, identities) => {
      const release = prepare(
        `UPDATE chunks SET refs = refs - 1 WHERE owner = ? AND identity = ? RETURNING number, pack, refs`,
      );
      const drop = prepare('DELETE FROM chunks WHERE number = ?');
      const touched = new Set<number>();
      for (const [index, identity] of identities.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        const row = release.get(owner, identity);
        if (row === undefined || integer(row, 'refs', Number.MIN_SAFE_INTEGER) > 0) continue;
        touched.add(integer(row, 'pack'));
        drop.run(integer(row, 'number'));
      }
      return [...touched].filter(isWithoutChunks).map(freePack);
    },
    addCheckpoint: async ({ id, owner, sequence, record }) => {
      prepare('INSERT INTO checkpoints (id, owner, sequence, record) VALUES (?, ?, ?, ?)').run(
        id,
        owner,
        sequence,
        record,
      );
    },
    removeCheckpoint: async (id) => {
      prepare('DELETE FROM checkpoints WHERE id = ?').run(id);
    },
    addLedger: async ({ number, owner, record, mac }) => {
      prepare('INSERT INTO ledger (number, owner, record, mac) VALUES (?, ?, ?, ?)').run(
        number,
        owner,
        record,
        mac,
      );
    },
    freedPacks: async () =>
      prepare('SELECT name FROM freed_packs')
        .all()
        .map((row) => text(row, 'name')),
    forgetFreedPack: async (name) => {
      prepare('DELETE FROM freed_packs WHERE name = ?').run(name);
    },
  };

  function isWithoutChunks(pack: number): boolean {
    return prepare('SELECT 1 FROM chunks WHERE pack = ? LIMIT 1').get(pack) === undefined;
  }

  function freePack(pack: number): string {
    const name = packName(pack);
    prepare('DELETE FROM packs WHERE number = ?').run(pack);
    prepare('INSERT INTO freed_packs (name) VALUES (?)').run(name);
    return name;
  }
}

function statementCache(database: DatabaseSync): (sql: string) => StatementSync {
  const statements = new Map<string, StatementSync>();
  return (sql) => {
    const known = statements.get(sql);
    if (known !== undefined) return known;
    const statement = database.prepare(sql);
    statements.set(sql, statement);
    return statement;
  };
}

function ownerRow(row: Row): OwnerRow {
  return {
    number: integer(row, 'number'),
    name: text(row, 'name'),
    wrappedKey: blob(row, 'wrapped_key'),
    state: blob(row, 'state'),
  };
}

function chunkRow(row: Row, identity: Uint8Array, pack: string): ChunkRow {
  return {
    identity,
    pack,
    offsetBytes: integer(row, 'offset_bytes'),
    storedBytes: integer(row, 'stored_bytes'),
    plainBytes: integer(row, 'plain_bytes'),
    method: integer(row, 'method'),
  };
}

function checkpointKey(row: Row): CheckpointKey {
  return { id: text(row, 'id'), sequence: integer(row, 'sequence') };
}

function checkpointRow(row: Row): CheckpointRow {
  return { ...checkpointKey(row), owner: integer(row, 'owner'), record: blob(row, 'record') };
}

function ledgerRow(row: Row): LedgerRow {
  return {
    number: integer(row, 'number'),
    owner: row['owner'] === null ? null : text(row, 'owner'),
    record: blob(row, 'record'),
    mac: blob(row, 'mac'),
  };
}

function integer(row: Row | undefined, column: string, min = 0): number {
  const value = row?.[column];
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < min)
    throw damaged(column);
  return value;
}

function text(row: Row | undefined, column: string): string {
  const value = row?.[column];
  if (typeof value !== 'string') throw damaged(column);
  return value;
}

function blob(row: Row | undefined, column: string): Uint8Array {
  const value = row?.[column];
  if (!(value instanceof Uint8Array)) throw damaged(column);
  return value;
}

function damaged(column: string): HostError {
  return new HostError(
    'ERR_VAULT_DAMAGED',
    "The vault's index is damaged: a row is not as written.",
    {
      facts: { column },
    },
  );
}
