/**
 * Removing checkpoints: the rows go in one transaction, together with the references to their chunks;
 * packs that nothing refers to any more become trash of a new generation, and what has been trash for two
 * generations is deleted after the commit.
 *
 * A checkpoint that is damaged can be removed too. Which chunks it used can't be told then, so they stay.
 */
import { HostError } from '../fault/host-error.ts';
import type { CheckpointRow } from '../store/store.ts';
import type { Requester } from './checkpoint-info.ts';
import { appendLedger } from './ledger.ts';
import { checkOwn } from './operators.ts';
import { loadOwner, saveOwner } from './owner-state.ts';
import { readManifest } from './read-image.ts';
import { openRecord } from './record.ts';
import { noSuchCheckpoint } from './select-checkpoint.ts';
import type { VaultContext } from './vault-context.ts';

/** A pack stays so many collections in the trash: whoever was reading from it then has read by now. */
export const TRASH_GENERATIONS = 2;

/** See `Vault.remove`. */
export async function removeCheckpoints(
  context: VaultContext,
  requester: Requester,
  ids: readonly string[],
): Promise<void> {
  const { store, write, now, random } = context;
  checkOwn(requester);
  const wanted = new Set(ids);
  if (wanted.size === 0) return;
  const used = await usedChunks(context, requester, wanted);
  await write(async (transaction, keys) => {
    const owner = await loadOwner(transaction, keys, requester.owner);
    if (owner === null) throw noSuchCheckpoint(ids[0]!);
    let last = null;
    await transaction.nextGeneration();
    const removed: CheckpointRow[] = [];
    for (const id of wanted) {
      const row = await owner.list.find(id);
      if (row === null) throw noSuchCheckpoint(id);
      removed.push(row);
    }
    removed.sort((a, b) => a.sequence - b.sequence);
    await owner.list.change(removed, async () => {
      for (const { id } of removed) await transaction.removeCheckpoint(id);
    });
    for (const { id, sequence, job } of removed) {
      const freedPacks = await transaction.releaseChunks(owner.number, used.get(id) ?? []);
      last = await appendLedger(transaction, keys, now(), {
        event: 'removed',
        owner: requester.owner,
        checkpoint: id,
        sequence,
        ...(job === null ? {} : { job }),
        freedPacks,
      });
    }
    await saveOwner(transaction, owner, {}, last!, random);
  });
  // Done is done: what can't be deleted now stays trash, and the next sweep deletes it.
  await store.packs.sweep(TRASH_GENERATIONS, 'trash').catch(() => undefined);
}

/** Each distinct chunk of each checkpoint, by checkpoint id. */
async function usedChunks(
  context: VaultContext,
  requester: Requester,
  ids: ReadonlySet<string>,
): Promise<ReadonlyMap<string, readonly Uint8Array[]>> {
  const found = await context.read(async (view, keys) => {
    const owner = await loadOwner(view, keys, requester.owner);
    const records = [];
    for (const id of ids) {
      const row = (await owner?.list.find(id)) ?? null;
      if (owner === null || row === null) throw noSuchCheckpoint(id);
      records.push({ id, record: openRecord(owner.keys, row) });
    }
    return { owner: owner!, records };
  });
  const used = new Map<string, readonly Uint8Array[]>();
  for (const { id, record } of found.records) {
    if (record === null) continue;
    try {
      const { identities } = await readManifest(context, found.owner, record.manifest);
      const distinct = new Map(
        [...identities, record.manifest].map((identity) => [
          Buffer.from(identity).toString('hex'),
          identity,
        ]),
      );
      used.set(id, [...distinct.values()]);
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'ERR_VAULT_DAMAGED') throw error;
    }
  }
  return used;
}
