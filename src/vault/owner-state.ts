/**
 * An owner's state: a small sealed map that says how far the owner's numbering and clock have come, and
 * which checkpoints there are.
 *
 *   sequence    the highest sequence ever given
 *   stampMs     the last stamp given, in milliseconds since 1970
 *   live        HMAC over ids and sequences of all checkpoints, ascending by sequence
 *   entry, mac  number and mac of the owner's last entry in the ledger
 *
 * Invariants:
 * 1. Sequences and stamps only ever grow, whatever the clock does and whatever was removed.
 * 2. A checkpoint that is missing or added does not go unseen: `live` would differ. Nor does an owner put
 *    back as it once was: the ledger would go on after `entry`. (Putting back the whole vault as it once
 *    was can't be seen from within it.)
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { bytes, checkShape, integer, mapOf, type ShapeOf } from '../cbor/shape.ts';
import type { CheckpointKey, IndexTransaction, IndexView, LedgerRow } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { appendLedger } from './ledger.ts';
import { checkOwnerList, saveOwnerList } from './owner-list.ts';
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
const stateShape = mapOf({
  sequence: integer(0),
  stampMs: integer(0),
  live: digest,
  entry: integer(1),
  mac: digest,
});

export type OwnerState = ShapeOf<typeof stateShape>;

export interface LoadedOwner {
  readonly number: number;
  readonly keys: OwnerKeys;
  readonly state: OwnerState;
  /** Ascending by sequence; exactly those that the state vouches for. */
  readonly checkpoints: readonly CheckpointKey[];
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
    return null;
  }
  const ownerKeys = unwrapOwnerKeys(keys, owner, row.wrappedKey);
  return { number: row.number, keys: ownerKeys, sealedState: row.state };
}

/** The owner and all of the owner's checkpoints, checked; null as above. Throws ERR_VAULT_DAMAGED. */
export async function loadOwner(
  view: IndexView,
  keys: VaultKeys,
  owner: string,
): Promise<LoadedOwner | null> {
  const found = await loadOwnerKeys(view, keys, owner);
  if (found === null) return null;
  const state = openState(found.keys, found.sealedState);
  const checkpoints = await view.checkpointKeys(found.number);
  if (Buffer.compare(state.live, digestLive(found.keys, checkpoints)) !== 0) {
    throw vaultDamaged("The list of the owner's checkpoints", { owner });
  }
  const entry = await view.lastLedgerOf(owner);
  if (entry?.number !== state.entry || Buffer.compare(entry.mac, state.mac) !== 0) {
    throw vaultDamaged('The ledger', { entry: state.entry });
  }
  return { number: found.number, keys: found.keys, state, checkpoints };
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
  const state = makeState(ownerKeys, { sequence: 0, stampMs: 0 }, [], entry);
  const sealed = sealState(ownerKeys, state, random);
  const number = await transaction.addOwner({ name: owner, wrappedKey: wrapped, state: sealed });
  await saveOwnerList(transaction, keys, entry, random);
  return { number, keys: ownerKeys, state, checkpoints: [] };
}

/** Writes the state after a change. `checkpoints` are those that there are now, ascending. */
export async function saveOwner(
  transaction: IndexTransaction,
  owner: LoadedOwner,
  progress: Pick<OwnerState, 'sequence' | 'stampMs'>,
  checkpoints: readonly CheckpointKey[],
  entry: LedgerRow,
  random: Random,
): Promise<void> {
  const state = makeState(owner.keys, progress, checkpoints, entry);
  await transaction.setOwnerState(owner.number, sealState(owner.keys, state, random));
}

function makeState(
  keys: OwnerKeys,
  { sequence, stampMs }: Pick<OwnerState, 'sequence' | 'stampMs'>,
  checkpoints: readonly CheckpointKey[],
  entry: LedgerRow,
): OwnerState {
  return {
    sequence,
    stampMs,
    live: digestLive(keys, checkpoints),
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

function digestLive(keys: OwnerKeys, checkpoints: readonly CheckpointKey[]): Uint8Array {
  const list = checkpoints.map(({ id, sequence }) => `${sequence} ${id}\n`).join('');
  return authenticate(keys.live, Buffer.from(list));
}
