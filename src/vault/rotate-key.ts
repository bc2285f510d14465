/**
 * A new master key. Everything that the old one sealed itself is sealed anew under the new one, in one
 * transaction: the check, the list of owners, every owner's key, and the ledger's keys so far. Owners' keys
 * stay the same, so no record and no pack is touched.
 *
 *   1. within the transaction: `<key file>.next` is made, durable, before anything is sealed under it
 *   2. the commit: from here on the vault goes by the new key
 *   3. within a second transaction: `.next` is renamed to the key file's name
 *   4. the index is written anew, so that nothing sealed under the old key is left in its free pages
 *
 * Killed before 2, the vault goes by the old key, and the next opening removes `.next`; between 2 and 3, by
 * the new one: both are tried whenever the vault is opened, and the next opening does 3. A key that is not
 * in a file of ours is never written: there only 2 and 4 are done, and its keeper puts the new one in place.
 */
import type { KeyObject } from 'node:crypto';
import { HostError } from '../fault/host-error.ts';
import type { IndexTransaction } from '../store/store.ts';
import { createNextKey, hasNextKey, settleNextKey } from './key-file.ts';
import { appendLedger, checkLedgerTail } from './ledger.ts';
import { sealPastLedger } from './ledger-keys.ts';
import { findMasterKey, type KeyPlace, type MasterKey, missingKey } from './master-key.ts';
import { openOwnerList, sealOwnerList } from './owner-list.ts';
import { reencryptOwners } from './reencrypt-owner.ts';
import type { VaultContext } from './vault-context.ts';
import {
  deriveVaultKeys,
  isRightKey,
  rewrapOwnerKey,
  sealCheck,
  type VaultKeys,
} from './vault-keys.ts';

export interface RotateRequest {
  /** The new key, where the present one is not in a file of ours; made otherwise. */
  readonly newKey?: KeyPlace;
  /** Owners get new keys too, and all that they have is sealed anew: what to do after a leak. */
  readonly reencrypt: boolean;
}

export interface Rotated {
  readonly owners: number;
  readonly reencrypted: number;
  /** Whether nothing under the old key is left in the index's files. */
  readonly scrubbed: boolean;
}

/** Throws ERR_VAULT_KEY, ERR_VAULT_BUSY, ERR_VAULT_DAMAGED, ERR_DISK_FULL, ERR_IO; see above for what is left. */
export async function rotateKey(
  context: VaultContext,
  master: MasterKey,
  { newKey, reencrypt }: RotateRequest,
): Promise<Rotated> {
  const { store, random, write } = context;
  if (master.file === null && newKey === undefined) {
    throw new HostError('ERR_VAULT_KEY', 'The key of this vault is not in a file of its own.', {
      hint: 'make the new key yourself and hand it in with --new-key-file or --new-key-fd',
    });
  }
  const changed = await write(async (transaction, keys) => {
    const next =
      newKey === undefined
        ? await createNextKey({ ...master.file!, random })
        : await givenKey(newKey, master, random);
    return changeMaster(context, transaction, keys, next, reencrypt);
  });
  context.adopt(changed.check, changed.keys);
  await finishRotation(context, master, true);
  const reencrypted = reencrypt ? await reencryptOwners(context) : 0;
  return { owners: changed.owners, reencrypted, scrubbed: await store.index.scrub() };
}

/** A new key in a file is one that is there already: it is its keeper's to make. */
async function givenKey(
  place: KeyPlace,
  { files, uid }: MasterKey,
  random: VaultContext['random'],
): Promise<KeyObject> {
  const [key] = await findMasterKey(place, { files, uid, random }).candidates();
  if (key !== undefined) return key;
  throw missingKey({ path: place.kind === 'descriptor' ? null : place.path });
}

async function changeMaster(
  { now, random }: VaultContext,
  transaction: IndexTransaction,
  keys: VaultKeys,
  next: KeyObject,
  reencrypt: boolean,
): Promise<{ readonly owners: number; readonly check: Uint8Array; readonly keys: VaultKeys }> {
  const last = await checkLedgerTail(transaction, keys);
  const past = [...keys.pastLedger, { last: last!.number, key: keys.ledger }];
  const fresh = { ...deriveVaultKeys(next, keys.vaultId), pastLedger: past };
  const list = await openOwnerList(transaction, keys);
  for (const name of list.owners) {
    const owner = (await transaction.owner(name))!;
    const wrapped = rewrapOwnerKey(keys, fresh, name, owner.wrappedKey, random);
    await transaction.setOwnerKey(owner.number, wrapped);
  }
  const epoch = (list.epoch ?? 0) + (reencrypt ? 1 : 0);
  let entry = await appendLedger(transaction, fresh, now(), { event: 'key rotated' });
  if (reencrypt) {
    entry = await appendLedger(transaction, fresh, now(), { event: 'reencryption begun', epoch });
  }
  const check = sealCheck(fresh, random);
  await transaction.setVaultKeys({
    check,
    owners: sealOwnerList(fresh, { owners: list.owners, epoch }, entry, random),
    ledgerKeys: sealPastLedger(fresh, past, random),
  });
  return { owners: list.owners.length, check, keys: fresh };
}

/** Step 3, when there is something to do: after a rotation, or when the vault is opened after a crash. */
export async function finishRotation(
  context: VaultContext,
  { file }: MasterKey,
  now = false,
): Promise<void> {
  if (file === null) return;
  if (!now && !(await hasNextKey(file))) return;
  await context.write(async (transaction) => {
    const row = (await transaction.vault())!;
    await settleNextKey(file, (key) => isRightKey(deriveVaultKeys(key, row.id), row.check));
  });
}
