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
  ChunkUse,
  IndexTransaction,
  LedgerRow,
  OwnerRow,
  PackRow,
  TrashRow,
} from './store.ts';
import { turn } from './turn.ts';

type Row = Record<string, SQLOutputValue>;

/** Rows handled before other work gets its turn: about two milliseconds. */
const ROWS_PER_TURN = 1024;

/** All statements on `database`. Whoever calls them holds a transaction (see `sqlite-index.ts`). */
export function prepareIndexRows(database: DatabaseSync): IndexTransaction & {
  /** The present generation of trash. */
  generation(): Promise<number>;
  forgetTrash(name: string): Promise<void>;
  packNames(): Promise<ReadonlySet<string>>;
  /** Writes, and changes nothing. */
  touch(): Promise<void>;
} {
  const prepare = statementCache(database);
  const packName = (number: number): string =>
    text(prepare('SELECT name FROM packs WHERE number = ?').get(number), 'name');
  const packNumber = (name: string): number =>
    integer(prepare('SELECT number FROM packs WHERE name = ?').get(name), 'number');

  return {
    vault: async () => {
      const row = prepare('SELECT id, key_check, owners, ledger_keys FROM vault').get();
      if (row === undefined) return null;
      return {
        id: blob(row, 'id'),
        check: blob(row, 'key_check'),
        owners: blob(row, 'owners'),
        ledgerKeys: blobOrNull(row, 'ledger_keys'),
      };
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
      const row = prepare('SELECT name, owner, wrapped_key, bytes FROM packs WHERE name = ?').get(
        name,
      );
      return row === undefined ? null : packRow(row);
    },
    packs: async (owner) => {
      const columns = 'SELECT name, owner, wrapped_key, bytes, used_bytes FROM packs';
      const rows =
        owner === undefined
          ? prepare(`${columns} ORDER BY number`).all()
          : prepare(`${columns} WHERE owner = ? ORDER BY number`).all(owner);
      return rows.map((row) => ({ ...packRow(row), usedBytes: integer(row, 'used_bytes') }));
    },
    wastefulPacks: async () =>
      prepare(
        `SELECT name, owner, wrapped_key, bytes, used_bytes FROM packs WHERE used_bytes < bytes`,
      )
        .all()
        .map((row) => ({ ...packRow(row), usedBytes: integer(row, 'used_bytes') })),
    packTotals: async () => {
      const row = prepare(
        `SELECT coalesce(sum(bytes), 0) AS bytes, coalesce(sum(used_bytes), 0) AS used_bytes FROM packs`,
      ).get();
      return { bytes: integer(row, 'bytes'), usedBytes: integer(row, 'used_bytes') };
    },
    packBytes: async (owner) =>
      integer(
        prepare('SELECT coalesce(sum(bytes), 0) AS bytes FROM packs WHERE owner = ?').get(owner),
        'bytes',
      ),
    chunksIn: async (pack) =>
      prepare(
        `SELECT identity, offset_bytes, stored_bytes, plain_bytes, method FROM chunks
         WHERE pack = ? ORDER BY offset_bytes`,
      )
        .all(packNumber(pack))
        .map((row) => chunkRow(row, blob(row, 'identity'), pack)),
    chunkUses: async (owner) => {
      const uses: ChunkUse[] = [];
      // Not kept: an iteration that fails leaves its error to whoever begins the next one.
      const rows = database.prepare(
        `SELECT identity, packs.name AS name, offset_bytes, stored_bytes, plain_bytes, method, refs
         FROM chunks LEFT JOIN packs ON packs.number = chunks.pack WHERE chunks.owner = ?`,
      );
      for (const row of rows.iterate(owner)) {
        if (uses.length % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        const refs = integer(row, 'refs', Number.MIN_SAFE_INTEGER);
        uses.push({ ...chunkRow(row, blob(row, 'identity'), text(row, 'name')), refs });
      }
      return uses;
    },
    trash: async () =>
      prepare('SELECT name, generation, bytes FROM trash ORDER BY generation, name')
        .all()
        .map(trashRow),
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
      const row = prepare(
        'SELECT id, owner, sequence, job, record, mark FROM checkpoints WHERE id = ?',
      ).get(id);
      return row === undefined ? null : checkpointRow(row);
    },
    checkpointKeys: async (owner) =>
      prepare('SELECT id, sequence, job, mark FROM checkpoints WHERE owner = ? ORDER BY sequence')
        .all(owner)
        .map(checkpointKey),
    newestCheckpoints: async (owner, below, countMax) =>
      prepare(
        `SELECT id, sequence, job, mark FROM checkpoints WHERE owner = ? AND sequence < ?
         ORDER BY sequence DESC LIMIT ?`,
      )
        .all(owner, below, countMax)
        .map(checkpointKey),
    newestOfJob: async (owner, job, below, countMax) =>
      prepare(
        `SELECT id, sequence, job, mark FROM checkpoints
         WHERE owner = ?1 AND job = ?2 AND sequence < ?3
         UNION ALL SELECT id, sequence, job, mark FROM checkpoints
         WHERE owner = ?1 AND job IS NULL AND sequence < ?3
         ORDER BY sequence DESC LIMIT ?4`,
      )
        .all(owner, job, below, countMax)
        .map(checkpointKey),
    checkpointCount: async (owner) =>
      integer(
        prepare('SELECT count(*) AS count FROM checkpoints WHERE owner = ?').get(owner),
        'count',
      ),
    checkpointLines: async (owner) => {
      const row = prepare(
        `SELECT coalesce(group_concat(
           sequence || ' ' || id || iif(job IS NULL, '', ' job ' || lower(hex(job))) ||
           iif(mark IS NULL, '', ' mark ' || lower(hex(mark))) || char(10), '' ORDER BY sequence), '')
           AS lines, coalesce(sum(length(id) <> 32), 0) AS strange
         FROM checkpoints WHERE owner = ?`,
      ).get(owner);
      if (integer(row, 'strange') > 0) throw damaged('id');
      return text(row, 'lines');
    },
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

    addVault: async ({ id, check, owners, ledgerKeys }) => {
      prepare(
        'INSERT INTO vault (only, id, key_check, owners, ledger_keys) VALUES (1, ?, ?, ?, ?)',
      ).run(id, check, owners, ledgerKeys);
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
    setVaultKeys: async ({ check, owners, ledgerKeys }) => {
      prepare('UPDATE vault SET key_check = ?, owners = ?, ledger_keys = ?').run(
        check,
        owners,
        ledgerKeys,
      );
    },
    setOwnerKey: async (owner, wrappedKey) => {
      prepare('UPDATE owners SET wrapped_key = ? WHERE number = ?').run(wrappedKey, owner);
    },
    removeOwner: async (owner) => {
      const names = prepare('SELECT name FROM packs WHERE owner = ?')
        .all(owner)
        .map((row) => text(row, 'name'));
      for (const table of ['chunks', 'packs', 'checkpoints']) {
        prepare(`DELETE FROM ${table} WHERE owner = ?`).run(owner);
      }
      prepare('DELETE FROM owners WHERE number = ?').run(owner);
      return names;
    },
    addPack,
    addChunks: (owner, rows) =>
      insertChunks(
        owner,
        rows.map((row) => ({ ...row, refs: 1 })),
      ),
    retainChunks: async (owner, identities) => {
      const retain = prepare('UPDATE chunks SET refs = refs + 1 WHERE owner = ? AND identity = ?');
      for (const [index, identity] of identities.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        retain.run(owner, identity);
      }
    },
    releaseChunks: async (owner, identities) => {
      const release = prepare(
        `UPDATE chunks SET refs = refs - 1 WHERE owner = ? AND identity = ? RETURNING number, pack, refs, stored_bytes`,
      );
      return dropUnused(identities, (identity) => release.get(owner, identity));
    },
    correctChunkUses: (owner, uses) => {
      const correct = prepare(
        `UPDATE chunks SET refs = ? WHERE owner = ? AND identity = ? RETURNING number, pack, refs, stored_bytes`,
      );
      return dropUnused(uses, ({ identity, refs }) => correct.get(refs, owner, identity));
    },
    moveChunks: async (owner, packs, rows) => {
      for (const pack of packs) await addPack(pack);
      const find = prepare(
        'SELECT number, pack, stored_bytes FROM chunks WHERE owner = ? AND identity = ?',
      );
      const move = prepare(
        'UPDATE chunks SET pack = ?, offset_bytes = ?, stored_bytes = ? WHERE number = ?',
      );
      const touched = new Set(packs.map(({ name }) => packNumber(name)));
      for (const [index, row] of rows.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        const found = find.get(owner, row.identity);
        if (found === undefined) continue;
        const [from, to] = [integer(found, 'pack'), packNumber(row.pack)];
        touched.add(from);
        move.run(to, row.offsetBytes, row.storedBytes, integer(found, 'number'));
        changeUse(from, -integer(found, 'stored_bytes'));
        changeUse(to, row.storedBytes);
      }
      return [...touched].filter(isWithoutChunks).map(freePack);
    },
    replaceChunks: async (owner, packs, rows) => {
      const before = prepare('SELECT number FROM packs WHERE owner = ?').all(owner);
      prepare('DELETE FROM chunks WHERE owner = ?').run(owner);
      const freed = before.map((row) => freePack(integer(row, 'number')));
      for (const pack of packs) await addPack(pack);
      await insertChunks(owner, rows);
      return freed;
    },
    nextGeneration: async () =>
      integer(
        prepare('UPDATE vault SET generation = generation + 1 RETURNING generation').get(),
        'generation',
      ),
    addCheckpoint: async ({ id, owner, sequence, job, record, mark }) => {
      prepare(
        `INSERT INTO checkpoints (id, owner, sequence, job, record, mark)
         VALUES (?, ?, ?, ?, ?, ?)`,
      ).run(id, owner, sequence, job, record, mark);
    },
    setCheckpointRecord: async ({ id, job, record, mark }) => {
      prepare('UPDATE checkpoints SET job = ?, record = ?, mark = ? WHERE id = ?').run(
        job,
        record,
        mark,
        id,
      );
    },
    setCheckpointMark: async (id, mark) => {
      prepare('UPDATE checkpoints SET mark = ? WHERE id = ?').run(mark, id);
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
    generation: async () =>
      integer(
        prepare('SELECT coalesce((SELECT generation FROM vault), 0) AS generation').get(),
        'generation',
      ),
    forgetTrash: async (name) => {
      prepare('DELETE FROM trash WHERE name = ?').run(name);
    },
    packNames: async () =>
      new Set(
        prepare('SELECT name FROM packs')
          .all()
          .map((row) => text(row, 'name')),
      ),
    touch: async () => {
      prepare('UPDATE vault SET generation = generation').run();
    },
  };

  async function addPack({ name, owner, wrappedKey, bytes }: PackRow): Promise<void> {
    prepare('INSERT INTO packs (name, owner, wrapped_key, bytes) VALUES (?, ?, ?, ?)').run(
      name,
      owner,
      wrappedKey,
      bytes,
    );
  }

  async function insertChunks(owner: number, rows: readonly ChunkUse[]): Promise<void> {
    const add = prepare(
      `INSERT INTO chunks
       (owner, identity, pack, offset_bytes, stored_bytes, plain_bytes, method, refs)
       VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
    );
    const numbers = new Map<string, number>();
    const addedBytes = new Map<number, number>();
    for (const [index, row] of rows.entries()) {
      if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
      const { identity, offsetBytes, storedBytes, plainBytes, method, refs } = row;
      const pack = numbers.get(row.pack) ?? packNumber(row.pack);
      numbers.set(row.pack, pack);
      add.run(owner, identity, pack, offsetBytes, storedBytes, plainBytes, method, refs);
      addedBytes.set(pack, (addedBytes.get(pack) ?? 0) + storedBytes);
    }
    for (const [pack, bytes] of addedBytes) changeUse(pack, bytes);
  }

  /** `change` gives the row that it changed, with its new count of uses. */
  async function dropUnused<T>(
    items: readonly T[],
    change: (item: T) => Row | undefined,
  ): Promise<string[]> {
    const drop = prepare('DELETE FROM chunks WHERE number = ?');
    const freedBytes = new Map<number, number>();
    for (const [index, item] of items.entries()) {
      if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
      const row = change(item);
      if (row === undefined || integer(row, 'refs', Number.MIN_SAFE_INTEGER) > 0) continue;
      const pack = integer(row, 'pack');
      freedBytes.set(pack, (freedBytes.get(pack) ?? 0) + integer(row, 'stored_bytes'));
      drop.run(integer(row, 'number'));
    }
    for (const [pack, bytes] of freedBytes) changeUse(pack, -bytes);
    return [...freedBytes.keys()].filter(isWithoutChunks).map(freePack);
  }

  function changeUse(pack: number, bytes: number): void {
    // Not below nothing, whatever somebody made of the rows.
    prepare('UPDATE packs SET used_bytes = max(0, used_bytes + ?) WHERE number = ?').run(
      bytes,
      pack,
    );
  }

  function isWithoutChunks(pack: number): boolean {
    return prepare('SELECT 1 FROM chunks WHERE pack = ? LIMIT 1').get(pack) === undefined;
  }

  function freePack(pack: number): string {
    const row = prepare('DELETE FROM packs WHERE number = ? RETURNING name, bytes').get(pack);
    const name = text(row, 'name');
    prepare(
      'INSERT INTO trash (name, generation, bytes) VALUES (?, coalesce((SELECT generation FROM vault), 0), ?)',
    ).run(name, integer(row, 'bytes'));
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

function packRow(row: Row): PackRow {
  return {
    name: text(row, 'name'),
    owner: integer(row, 'owner'),
    wrappedKey: blob(row, 'wrapped_key'),
    bytes: integer(row, 'bytes'),
  };
}

function trashRow(row: Row): TrashRow {
  return {
    pack: text(row, 'name'),
    generation: integer(row, 'generation'),
    bytes: integer(row, 'bytes'),
  };
}

function checkpointKey(row: Row): CheckpointKey {
  return {
    id: text(row, 'id'),
    sequence: integer(row, 'sequence'),
    job: blobOrNull(row, 'job'),
    mark: blobOrNull(row, 'mark'),
  };
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

function blobOrNull(row: Row | undefined, column: string): Uint8Array | null {
  return row?.[column] === null ? null : blob(row, column);
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
