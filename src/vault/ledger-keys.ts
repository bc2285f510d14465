/**
 * The ledger's keys of earlier masters, sealed in the vault's first record:
 *
 *     [{ last: number of the last entry under this key, key: 32 bytes }, …]   ascending by `last`
 *
 * The entry that tells of a new master is the first under the new master's key. Its mac covers the mac
 * before it, so whoever has an old key can't write another past that ends in the same place.
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { arrayOf, bytes, checkShape, integer, mapOf } from '../cbor/shape.ts';
import type { VaultRow } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { asKey, bindTo, KEY_BYTES, openSmall, sealSmall } from './sealing.ts';
import type { PastLedgerKey, Random, VaultKeys } from './vault-keys.ts';

const listShape = arrayOf(mapOf({ last: integer(1), key: bytes(KEY_BYTES, KEY_BYTES) }));

/** `keys` with what the row holds of earlier keys. Throws ERR_VAULT_DAMAGED. */
export function withPastLedger(keys: VaultKeys, { ledgerKeys }: VaultRow): VaultKeys {
  if (ledgerKeys === null) return keys;
  const plain = openSmall(keys.ledgerKeys, binding(keys), ledgerKeys);
  if (plain === null) throw vaultDamaged("The list of the ledger's keys");
  const list = checkShape(listShape, decodeCbor(plain), {
    what: "list of the ledger's keys",
    code: 'ERR_VAULT_DAMAGED',
  });
  return { ...keys, pastLedger: list.map(({ last, key }) => ({ last, key: asKey(key) })) };
}

export function sealPastLedger(
  keys: VaultKeys,
  past: readonly PastLedgerKey[],
  random: Random,
): Uint8Array {
  const list = past.map(({ last, key }) => ({ last, key: new Uint8Array(key.export()) }));
  return sealSmall(keys.ledgerKeys, binding(keys), encodeCbor(list), random);
}

function binding(keys: VaultKeys): Uint8Array {
  return bindTo('ledger keys', keys.vaultId);
}
