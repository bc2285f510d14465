/**
 * A checkpoint is used once: its mark says which run goes on from it, or went.
 *
 *                  claim                     the run ended well, or sealed a checkpoint
 *   (no mark) ────────────────▶ claimed ────────────────────────────────────────────────▶ used
 *       ▲                          │ the run came to nothing: it failed, was killed, was lost
 *       └──────────────────────────┘
 *
 *   mark   CBOR map { state: 'claimed' | 'used', job, run }, sealed (`mark.ts`)
 *
 * Invariants:
 * 1. Each step is one transaction, with its entry in the ledger: of two claims at once exactly one succeeds,
 *    in however many processes.
 * 2. A claim whose run is over, and nobody wrote down how, is judged when the next claim comes: by whoever
 *    knows the runs. So a crash at any point loses nothing: the checkpoint is free again, unless its run
 *    went on to a newer one, and that is written in the transaction that seals the newer one.
 * 3. A clone asks for no mark and leaves none. Who wants a used one again has to say so; never while its run
 *    goes on.
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { checkShape, integer, mapOf, oneOf, type ShapeOf, text } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import type { CheckpointKey, IndexTransaction } from '../store/store.ts';
import type { Requester } from './checkpoint-info.ts';
import { appendLedger, type LedgerEvent } from './ledger.ts';
import { openMark, sealMark } from './mark.ts';
import { checkOwn, loadRequested } from './operators.ts';
import { type LoadedOwner, saveOwner } from './owner-state.ts';
import { noSuchCheckpoint } from './select-checkpoint.ts';
import type { VaultContext } from './vault-context.ts';
import type { OwnerKeys, VaultKeys } from './vault-keys.ts';

const useShape = mapOf({
  state: oneOf('claimed', 'used'),
  /** The job's id, and the run of it that went on from here. */
  job: text(),
  run: integer(1),
});

export type CheckpointUse = ShapeOf<typeof useShape>;
export type UsingRun = Pick<CheckpointUse, 'job' | 'run'>;

/** What became of a run, as the process table knows. */
export type RunFate = 'running' | 'ended well' | 'came to nothing';

/**
 * `once`: unless it was used. `again`: although it was, by a run that is over: the user wants the work of that
 * run done anew, in its place. `clone`: as a twin, beside whatever else goes on from it.
 */
export type UseKind = 'once' | 'again' | 'clone';

export interface ClaimRequest extends UsingRun {
  readonly how: UseKind;
  /** Asked about the run that a claim is of. */
  readonly fateOf: (run: UsingRun) => RunFate;
}

/** See `Vault.claim`. */
export async function claimCheckpoint(
  { write, now, random }: VaultContext,
  requester: Requester,
  id: string,
  { job, run, how, fateOf }: ClaimRequest,
): Promise<void> {
  if (how !== 'once') checkOwn(requester);
  await write(async (transaction, keys) => {
    const { owner, key } = await markedKey(transaction, keys, requester, id);
    const use = readUse(owner.keys, key);
    if (use !== null) checkFree(id, use, how, fateOf);
    const by = requester.operator === undefined ? {} : { operator: requester.operator };
    const about = {
      owner: requester.owner,
      checkpoint: id,
      sequence: key.sequence,
      job,
      run,
      ...by,
    };
    const entry = await appendLedger(transaction, keys, now(), {
      event: EVENTS[how],
      ...about,
    });
    if (how !== 'clone') {
      await setUse(transaction, owner, key, { state: 'claimed', job, run }, random);
    }
    await saveOwner(transaction, owner, {}, entry, random);
  });
}

const EVENTS = { once: 'claimed', again: 'claimed again', clone: 'cloned' } as const;

/** Throws ERR_CHECKPOINT_USED, or ERR_JOB_RUNNING while the run goes on. */
export function checkFree(
  id: string,
  use: CheckpointUse,
  how: UseKind,
  fateOf: ClaimRequest['fateOf'],
): void {
  if (how === 'clone') return;
  const fate = use.state === 'used' ? 'ended well' : fateOf(use);
  if (fate === 'came to nothing' || (fate === 'ended well' && how === 'again')) return;
  if (fate === 'running') {
    throw new HostError('ERR_JOB_RUNNING', 'A run that went on from this checkpoint still runs.', {
      facts: { checkpoint: id, run: use.run },
      hint: 'stop it first, or restore with --clone to have two of them',
    });
  }
  throw new HostError(
    'ERR_CHECKPOINT_USED',
    `The checkpoint was used: run ${use.run} went on from it, and ended well or made a newer one.`,
    {
      facts: { checkpoint: id, run: use.run },
      hint: 'restore the newest checkpoint; or this one with --again, to do its work anew, or with --clone, as a twin',
    },
  );
}

