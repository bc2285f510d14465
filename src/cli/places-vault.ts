/** The vault of a state directory. */
import { freshBytes } from '../cell/randomness.ts';
import { wallClockNow } from '../cell/wall-clock.ts';
import type { Places } from '../host/places.ts';
import type { VaultOptions } from '../vault/open-vault.ts';
import type { Vault } from '../vault/vault.ts';

/** Loads the vault's code, too: commands that need none of it do without. */
export async function openPlacesVault(places: Places): Promise<Vault> {
  const { openVault } = await import('../vault/open-vault.ts');
  return openVault(vaultOptions(places));
}

/** What it takes to open the vault that lies there. */
export function vaultOptions({ vault: directory, vaultKey, witness }: Places): VaultOptions {
  const given = { directory, key: vaultKey, now: wallClockNow, random: freshBytes };
  return witness === null ? given : { ...given, witness };
}

/** Most runs make no checkpoint; the vault is opened, and made, when one does. */
export function vaultOnDemand(places: Places): {
  open: () => Promise<Vault>;
  opened: () => Promise<Vault | null>;
} {
  let opening: Promise<Vault> | null = null;
  return {
    open: () => {
      opening ??= openPlacesVault(places);
      // A vault that could not be opened is tried again: a full disk may have room by then.
      opening.catch(() => {
        opening = null;
      });
      return opening;
    },
    opened: async () => opening,
  };
}
