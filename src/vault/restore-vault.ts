/**
 * Putting a backup back, where there is no vault: the backup is opened, which shows that the key is its own,
 * and is backed up in its turn, to the vault's place. The vault's first entry after that says so.
 *
 * Killed on the way, there is no vault yet but some packs, and doing it again goes on; the index comes last. Killed
 * right after that, the vault is there and the entry is missing.
 *
 * In the end the structure of what was put back is looked through. Damage is told and not thrown: what is whole can
 * be used, and there is nothing better.
 */
import { resolve } from 'node:path';
import { nodeFiles } from '../store/node-files.ts';
import { type BackedUp, checkRestorePlaces } from './back-up-vault.ts';
import { openVault, type VaultOptions } from './open-vault.ts';
import type { Verified } from './verify-vault.ts';

/**
 * `options` are those of the vault that is to be. Throws ERR_NO_SUCH_DIRECTORY, ERR_STATE_ACCESS,
 * ERR_VAULT_KEY, ERR_VAULT_DAMAGED, ERR_VAULT_ROLLED_BACK when a witness has seen more than the backup has,
 * ERR_DISK_FULL, ERR_IO.
 */
export async function restoreVault(
  options: VaultOptions,
  backup: string,
): Promise<BackedUp & Pick<Verified, 'findings'>> {
  const { files = nodeFiles, witness, acceptRollback, ...rest } = options;
  const from = resolve(backup);
  const to = resolve(options.directory);
  await checkRestorePlaces({ from, to, files });
  // Nothing is written to a backup, so it can't be told that a rollback was accepted.
  const asked = witness === undefined || acceptRollback === true ? {} : { witness };
  const source = await openVault({ ...rest, ...asked, files, directory: from, mode: 'existing' });
  let copied: BackedUp;
  try {
    copied = await source.backUp(to);
  } finally {
    await source.close();
  }
  const vault = await openVault({ ...options, mode: 'existing' });
  try {
    await vault.noteRestored();
    const { findings } = await vault.verify({ depth: 'structure' });
    return { ...copied, findings };
  } finally {
    await vault.close();
  }
}
