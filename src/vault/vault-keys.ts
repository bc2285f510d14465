/**
 * The hierarchy of keys:
 *
 *   master (key file) ─ HKDF, salt = vault id ─┬─ check: proves that key and vault belong together
 *                                              ├─ ledger: chains the ledger
 *                                              ├─ ledger keys: seals the ledger's earlier keys
 *                                              ├─ owners: seals the list of owners
 *                                              └─ wrap: seals each owner's key
 *   owner (random, wrapped) ─ HKDF ─┬─ identity: names chunks
 *                                   ├─ live: digests the list of checkpoints
 *                                   ├─ record: seals records and the owner's state
 *                                   └─ wrap: seals each pack's key
 *   pack (random, wrapped): seals the chunks of one pack
 */
import { createHmac, type KeyObject } from 'node:crypto';
import { vaultDamaged } from './damage.ts';
import { asKey, bindTo, deriveKey, KEY_BYTES, openSmall, sealSmall } from './sealing.ts';

export type Random = (bytes: number) => Uint8Array;

export interface VaultKeys {
  readonly vaultId: Uint8Array;
  readonly check: KeyObject;
  readonly ledger: KeyObject;
  /** Keys of the ledger under earlier masters, ascending (`ledger-keys.ts`). */
  readonly pastLedger: readonly PastLedgerKey[];
  readonly ledgerKeys: KeyObject;
  readonly owners: KeyObject;
  readonly wrap: KeyObject;
}

export interface PastLedgerKey {
  /** The number of the last entry under this key. */
  readonly last: number;
  readonly key: KeyObject;
}

export interface OwnerKeys {
  readonly vaultId: Uint8Array;
  readonly owner: string;
  readonly identity: KeyObject;
  readonly live: KeyObject;
  readonly record: KeyObject;
  readonly wrap: KeyObject;
}

const PROOF = Buffer.from('the key of this vault');

export function deriveVaultKeys(master: KeyObject, vaultId: Uint8Array): VaultKeys {
  const derive = (purpose: string): KeyObject => deriveKey(master, vaultId, purpose);
  return {
    vaultId,
    check: derive('check'),
    ledger: derive('ledger'),
    pastLedger: [],
    ledgerKeys: derive('ledger keys'),
    owners: derive('owners'),
    wrap: derive('wrap'),
  };
}

export function sealCheck(keys: VaultKeys, random: Random): Uint8Array {
  return sealSmall(keys.check, bindTo('check', keys.vaultId), PROOF, random);
}

/** Whether the check was sealed with these keys. */
export function isRightKey(keys: VaultKeys, check: Uint8Array): boolean {
  const proof = openSmall(keys.check, bindTo('check', keys.vaultId), check);
  return proof !== null && PROOF.equals(proof);
}

/** A new owner's keys, and how they are kept. */
export function makeOwnerKeys(
  keys: VaultKeys,
  owner: string,
  random: Random,
): { readonly keys: OwnerKeys; readonly wrapped: Uint8Array } {
  const secret = random(KEY_BYTES);
  const wrapped = sealSmall(keys.wrap, ownerBinding(keys, owner), secret, random);
  return { keys: deriveOwnerKeys(keys, owner, secret), wrapped };
}

/** Throws ERR_VAULT_DAMAGED. */
export function unwrapOwnerKeys(keys: VaultKeys, owner: string, wrapped: Uint8Array): OwnerKeys {
  return deriveOwnerKeys(keys, owner, unwrapOwnerSecret(keys, owner, wrapped));
}

/** The same key of an owner under the keys of another master. Throws ERR_VAULT_DAMAGED. */
export function rewrapOwnerKey(
  from: VaultKeys,
  to: VaultKeys,
  owner: string,
  wrapped: Uint8Array,
  random: Random,
): Uint8Array {
  const secret = unwrapOwnerSecret(from, owner, wrapped);
  return sealSmall(to.wrap, ownerBinding(to, owner), secret, random);
}

function unwrapOwnerSecret(keys: VaultKeys, owner: string, wrapped: Uint8Array): Uint8Array {
  const secret = openSmall(keys.wrap, ownerBinding(keys, owner), wrapped);
  if (secret === null) throw vaultDamaged("An owner's key", { owner });
  return secret;
}

function ownerBinding(keys: VaultKeys, owner: string): Uint8Array {
  return bindTo('owner key', keys.vaultId, owner);
}

/** Whether both are derived from one key of one owner. */
export function areSameOwnerKeys(a: OwnerKeys, b: OwnerKeys): boolean {
  return a.owner === b.owner && a.identity.equals(b.identity);
}

function deriveOwnerKeys(keys: VaultKeys, owner: string, secret: Uint8Array): OwnerKeys {
  const { vaultId } = keys;
  const key = asKey(secret);
  const derive = (purpose: string): KeyObject => deriveKey(key, vaultId, `owner ${purpose}`);
  return {
    vaultId,
    owner,
    identity: derive('identity'),
    live: derive('live'),
    record: derive('record'),
    wrap: derive('wrap'),
  };
}

export function makePackKey(
  keys: OwnerKeys,
  pack: string,
  random: Random,
): { readonly key: KeyObject; readonly wrapped: Uint8Array } {
  const secret = random(KEY_BYTES);
  return {
    key: asKey(secret),
    wrapped: sealSmall(keys.wrap, packBinding(keys, pack), secret, random),
  };
}

/** Throws ERR_VAULT_DAMAGED. */
export function unwrapPackKey(keys: OwnerKeys, pack: string, wrapped: Uint8Array): KeyObject {
  const secret = openSmall(keys.wrap, packBinding(keys, pack), wrapped);
  if (secret === null) throw vaultDamaged("A pack's key", { pack });
  return asKey(secret);
}

function packBinding(keys: OwnerKeys, pack: string): Uint8Array {
  return bindTo('pack key', keys.vaultId, keys.owner, pack);
}

/** HMAC-SHA-256 of `parts`, one after the other. */
export function authenticate(key: KeyObject, ...parts: readonly Uint8Array[]): Uint8Array {
  const hmac = createHmac('sha256', key);
  for (const part of parts) hmac.update(part);
  return new Uint8Array(hmac.digest());
}
