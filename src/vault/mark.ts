/**
 * A checkpoint's mark: what became of it since it was sealed, in a few bytes of whoever keeps it. Sealed as
 * the record is; the owner's state vouches for it, so one that is put back or taken away is seen.
 */
import type { CheckpointKey } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { bindTo, openSmall, sealSmall } from './sealing.ts';
import type { OwnerKeys, Random } from './vault-keys.ts';

type Marked = Pick<CheckpointKey, 'id' | 'sequence'>;

export function sealMark(
  keys: OwnerKeys,
  checkpoint: Marked,
  plain: Uint8Array,
  random: Random,
): Uint8Array {
  return sealSmall(keys.record, binding(keys, checkpoint), plain, random);
}

/** Null where there is no mark. Throws ERR_VAULT_DAMAGED. */
export function openMark(
  keys: OwnerKeys,
  checkpoint: Pick<CheckpointKey, 'id' | 'sequence' | 'mark'>,
): Uint8Array | null {
  if (checkpoint.mark === null) return null;
  const plain = openSmall(keys.record, binding(keys, checkpoint), checkpoint.mark);
  if (plain === null) throw vaultDamaged("A checkpoint's mark", { checkpoint: checkpoint.id });
  return plain;
}

function binding(keys: OwnerKeys, { id, sequence }: Marked): Uint8Array {
  return bindTo('mark', keys.vaultId, keys.owner, id, sequence);
}
