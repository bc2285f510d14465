/**
 * Collecting: gives back the room of what no checkpoint uses any more, beside processes that seal and read.
 *
 *   1. a new generation of trash begins
 *   2. packs of which too much is unused are packed anew: what is used of them goes into new packs, which
 *      are made durable; then, in one transaction for each owner, chunks get their new places and the old
 *      packs become trash
 *   3. what has been trash for two generations is deleted, and what dead writers left; now and then all packs are
 *      looked at for some that nobody names
 *
 * Killed in 2, the new packs are swept when the vault is next opened, or the owner's part is done. A chunk
 * that is released while it is being moved is passed over, and its copy is unused from the start. A process
 * that reads from an old pack meanwhile finds it in the trash.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { ChunkRow, PackUse } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { openPacked } from './chunk.ts';
import { appendLedger } from './ledger.ts';
import { MANIFEST_BYTES_MAX } from './manifest.ts';
import { loadOwnerKeys } from './owner-state.ts';
import { createPackFiller, mayCommitYet, type PackFiller } from './pack-filler.ts';
import { checkSizes, contiguousRuns, type OwnerReference, readRun } from './read-image.ts';
import { TRASH_GENERATIONS } from './remove-checkpoints.ts';
import type { VaultContext } from './vault-context.ts';
import { areSameOwnerKeys, unwrapPackKey } from './vault-keys.ts';

export interface CollectRequest {
  /** Change nothing, tell what would be done. */
  readonly dryRun: boolean;
  /** Delete all trash, however young. */
  readonly emptyTrash: boolean;
  /** How many unused bytes may stay, of so many bytes of packs. */
  readonly unusedBytesMax: (packBytes: number) => number;
}

const FAIR_PAUSE_MS = 10;
/** Generations. To list all packs takes the longer the more there are, and seldom finds anything. */
const LOOKS_AROUND_EVERY = 16;

/** A twentieth of what there is may stay unused, as with restic. */
export const COLLECT_DEFAULTS: CollectRequest = {
  dryRun: false,
  emptyTrash: false,
  unusedBytesMax: (packBytes) => packBytes / 20,
};

export interface Collected {
  /** Of all packs that the index names, before. */
  readonly packBytes: number;
  readonly unusedBytes: number;
  readonly repackedPacks: number;
  /** Used bytes that were moved. */
  readonly repackedBytes: number;
  readonly deletedPacks: number;
  readonly deletedBytes: number;
  readonly trashPacks: number;
  readonly trashBytes: number;
  /** Somebody's backup kept the trash from being emptied. */
  readonly held: boolean;
}

/** Throws ERR_VAULT_DAMAGED for a pack that can't be moved; ERR_VAULT_BUSY, ERR_DISK_FULL, ERR_IO. */
export async function collectGarbage(
  context: VaultContext,
  { dryRun, emptyTrash, unusedBytesMax }: CollectRequest,
): Promise<Collected> {
  const { store } = context;
  const { totals, wasteful } = await context.read(async (view) => ({
    totals: await view.packTotals(),
    wasteful: await view.wastefulPacks(),
  }));
  const packBytes = totals.bytes;
  const unusedBytes = sum(wasteful, unused);
  const chosen = choosePacks(wasteful, unusedBytesMax(packBytes));
  let generation = 0;
  if (!dryRun) {
    generation = await context.write((transaction) => transaction.nextGeneration());
    for (const [owner, own] of Map.groupBy(chosen, (pack) => pack.owner)) {
      await repack(context, owner, own);
    }
  }
  // Whoever collects without a pause would otherwise leave others no moment for a transaction of theirs.
  if (!dryRun) await pause(FAIR_PAUSE_MS);
  const keep = emptyTrash ? 0 : TRASH_GENERATIONS;
  const scope = emptyTrash || generation % LOOKS_AROUND_EVERY === 0 ? 'everything' : 'trash';
  const swept = await (dryRun ? store.packs.planSweep(keep) : store.packs.sweep(keep, scope));
  return {
    packBytes,
    unusedBytes,
    repackedPacks: chosen.length,
    repackedBytes: sum(chosen, ({ usedBytes }) => usedBytes),
    deletedPacks: swept.packs,
    deletedBytes: swept.bytes,
    trashPacks: swept.kept,
    trashBytes: swept.keptBytes,
    held: swept.held,
  };
}

/** The worst first, until what is left unused is no more than it may be. */
function choosePacks(packs: readonly PackUse[], unusedBytesMax: number): readonly PackUse[] {
  const wasteful = packs.toSorted((a, b) => unused(b) / b.bytes - unused(a) / a.bytes);
  let left = sum(wasteful, unused);
  const chosen: PackUse[] = [];
  for (const pack of wasteful) {
    if (left <= unusedBytesMax) break;
    left -= unused(pack);
    chosen.push(pack);
  }
  return chosen;
}

async function repack(
  context: VaultContext,
  number: number,
  packs: readonly PackUse[],
): Promise<void> {
  const owner = await ownerOf(context, number);
  if (owner === null) return;
  const filler = createPackFiller(context, owner.keys);
  try {
    const rows: ChunkRow[] = [];
    for (const pack of packs) rows.push(...(await copyChunks(context, owner, pack, filler)));
    const filled = await filler.finish();
    const isDone = await context.write(async (transaction, keys) => {
      const now = await loadOwnerKeys(transaction, keys, owner.keys.owner);
      if (now === null || !areSameOwnerKeys(now.keys, owner.keys)) return false;
      const added = filled.map((pack) => ({ ...pack, owner: number }));
      const freedPacks = await transaction.moveChunks(number, added, rows);
      await appendLedger(transaction, keys, context.now(), { event: 'repacked', freedPacks });
      return true;
    });
    await (isDone ? filler.close() : filler.discard());
  } catch (error) {
    await (mayCommitYet(error) ? filler.leave() : filler.discard());
    throw error;
  }
}

/** Null for an owner who is gone by now. */
async function ownerOf(context: VaultContext, number: number): Promise<OwnerReference | null> {
  return context.read(async (view, keys) => {
    const name = await view.ownerName(number);
    return name === null ? null : loadOwnerKeys(view, keys, name);
  });
}

/** Seals what is used of a pack into new ones. Gives the chunks with their new places. */
async function copyChunks(
  context: VaultContext,
  owner: OwnerReference,
  { name, wrappedKey }: PackUse,
  filler: PackFiller,
): Promise<ChunkRow[]> {
  // Gone by now: somebody else has packed it anew, or released all of it.
  const rows = await context.read(async (view) =>
    (await view.pack(name)) === null ? [] : view.chunksIn(name),
  );
  if (rows.length === 0) return [];
  const key = unwrapPackKey(owner.keys, name, wrappedKey);
  const moved: ChunkRow[] = [];
  for (const row of rows) checkSizes(row, MANIFEST_BYTES_MAX);
  for (const run of contiguousRuns(rows, [...rows.keys()])) {
    const bytes = await readRun(context.store.packs, rows, run);
    const start = rows[run[0]!]!.offsetBytes;
    for (const index of run) {
      const row = rows[index]!;
      const at = row.offsetBytes - start;
      const packed = openPacked(owner.keys, key, row, bytes.subarray(at, at + row.storedBytes));
      const { identity, plainBytes } = row;
      moved.push(await filler.add({ identity, plainBytes, packed }));
    }
    await turn();
  }
  return moved;
}

function unused({ bytes, usedBytes }: PackUse): number {
  return Math.max(0, bytes - usedBytes);
}

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
