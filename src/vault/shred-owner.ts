/**
 * Shredding an owner: the owner's key is forgotten, and with it everything that was ever sealed for the owner
 * becomes unreadable, wherever copies of it lie.
 *
 *   1. one transaction: the owner's row goes, with checkpoints, chunks and packs; the list of owners and the
 *      ledger say so
 *   2. the packs are deleted, whoever holds them
 *   3. the index is written anew, so that the wrapped key is not left in free pages or in the log
 *
 * Killed after 1, the owner is gone; the packs are swept when the vault is next opened, and 3 is not done:
 * shredding again does it. What this can't reach: backups and other copies of the index made before, for as
 * long as the master key of their time is known; and what a disk keeps of blocks that were overwritten.
 */
import { appendLedger } from './ledger.ts';
import { saveOwnerList } from './owner-list.ts';
import { loadOwnerKeys } from './owner-state.ts';
import type { VaultContext } from './vault-context.ts';

export interface Shredded {
  /** False: there is no such owner; the index was written anew all the same. */
  readonly found: boolean;
  readonly checkpoints: number;
  readonly packs: number;
  /** Whether nothing of the owner's key is left in the index's files. */
  readonly scrubbed: boolean;
}

/** Throws ERR_VAULT_DAMAGED, ERR_VAULT_BUSY, ERR_DISK_FULL, ERR_IO. */
export async function shredOwner(
  { store, write, now, random }: VaultContext,
  name: string,
): Promise<Shredded> {
  const gone = await write(async (transaction, keys) => {
    // Their state is not asked for: what is damaged can be shredded too.
    const owner = await loadOwnerKeys(transaction, keys, name);
    if (owner === null) return null;
    const checkpoints = await transaction.checkpointCount(owner.number);
    const packs = await transaction.removeOwner(owner.number);
    const event = { event: 'owner shredded', owner: name, checkpoints, packs } as const;
    const entry = await appendLedger(transaction, keys, now(), event);
    await saveOwnerList(transaction, keys, entry, random);
    return { checkpoints, packs };
  });
  if (gone !== null) await store.packs.destroy(gone.packs);
  return {
    found: gone !== null,
    checkpoints: gone?.checkpoints ?? 0,
    packs: gone?.packs.length ?? 0,
    scrubbed: await store.index.scrub(),
  };
}
