/**
 * An owner's state: a small sealed map that says how far the owner's numbering and clock have come, and
 * which checkpoints there are.
 *
 *   sequence     the highest sequence ever given
 *   stampMs      the last stamp given, in milliseconds since 1970
 *   count        how many checkpoints there are
 *   checkpoints  height and root of the tree of their digests, by sequence
 *   jobs         root of the tree of their digests by job; `checkpoint-list.ts` says what both are
 *   entry, mac   number and mac of the owner's last entry in the ledger
 *   operators    other owners who may use the checkpoints; absent: nobody
 *   epoch        of the re-encryption that the owner's key is from; absent: none yet
 *
 * States of formats 1 and 2 have, in place of `count`, `checkpoints` and `jobs`, `live`: HMAC of the lines of all
 * checkpoints. They become new ones when they are next written.
 *
 * Invariants:
 * 1. Sequences and stamps only ever grow, whatever the clock does and whatever was removed.
 * 2. A checkpoint that is missing or added does not go unseen by whom it concerns: the trees would differ. Nor
 *    does an owner put back as it once was: the ledger would go on after `entry`. (Putting back the whole vault
 *    as it once was can't be seen from within it.)
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { arrayOf, bytes, checkShape, integer, mapOf, type ShapeOf, text } from '../cbor/shape.ts';
import type { IndexTransaction, IndexView, LedgerRow } from '../store/store.ts';
import { CheckpointList, type ListRoots, lineOf } from './checkpoint-list.ts';
import { vaultDamaged } from './damage.ts';
import { appendLedger, ledgerEventOf } from './ledger.ts';
import { checkOwnerList, currentEpoch, saveOwnerList } from './owner-list.ts';
import { bindTo, openSmall, sealSmall } from './sealing.ts';
import {
  authenticate,
  makeOwnerKeys,
  type OwnerKeys,
  type Random,
  unwrapOwnerKeys,
  type VaultKeys,
} from './vault-keys.ts';

const digest = bytes(32, 32);
const fields = {
  sequence: integer(0),
  stampMs: integer(0),
  entry: integer(1),
  mac: digest,
};
const rareFields = { operators: arrayOf(text(), 1), epoch: integer(1) };
const stateShape = mapOf(
  {
    ...fields,
    count: integer(0),
    checkpoints: mapOf({ height: integer(1), digest }),
    jobs: digest,
  },
  rareFields,
);
const olderShape = mapOf({ ...fields, live: digest }, rareFields);

type SealedState = ShapeOf<typeof stateShape>;
type OlderState = ShapeOf<typeof olderShape>;
export type OwnerState = Omit<SealedState, keyof ListRoots>;
/** What of the state a change may set; the rest follows from the checkpoints and the ledger. */
export type OwnerProgress = Omit<OwnerState, 'entry' | 'mac'>;

export interface LoadedOwner {
  readonly number: number;
  readonly keys: OwnerKeys;
  readonly state: OwnerState;
  readonly list: CheckpointList;
}

/** Keys alone, not yet checked against the checkpoints; null for an owner that the vault doesn't know. */
export async function loadOwnerKeys(
  view: IndexView,
  keys: VaultKeys,
  owner: string,
): Promise<{
  readonly number: number;
  readonly keys: OwnerKeys;
  readonly sealedState: Uint8Array;
} | null> {
  const row = await view.owner(owner);
  if (row === null) {
    // An owner whose row is gone must not be taken for a new one.
    await checkOwnerList(view, keys);
    await checkUnknown(view, owner);
    return null;
  }
  const ownerKeys = unwrapOwnerKeys(keys, owner, row.wrappedKey);
  return { number: row.number, keys: ownerKeys, sealedState: row.state };
}

/** Of an owner without a row the ledger says nothing, or at last that the owner was shredded. */
async function checkUnknown(view: IndexView, owner: string): Promise<void> {
  const entry = await view.lastLedgerOf(owner);
  if (entry === null || ledgerEventOf(entry) === 'owner shredded') return;
  throw vaultDamaged('The list of owners', { owner });
}

/**
 * The owner, with a state that was checked. The checkpoints are to be asked for by way of the list, which holds
 * them against the state. Null as above. Throws ERR_VAULT_DAMAGED.
 */
