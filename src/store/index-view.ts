/**
 * Questions to the index in SQLite, one statement each.
 */
import type { DatabaseSync } from 'node:sqlite';
import {
  blob,
  blobOrNull,
  checkpointKey,
  checkpointRow,
  chunkRow,
  digestRow,
  integer,
  jobListRow,
  ledgerRow,
  ownerRow,
  packRow,
  text,
  trashRow,
} from './row-shapes.ts';
import type { Prepare } from './statement-cache.ts';
import type { ChunkRow, ChunkUse, IndexView } from './store.ts';
import { turn } from './turn.ts';

/** Rows handled before other work gets its turn: about two milliseconds. */
export const ROWS_PER_TURN = 1024;
/** More than are ever asked for in good faith. */
const CHECKPOINTS_AT_ONCE = 64;

/** Whoever asks holds a transaction (see `sqlite-index.ts`). */
export function prepareIndexView(database: DatabaseSync, prepare: Prepare): IndexView {
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
    ownerName: async (number) => {
      const row = prepare('SELECT name FROM owners WHERE number = ?').get(number);
      return row === undefined ? null : text(row, 'name');
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
    packTotals: async (owner) => {
      const columns = `SELECT coalesce(sum(pack_bytes), 0) AS bytes,
        coalesce(sum(used_bytes), 0) AS used_bytes FROM owners`;
      const row =
        owner === undefined
          ? prepare(columns).get()
          : prepare(`${columns} WHERE number = ?`).get(owner);
      return { bytes: integer(row, 'bytes'), usedBytes: integer(row, 'used_bytes') };
    },
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
    checkpointsBetween: async (owner, first, last) =>
      prepare(
        `SELECT id, sequence, job, mark FROM checkpoints WHERE owner = ? AND sequence BETWEEN ? AND ?
         ORDER BY sequence LIMIT ${CHECKPOINTS_AT_ONCE}`,
      )
        .all(owner, first, last)
        .map(checkpointKey),
    jobCheckpointsBetween: async (owner, job, first, last) =>
      prepare(
        `SELECT id, sequence, job, mark FROM checkpoints
         WHERE owner = ? AND job IS ? AND sequence BETWEEN ? AND ?
         ORDER BY sequence LIMIT ${CHECKPOINTS_AT_ONCE}`,
      )
        .all(owner, job, first, last)
        .map(checkpointKey),
    digests: async (owner, tree, { level, first, last }) =>
      prepare(
        `SELECT place, digest FROM digests WHERE owner = ? AND tree = ? AND level = ?
         AND place BETWEEN ? AND ? ORDER BY place`,
      )
        .all(owner, tree, level, first, last)
        .map(digestRow),
    jobLists: async (owner, first, end) =>
      prepare(
        'SELECT job, height, digest FROM job_lists WHERE owner = ? AND job >= ? AND job < ? ORDER BY job',
      )
        .all(owner, first, end)
        .map(jobListRow),
    listCounts: async (owner) => {
      const row = prepare(
        `SELECT (SELECT count(*) FROM digests WHERE owner = ?1) AS digests,
                (SELECT count(*) FROM job_lists WHERE owner = ?1) AS jobs`,
      ).get(owner);
      return { digests: integer(row, 'digests'), jobs: integer(row, 'jobs') };
    },
    checkpointCount: async (owner) =>
      integer(
        prepare('SELECT count(*) AS count FROM checkpoints WHERE owner = ?').get(owner),
        'count',
      ),
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
  };
}
