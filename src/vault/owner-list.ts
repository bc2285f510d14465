/**
 * The list of owners: a small sealed map in the vault's first record,
 *
 *     { owners: names in the order of their numbers, entry, mac: the ledger's entry that added the last }
 *
 * so that an owner whose row was removed or renamed isn't taken for one who was never there.
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { arrayOf, bytes, checkShape, integer, mapOf, text } from '../cbor/shape.ts';
import type { IndexTransaction, IndexView, LedgerRow } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { bindTo, openSmall, sealSmall } from './sealing.ts';
import type { Random, VaultKeys } from './vault-keys.ts';

const listShape = mapOf({ owners: arrayOf(text()), entry: integer(1), mac: bytes(32, 32) });

export function sealOwnerList(
  keys: VaultKeys,
  owners: readonly string[],
  entry: LedgerRow,
  random: Random,
): Uint8Array {
  const list = encodeCbor({ owners, entry: entry.number, mac: entry.mac });
  return sealSmall(keys.owners, listBinding(keys), list, random);
}

/** Writes the list after an owner was added. `entry` is that event's. */
export async function saveOwnerList(
  transaction: IndexTransaction,
  keys: VaultKeys,
  entry: LedgerRow,
  random: Random,
): Promise<void> {
  const sealed = sealOwnerList(keys, await transaction.owners(), entry, random);
  await transaction.setVaultOwners(sealed);
}

/** Throws ERR_VAULT_DAMAGED when there are not exactly the owners that the list has. */
export async function checkOwnerList(view: IndexView, keys: VaultKeys): Promise<void> {
  const sealed = (await view.vault())?.owners ?? new Uint8Array();
  const plain = openSmall(keys.owners, listBinding(keys), sealed);
  if (plain === null) throw vaultDamaged('The list of owners');
  const { owners, entry, mac } = checkShape(listShape, decodeCbor(plain), {
    what: 'list of owners',
    code: 'ERR_VAULT_DAMAGED',
  });
  const there = await view.owners();
  const isSame = there.length === owners.length && owners.every((name, at) => there[at] === name);
  if (!isSame) throw vaultDamaged('The list of owners');
  const [row] = await view.ledger(entry, 1);
  if (row?.number !== entry || Buffer.compare(row.mac, mac) !== 0) {
    throw vaultDamaged('The ledger', { entry });
  }
}

function listBinding(keys: VaultKeys): Uint8Array {
  return bindTo('owner list', keys.vaultId);
}