export async function loadOwner(
  view: IndexView,
  keys: VaultKeys,
  owner: string,
): Promise<LoadedOwner | null> {
  const found = await loadOwnerKeys(view, keys, owner);
  if (found === null) return null;
  const state = openState(found.keys, found.sealedState);
  const list =
    'live' in state ? await olderList(view, found, state) : CheckpointList.kept(view, found, state);
  const entry = await view.lastLedgerOf(owner);
  if (entry?.number !== state.entry || Buffer.compare(entry.mac, state.mac) !== 0) {
    throw vaultDamaged('The ledger', { entry: state.entry });
  }
  return { number: found.number, keys: found.keys, state, list };
}

/** Makes an owner that the vault doesn't know yet. */
export async function addOwner(
  transaction: IndexTransaction,
  keys: VaultKeys,
  owner: string,
  time: Date,
  random: Random,
): Promise<LoadedOwner> {
  const { keys: ownerKeys, wrapped } = makeOwnerKeys(keys, owner, random);
  const entry = await appendLedger(transaction, keys, time, { event: 'owner added', owner });
  const epoch = await currentEpoch(transaction, keys);
  const fresh = { sequence: 0, stampMs: 0, ...(epoch === 0 ? {} : { epoch }) };
  const row = { name: owner, wrappedKey: wrapped, state: new Uint8Array() };
  const number = await transaction.addOwner(row);
  const list = await CheckpointList.of(transaction, { number, keys: ownerKeys }, []);
  const added = {
    number,
    keys: ownerKeys,
    state: { ...fresh, entry: entry.number, mac: entry.mac },
    list,
  };
  await saveOwner(transaction, added, {}, entry, random);
  await saveOwnerList(transaction, keys, entry, random);
  return added;
}

/**
 * Writes the state after a change: `progress` over what it was, and what the list has become. `entry` is the
 * change's own in the ledger.
 */
export async function saveOwner(
  transaction: IndexTransaction,
  owner: LoadedOwner,
  progress: Partial<OwnerProgress>,
  entry: LedgerRow,
  random: Random,
): Promise<void> {
  const { sequence, stampMs, operators, epoch } = { ...owner.state, ...progress };
  const { count, checkpoints, jobs } = await owner.list.save(transaction);
  const state = {
    sequence,
    stampMs,
    ...(operators === undefined || operators.length === 0 ? {} : { operators }),
    ...(epoch === undefined ? {} : { epoch }),
    count,
    checkpoints: { ...checkpoints },
    jobs,
    entry: entry.number,
    mac: entry.mac,
  };
  const { keys } = owner;
  const sealed = sealSmall(keys.record, stateBinding(keys), encodeCbor(state), random);
  await transaction.setOwnerState(owner.number, sealed);
}

function openState(keys: OwnerKeys, sealed: Uint8Array): SealedState | OlderState {
  const plain = openSmall(keys.record, stateBinding(keys), sealed);
  if (plain === null) throw vaultDamaged("An owner's state", { owner: keys.owner });
  const state = decodeCbor(plain);
  const told = { what: "owner's state", code: 'ERR_VAULT_DAMAGED' } as const;
  const isOlder = typeof state === 'object' && state !== null && 'live' in state;
  return isOlder ? checkShape(olderShape, state, told) : checkShape(stateShape, state, told);
}

/** Of formats 1 and 2: one digest over all checkpoints. Throws ERR_VAULT_DAMAGED. */
async function olderList(
  view: IndexView,
  { number, keys }: Pick<LoadedOwner, 'number' | 'keys'>,
  { live }: OlderState,
): Promise<CheckpointList> {
  const rows = await view.checkpointKeys(number);
  const lines = Buffer.from(rows.map(lineOf).join(''));
  if (Buffer.compare(live, authenticate(keys.live, lines)) !== 0) {
    throw vaultDamaged("The list of the owner's checkpoints", { owner: keys.owner });
  }
  return CheckpointList.of(view, { number, keys }, rows);
}

function stateBinding(keys: OwnerKeys): Uint8Array {
  return bindTo('owner state', keys.vaultId, keys.owner);
}

/** What a row says of the job that its checkpoint is of. */
export function jobTag(keys: OwnerKeys, job: string): Uint8Array {
  // Nothing else that is digested under this key begins with this word.
  return authenticate(keys.live, Buffer.from(`job ${job}`));
}
