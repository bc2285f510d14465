/**
 * The list of owners: a small sealed map in the vault's first record,
 *
 *     { owners: names in the order of their numbers, entry, mac: the ledger's entry that changed it last,
 *       epoch: number of the last re-encryption, absent: there was none }
 *
 * so that an owner whose row was removed or renamed isn't taken for one who was never there.
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { arrayOf, bytes, checkShape, integer, mapOf, type ShapeOf, text } from '../cbor/shape.ts';
import type { IndexTransaction, IndexView, LedgerRow } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { bindTo, openSmall, sealSmall } from './sealing.ts';
import type { Random, VaultKeys } from './vault-keys.ts';

const listShape = mapOf(
  { owners: arrayOf(text()), entry: integer(1), mac: bytes(32, 32) },
  { epoch: integer(1) },
);

export function sealOwnerList(
  keys: VaultKeys,
  { owners, epoch }: { readonly owners: readonly string[]; readonly epoch: number },
  entry: Pick<LedgerRow, 'number' | 'mac'>,
  random: Random,
): Uint8Array {
  const list = { owners, entry: entry.number, mac: entry.mac, ...(epoch === 0 ? {} : { epoch }) };
  return sealSmall(keys.owners, listBinding(keys), encodeCbor(list), random);
}

/** Writes the list after an owner was added or dropped. `entry` is that event's. */
export async function saveOwnerList(
  transaction: IndexTransaction,
  keys: VaultKeys,
  entry: LedgerRow,
  random: Random,
): Promise<void> {
  const owners = await transaction.owners();
  const epoch = await currentEpoch(transaction, keys);
  await transaction.setVaultOwners(sealOwnerList(keys, { owners, epoch }, entry, random));
}

/** The number of the last re-encryption; 0 when there was none. Throws ERR_VAULT_DAMAGED. */
export async function currentEpoch(view: IndexView, keys: VaultKeys): Promise<number> {
  return (await openOwnerList(view, keys)).epoch ?? 0;
}

/** Throws ERR_VAULT_DAMAGED when there are not exactly the owners that the list has. */
export async function checkOwnerList(view: IndexView, keys: VaultKeys): Promise<void> {
  const { owners, entry, mac } = await openOwnerList(view, keys);
  const there = await view.owners();
  const isSame = there.length === owners.length && owners.every((name, at) => there[at] === name);
  if (!isSame) throw vaultDamaged('The list of owners');
  const [row] = await view.ledger(entry, 1);
  if (row?.number !== entry || Buffer.compare(row.mac, mac) !== 0) {
    throw vaultDamaged('The ledger', { entry });
  }
}

export async function openOwnerList(
  view: IndexView,
  keys: VaultKeys,
): Promise<ShapeOf<typeof listShape>> {
  const sealed = (await view.vault())?.owners ?? new Uint8Array();
  const plain = openSmall(keys.owners, listBinding(keys), sealed);
  if (plain === null) throw vaultDamaged('The list of owners');
  return checkShape(listShape, decodeCbor(plain), {
    what: 'list of owners',
    code: 'ERR_VAULT_DAMAGED',
  });
}

function listBinding(keys: VaultKeys): Uint8Array {
  return bindTo('owner list', keys.vaultId);
}
