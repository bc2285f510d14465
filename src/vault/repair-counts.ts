/**
 * Counting anew what is counted in the index and sealed by nothing: how many checkpoints use a chunk, how much of a
 * pack is used, and the sums of an owner's packs.
 *
 *   1. an owner's records and lists of chunks are read, and uses counted
 *   2. in one transaction, if nothing of the owner's was changed since: counts are set, chunks that nobody uses are
 *      dropped, packs without chunks become trash, and the ledger says so
 *
 * Killed in between, nothing is changed. Where a record or a list of chunks is damaged, what it uses is not known, and
 * the owner's counts stay: a chunk that is dropped too early would be lost.
 */
import type { CountsChange } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { appendLedger } from './ledger.ts';
import { readOwnRecord } from './own-record.ts';
import { loadOwner } from './owner-state.ts';
import { readManifest } from './read-image.ts';
import type { VaultContext } from './vault-context.ts';

export interface Repaired {
  /** Chunks whose count of uses was wrong. */
  readonly chunks: number;
  /** Of those, what nobody uses, and is gone now. */
  readonly droppedChunks: number;
  /** Packs of which the used bytes were wrong. */
  readonly packs: number;
}

const TRIES_MAX = 20;
const LISTS_PER_TURN = 16;

/** Throws ERR_VAULT_DAMAGED for an owner with a damaged checkpoint; ERR_VAULT_BUSY, ERR_DISK_FULL, ERR_IO. */
export async function repairCounts(context: VaultContext): Promise<Repaired> {
  const hold = await context.store.packs.hold();
  try {
    const done = { chunks: 0, droppedChunks: 0, packs: 0 };
    for (const name of await context.read((view) => view.owners())) {
      const change = await repairOwner(context, name);
      done.chunks += change?.chunks ?? 0;
      done.droppedChunks += change?.droppedChunks ?? 0;
      done.packs += change?.packs ?? 0;
    }
    return done;
  } finally {
    await hold.release();
  }
}

async function repairOwner(context: VaultContext, name: string): Promise<CountsChange | null> {
  for (let tries = 1; ; tries++) {
    const counted = await countUses(context, name);
    if (counted === null) return null;
    const change = await context.write(async (transaction, keys) => {
      const now = (await transaction.lastLedgerOf(name))?.number ?? 0;
      if (now !== counted.entry && tries < TRIES_MAX) return 'again' as const;
      if (now !== counted.entry) return null;
      const done = await transaction.setCounts(counted.owner, counted.uses);
      const isChanged = done.chunks + done.packs + done.freedPacks.length > 0;
      const { chunks, packs, freedPacks } = done;
      const event = { event: 'counts repaired', chunks, packs, freedPacks } as const;
      if (isChanged) await appendLedger(transaction, keys, context.now(), event);
      return done;
    });
    if (change !== 'again') return change;
  }
}

/** By the hex of a chunk's identity. Null for an owner who is gone. */
async function countUses(
  context: VaultContext,
  name: string,
): Promise<{
  readonly owner: number;
  readonly entry: number;
  readonly uses: ReadonlyMap<string, number>;
} | null> {
  const found = await context.read(async (view, keys) => {
    const owner = await loadOwner(view, keys, name);
    if (owner === null) return null;
    const manifests: Uint8Array[] = [];
    for (const { id } of await owner.list.all()) {
      manifests.push((await readOwnRecord(view, owner, id)).manifest);
    }
    return { owner, manifests };
  });
  if (found === null) return null;
  const uses = new Map<string, number>();
  for (const [index, manifest] of found.manifests.entries()) {
    if (index % LISTS_PER_TURN === LISTS_PER_TURN - 1) await turn();
    const { identities } = await readManifest(context, found.owner, manifest);
    const distinct = new Set(
      [...identities, manifest].map((one) => Buffer.from(one).toString('hex')),
    );
    for (const identity of distinct) uses.set(identity, (uses.get(identity) ?? 0) + 1);
  }
  return { owner: found.owner.number, entry: found.owner.state.entry, uses };
}
