/**
 * Finding checkpoints. Every way begins with the owner's state and goes through the list that it vouches for, so
 * a row that was removed, added or put back is noticed by whoever would have been told of it.
 */
import { HostError } from '../fault/host-error.ts';
import type { CheckpointRow, IndexView } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import type { CheckpointInfo, Requester } from './checkpoint-info.ts';
import { vaultDamaged } from './damage.ts';
import { loadRequested } from './operators.ts';
import { jobTag, type LoadedOwner, loadOwner, loadOwnerKeys } from './owner-state.ts';
import { type CheckpointRecord, openRecord } from './record.ts';
import { ownerMismatch } from './requester.ts';
import type { Selector } from './vault.ts';
import type { VaultContext } from './vault-context.ts';
import type { OwnerKeys, VaultKeys } from './vault-keys.ts';

const RECORDS_PER_TURN = 128;

/** The owner's checkpoints that `matches` takes, newest first, `countMax` at most. */
export async function selectCheckpoints(
  { read }: VaultContext,
  requester: Requester,
  { job, matches }: { readonly job?: string; readonly matches: (info: CheckpointInfo) => boolean },
  countMax: number,
): Promise<CheckpointInfo[]> {
  return read(async (view, keys) => {
    const owner = await loadRequested(view, keys, requester);
    const found: CheckpointInfo[] = [];
    if (owner === null) return found;
    const tag = job === undefined ? undefined : jobTag(owner.keys, job);
    let read = 0;
    for await (const { id } of owner.list.newest(tag, Number.POSITIVE_INFINITY)) {
      if (++read % RECORDS_PER_TURN === 0) await turn();
      const { info } = await readRecord(view, keys, owner, id);
      if ((job ?? info.job) === info.job && matches(info)) found.push(info);
      if (found.length === countMax) break;
    }
    return found;
  });
}

/** See `Vault.find`. */
export async function findCheckpoint(
  context: VaultContext,
  requester: Requester,
  { name, job, id, at }: Selector,
): Promise<CheckpointInfo | null> {
  // ISO stamps of one form sort as their times do.
  const latest = at?.toISOString();
  const matches = (info: CheckpointInfo): boolean =>
    (name === undefined || info.name === name) &&
    (job === undefined || info.job === job) &&
    (latest === undefined || info.stamp <= latest);
  if (id === undefined) {
    const which = { matches, ...(job === undefined ? {} : { job }) };
    const [found] = await selectCheckpoints(context, requester, which, 1);
    return found ?? null;
  }
  const record = await context.read((view, keys) => lookUp(view, keys, requester, id));
  return record !== null && matches(record.record.info) ? record.record.info : null;
}

export interface LookedUp {
  readonly owner: LoadedOwner;
  readonly record: CheckpointRecord;
}

/**
 * The requester's own checkpoint of this id; null when there is none, or it is another owner's. Throws
 * ERR_OWNER_MISMATCH for one that was sealed for another owner, ERR_VAULT_DAMAGED.
 */
export async function lookUp(
  view: IndexView,
  keys: VaultKeys,
  requester: Requester,
  id: string,
): Promise<LookedUp | null> {
  const isOperator = requester.operator !== undefined;
  if (isOperator && (await loadRequested(view, keys, requester)) === null) return null;
  const claimed = await loadOwnerKeys(view, keys, requester.owner);
  if (claimed === null) return null;
  const row = await view.checkpoint(id);
  // First whose it is: a checkpoint slipped in from another owner also spoils the list, but that says less.
  if (row !== null && row.owner === claimed.number)
    await refuseForeign(view, keys, claimed.keys, row);
  const owner = await loadOwner(view, keys, requester.owner);
  if (owner === null || (await owner.list.find(id)) === null) return null;
  return { owner, record: await readRecord(view, keys, owner, id) };
}

export function noSuchCheckpoint(id: string): HostError {
  return new HostError('ERR_NO_SUCH_CHECKPOINT', 'There is no such checkpoint.', {
    facts: { checkpoint: id },
    hint: 'stasis checkpoints lists yours',
  });
}

async function readRecord(
  view: IndexView,
  keys: VaultKeys,
  owner: LoadedOwner,
  id: string,
): Promise<CheckpointRecord> {
  const row = await view.checkpoint(id);
  if (row === null) throw vaultDamaged('A checkpoint', { checkpoint: id });
  const record = openRecord(owner.keys, row);
  if (record === null) {
    await refuseForeign(view, keys, owner.keys, row);
    throw vaultDamaged('A checkpoint', { checkpoint: id });
  }
  return record;
}

/** Throws ERR_OWNER_MISMATCH when the row's record opens for another owner and not for its own. */
async function refuseForeign(
  view: IndexView,
  keys: VaultKeys,
  own: OwnerKeys,
  row: CheckpointRow,
): Promise<void> {
  if (openRecord(own, row) !== null) return;
  for (const name of await view.owners()) {
    if (name === own.owner) continue;
    const other = await loadOwnerKeys(view, keys, name);
    if (other !== null && openRecord(other.keys, row) !== null) throw ownerMismatch(row.id);
  }
}
