/**
 * How much an owner may keep in the vault. Both caps are looked at within the transaction that would go
 * beyond them, so that two processes which seal at once can't do together what neither may alone; the
 * transaction then changes nothing.
 *
 * What counts is what lies on the disk for the owner: whole packs, parts of them that no checkpoint uses any
 * more included, until a collection packs them anew. Trash does not count.
 */
import { HostError } from '../fault/host-error.ts';
import type { IndexView } from '../store/store.ts';
import type { LoadedOwner } from './owner-state.ts';
import type { SealRequest } from './vault.ts';

/** Null: as much as there is room for. */
export interface VaultCaps {
  /** Bytes of the owner's packs. */
  readonly vaultBytes: number | null;
  readonly checkpoints: number | null;
}

/** Throws ERR_QUOTA. */
export function checkCheckpointCap(
  { list }: Pick<LoadedOwner, 'list'>,
  { caps }: SealRequest,
): void {
  const cap = caps?.checkpoints ?? null;
  if (cap === null) return;
  const used = list.count;
  if (used < cap) return;
  throw new HostError('ERR_QUOTA', `The vault keeps ${cap} checkpoints for you, and has them.`, {
    facts: { cap: 'checkpoints', allowed: cap, used, asked: 1 },
    hint: 'stasis forget --keep-last 3 JOB drops older ones; stasis rm JOB drops all of a job',
  });
}

/** `askedBytes`: what the new pack has, which is among the owner's by now. Throws ERR_QUOTA. */
export async function checkByteCap(
  view: IndexView,
  { number }: Pick<LoadedOwner, 'number'>,
  { caps }: SealRequest,
  askedBytes: number,
): Promise<void> {
  const cap = caps?.vaultBytes ?? null;
  if (cap === null || askedBytes === 0) return;
  const { bytes } = await view.packTotals(number);
  if (bytes <= cap) return;
  throw new HostError('ERR_QUOTA', `The vault keeps ${cap} bytes for you, and this is more.`, {
    facts: { cap: 'vaultBytes', allowed: cap, used: bytes - askedBytes, asked: askedBytes },
    hint: 'stasis forget --keep-last 3 JOB drops older checkpoints; stasis rm JOB drops all of a job',
  });
}
