/**
 * An owner's state: a small sealed map that says how far the owner's numbering and clock have come, and
 * which checkpoints there are.
 *
 *   sequence    the highest sequence ever given
 *   stampMs     the last stamp given, in milliseconds since 1970
 *   live        HMAC over ids, sequences, jobs and marks of all checkpoints, ascending by sequence
 *   entry, mac  number and mac of the owner's last entry in the ledger
 *   operators   other owners who may use the checkpoints; absent: nobody
 *   epoch       of the re-encryption that the owner's key is from; absent: none yet
 *
 * Invariants:
 * 1. Sequences and stamps only ever grow, whatever the clock does and whatever was removed.
 * 2. A checkpoint that is missing or added does not go unseen: `live` would differ. Nor does an owner put
 *    back as it once was: the ledger would go on after `entry`. (Putting back the whole vault as it once
 *    was can't be seen from within it.)
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { arrayOf, bytes, checkShape, integer, mapOf, type ShapeOf, text } from '../cbor/shape.ts';
import type { IndexTransaction, IndexView, LedgerRow } from '../store/store.ts';
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
const stateShape = mapOf(
  {
    sequence: integer(0),
    stampMs: integer(0),
    live: digest,
    entry: integer(1),
    mac: digest,
  },
  { operators: arrayOf(text(), 1), epoch: integer(1) },
);

export type OwnerState = ShapeOf<typeof stateShape>;
/** What of the state a change may set; the rest follows from the checkpoints and the ledger. */
export type OwnerProgress = Omit<OwnerState, 'live' | 'entry' | 'mac'>;

export interface LoadedOwner {
  readonly number: number;
  readonly keys: OwnerKeys;
  readonly state: OwnerState;
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
 * The owner, with state and list of checkpoints checked: in this transaction, the rows of the owner's
 * checkpoints are exactly those that the state vouches for. Null as above. Throws ERR_VAULT_DAMAGED.
 */
export async function loadOwner(
  view: IndexView,
  keys: VaultKeys,
  owner: string,
): Promise<LoadedOwner | null> {
  const found = await loadOwnerKeys(view, keys, owner);
  if (found === null) return null;
  const state = openState(found.keys, found.sealedState);
  const lines = await view.checkpointLines(found.number);
  if (Buffer.compare(state.live, digestLive(found.keys, lines)) !== 0) {
    throw vaultDamaged("The list of the owner's checkpoints", { owner });
  }
  const entry = await view.lastLedgerOf(owner);
  if (entry?.number !== state.entry || Buffer.compare(entry.mac, state.mac) !== 0) {
    throw vaultDamaged('The ledger', { entry: state.entry });
  }
  return { number: found.number, keys: found.keys, state };
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
  const state = makeState(ownerKeys, fresh, '', entry);
  const sealed = sealState(ownerKeys, state, random);
  const number = await transaction.addOwner({ name: owner, wrappedKey: wrapped, state: sealed });
  await saveOwnerList(transaction, keys, entry, random);
  return { number, keys: ownerKeys, state };
}

/**
 * Writes the state after a change, which vouches for the checkpoints' rows as they are now: `progress` over
 * what it was. `entry` is the change's own in the ledger.
 */
export async function saveOwner(
  transaction: IndexTransaction,
  owner: LoadedOwner,
  progress: Partial<OwnerProgress>,
  entry: LedgerRow,
  random: Random,
): Promise<void> {
  const lines = await transaction.checkpointLines(owner.number);
  const state = makeState(owner.keys, { ...owner.state, ...progress }, lines, entry);
  await transaction.setOwnerState(owner.number, sealState(owner.keys, state, random));
}

function makeState(
  keys: OwnerKeys,
  { sequence, stampMs, operators, epoch }: OwnerProgress,
  lines: string,
  entry: LedgerRow,
): OwnerState {
  return {
    sequence,
    stampMs,
    ...(operators === undefined || operators.length === 0 ? {} : { operators }),
    ...(epoch === undefined ? {} : { epoch }),
    live: digestLive(keys, lines),
    entry: entry.number,
    mac: entry.mac,
  };
}

function sealState(keys: OwnerKeys, state: OwnerState, random: Random): Uint8Array {
  return sealSmall(keys.record, stateBinding(keys), encodeCbor({ ...state }), random);
}

function openState(keys: OwnerKeys, sealed: Uint8Array): OwnerState {
  const plain = openSmall(keys.record, stateBinding(keys), sealed);
  if (plain === null) throw vaultDamaged("An owner's state", { owner: keys.owner });
  return checkShape(stateShape, decodeCbor(plain), {
    what: "owner's state",
    code: 'ERR_VAULT_DAMAGED',
  });
}

function stateBinding(keys: OwnerKeys): Uint8Array {
  return bindTo('owner state', keys.vaultId, keys.owner);
}

/** What a row says of the job that its checkpoint is of. */
export function jobTag(keys: OwnerKeys, job: string): Uint8Array {
  // The list's lines begin with a digit.
  return authenticate(keys.live, Buffer.from(`job ${job}`));
}

/** `lines`: as `IndexView.checkpointLines` gives them. */
function digestLive(keys: OwnerKeys, lines: string): Uint8Array {
  return authenticate(keys.live, Buffer.from(lines));
}
