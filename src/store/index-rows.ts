/**
 * All statements on the index in SQLite: questions (`index-view.ts`), and the changes that are here.
 */
import type { DatabaseSync } from 'node:sqlite';
import { prepareIndexView, ROWS_PER_TURN } from './index-view.ts';
import { integer, type Row, text } from './row-shapes.ts';
import { statementCache } from './statement-cache.ts';
import type { ChunkUse, IndexTransaction, PackRow } from './store.ts';
import { turn } from './turn.ts';

/** Whoever calls them holds a transaction (see `sqlite-index.ts`). */
export function prepareIndexRows(database: DatabaseSync): IndexTransaction & {
  /** The present generation of trash. */
  generation(): Promise<number>;
  forgetTrash(name: string): Promise<void>;
  packNames(): Promise<ReadonlySet<string>>;
  /** Writes, and changes nothing. */
  touch(): Promise<void>;
} {
  const prepare = statementCache(database);
  const packNumber = (name: string): number =>
    integer(prepare('SELECT number FROM packs WHERE name = ?').get(name), 'number');

  return {
    ...prepareIndexView(database, prepare),
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
      for (const table of ['chunks', 'packs', 'checkpoints', 'digests', 'job_lists']) {
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
    setCounts: async (owner, uses) => {
      const change = { chunks: 0, droppedChunks: 0 };
      const set = prepare('UPDATE chunks SET refs = ? WHERE number = ?');
      const drop = prepare('DELETE FROM chunks WHERE number = ?');
      const rows = prepare(
        'SELECT number, lower(hex(identity)) AS name, refs FROM chunks WHERE owner = ?',
      ).all(owner);
      for (const [index, row] of rows.entries()) {
        if (index % ROWS_PER_TURN === ROWS_PER_TURN - 1) await turn();
        const refs = uses.get(text(row, 'name')) ?? 0;
        if (refs === integer(row, 'refs', Number.MIN_SAFE_INTEGER)) continue;
        change.chunks++;
        if (refs > 0) set.run(refs, integer(row, 'number'));
        else drop.run(integer(row, 'number'));
        if (refs === 0) change.droppedChunks++;
      }
      const used = '(SELECT coalesce(sum(stored_bytes), 0) FROM chunks WHERE pack = packs.number)';
      const { changes } = prepare(
        `UPDATE packs SET used_bytes = ${used} WHERE owner = ? AND used_bytes <> ${used}`,
      ).run(owner);
      const freedPacks = prepare('SELECT number FROM packs WHERE owner = ?')
        .all(owner)
        .map((row) => integer(row, 'number'))
        .filter(isWithoutChunks)
        .map(freePack);
      prepare(
        `UPDATE owners SET (pack_bytes, used_bytes) =
         (SELECT coalesce(sum(bytes), 0), coalesce(sum(used_bytes), 0) FROM packs WHERE owner = ?1)
         WHERE number = ?1`,
      ).run(owner);
      return { ...change, packs: Number(changes), freedPacks };
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
    setDigest: async (owner, tree, { level, number, digest }) => {
      if (digest === null) {
        prepare('DELETE FROM digests WHERE owner = ? AND tree = ? AND level = ? AND place = ?').run(
          owner,
          tree,
          level,
          number,
        );
        return;
      }
      prepare(
        `INSERT INTO digests (owner, tree, level, place, digest) VALUES (?, ?, ?, ?, ?)
         ON CONFLICT (owner, tree, level, place) DO UPDATE SET digest = excluded.digest`,
      ).run(owner, tree, level, number, digest);
    },
    setJobList: async (owner, job, list) => {
      if (list === null) {
        prepare('DELETE FROM job_lists WHERE owner = ? AND job = ?').run(owner, job);
        return;
      }
      prepare(
        `INSERT INTO job_lists (owner, job, height, digest) VALUES (?, ?, ?, ?)
         ON CONFLICT (owner, job) DO UPDATE SET height = excluded.height, digest = excluded.digest`,
      ).run(owner, job, list.height, list.digest);
    },
    clearLists: async (owner) => {
      prepare('DELETE FROM digests WHERE owner = ?').run(owner);
      prepare('DELETE FROM job_lists WHERE owner = ?').run(owner);
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
    prepare('UPDATE owners SET pack_bytes = pack_bytes + ? WHERE number = ?').run(bytes, owner);
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
    const row = prepare(
      'UPDATE packs SET used_bytes = max(0, used_bytes + ?) WHERE number = ? RETURNING owner',
    ).get(bytes, pack);
    if (row === undefined) return;
    prepare('UPDATE owners SET used_bytes = max(0, used_bytes + ?) WHERE number = ?').run(
      bytes,
      integer(row, 'owner'),
    );
  }

  function isWithoutChunks(pack: number): boolean {
    return prepare('SELECT 1 FROM chunks WHERE pack = ? LIMIT 1').get(pack) === undefined;
  }

  function freePack(pack: number): string {
    const row = prepare(
      'DELETE FROM packs WHERE number = ? RETURNING name, owner, bytes, used_bytes',
    ).get(pack);
    const name = text(row, 'name');
    prepare(
      `UPDATE owners SET pack_bytes = max(0, pack_bytes - ?), used_bytes = max(0, used_bytes - ?)
       WHERE number = ?`,
    ).run(integer(row, 'bytes'), integer(row, 'used_bytes'), integer(row, 'owner'));
    prepare(
      'INSERT INTO trash (name, generation, bytes) VALUES (?, coalesce((SELECT generation FROM vault), 0), ?)',
    ).run(name, integer(row, 'bytes'));
    return name;
  }
}
