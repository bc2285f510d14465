import type { IndexView } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import type { LoadedOwner } from './owner-state.ts';
import { type CheckpointRecord, openRecord } from './record.ts';

/** The record of a checkpoint that the owner's state vouches for. Throws ERR_VAULT_DAMAGED. */
export async function readOwnRecord(
  view: IndexView,
  owner: Pick<LoadedOwner, 'keys'>,
  id: string,
): Promise<CheckpointRecord> {
  const row = await view.checkpoint(id);
  const record = row === null ? null : openRecord(owner.keys, row);
  if (record === null) throw vaultDamaged('A checkpoint', { checkpoint: id });
  return record;
}