/** See `Vault.settle`. */
export async function settleCheckpoint(
  { write, now, random }: VaultContext,
  requester: Requester,
  id: string,
  { job, run: number }: UsingRun,
  endedWell: boolean,
): Promise<void> {
  const run = { job, run: number };
  await write(async (transaction, keys) => {
    const owner = await loadRequested(transaction, keys, requester);
    const key = (await owner?.list.find(id)) ?? null;
    // Removed meanwhile, or used up by a newer checkpoint, or claimed by a later run.
    if (owner === null || key === null || !isClaimedBy(owner, key, run)) return;
    const use = endedWell ? ({ state: 'used', ...run } as const) : null;
    await setUse(transaction, owner, key, use, random);
    const about = { owner: requester.owner, checkpoint: id, sequence: key.sequence, ...run };
    const event = endedWell ? 'used' : 'freed';
    const entry = await appendLedger(transaction, keys, now(), { event, ...about });
    await saveOwner(transaction, owner, {}, entry, random);
  });
}

/**
 * Within the transaction that seals a checkpoint of `run`: the one that the run began at is used from now
 * on. The caller writes the owner's state.
 */
export async function useUp(
  { now, random }: Pick<VaultContext, 'now' | 'random'>,
  transaction: IndexTransaction,
  vaultKeys: VaultKeys,
  owner: LoadedOwner,
  id: string,
  run: UsingRun,
): Promise<void> {
  const key = await owner.list.find(id);
  if (key === null || !isClaimedBy(owner, key, run)) return;
  const event: LedgerEvent = {
    event: 'used',
    owner: owner.keys.owner,
    checkpoint: id,
    sequence: key.sequence,
    ...run,
  };
  await appendLedger(transaction, vaultKeys, now(), event);
  await setUse(transaction, owner, key, { state: 'used', ...run }, random);
}

/** See `Vault.use`. */
export async function readCheckpointUse(
  { read }: VaultContext,
  requester: Requester,
  id: string,
): Promise<CheckpointUse | null> {
  return read(async (view, keys) => {
    const owner = await loadRequested(view, keys, requester);
    const key = (await owner?.list.find(id)) ?? null;
    return owner === null || key === null ? null : readUse(owner.keys, key);
  });
}

/** See `Vault.uses`. */
export async function listUses(
  { read }: VaultContext,
  requester: Requester,
): Promise<ReadonlyMap<string, CheckpointUse>> {
  return read(async (view, keys) => {
    const owner = await loadRequested(view, keys, requester);
    const uses = new Map<string, CheckpointUse>();
    if (owner === null) return uses;
    for (const key of await owner.list.all()) {
      const use = readUse(owner.keys, key);
      if (use !== null) uses.set(key.id, use);
    }
    return uses;
  });
}

async function markedKey(
  transaction: IndexTransaction,
  keys: VaultKeys,
  requester: Requester,
  id: string,
): Promise<{ readonly owner: LoadedOwner; readonly key: CheckpointKey }> {
  const owner = await loadRequested(transaction, keys, requester);
  const key = (await owner?.list.find(id)) ?? null;
  if (owner === null || key === null) throw noSuchCheckpoint(id);
  return { owner, key };
}

function isClaimedBy(owner: LoadedOwner, key: CheckpointKey, { job, run }: UsingRun): boolean {
  const use = readUse(owner.keys, key);
  return use?.state === 'claimed' && use.job === job && use.run === run;
}

function readUse(keys: OwnerKeys, key: CheckpointKey): CheckpointUse | null {
  const plain = openMark(keys, key);
  if (plain === null) return null;
  return checkShape(useShape, decodeCbor(plain), {
    what: "checkpoint's mark",
    code: 'ERR_VAULT_DAMAGED',
  });
}

async function setUse(
  transaction: IndexTransaction,
  { keys, list }: LoadedOwner,
  key: CheckpointKey,
  use: CheckpointUse | null,
  random: VaultContext['random'],
): Promise<void> {
  const mark = use === null ? null : sealMark(keys, key, encodeCbor({ ...use }), random);
  await list.change([key], () => transaction.setCheckpointMark(key.id, mark));
}
