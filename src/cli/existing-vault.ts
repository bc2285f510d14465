import type { Vault } from '../vault/vault.ts';
import { type CommandContext, refuseElsewhere } from './command-context.ts';
import { settingsPlaces } from './settings.ts';

export interface ExistingVaultChoice {
  /** Another directory than the state's, such as a backup's. */
  readonly directory?: string;
  readonly acceptRollback?: boolean;
}

/** Runs `body` with the vault open. Throws ERR_NO_SUCH_DIRECTORY when there is none: none is made. */
export async function withExistingVault<T>(
  context: CommandContext,
  body: (vault: Vault) => Promise<T>,
  { directory, acceptRollback = false }: ExistingVaultChoice = {},
): Promise<T> {
  refuseElsewhere(context);
  // Loaded by the few commands that need it.
  const [{ openVault }, { vaultOptions }] = await Promise.all([
    import('../vault/open-vault.ts'),
    import('./places-vault.ts'),
  ]);
  const { witness, ...options } = vaultOptions(settingsPlaces(context.settings));
  const vault = await openVault({
    ...options,
    // A backup may well be older than what the witness saw.
    ...(directory === undefined ? (witness === undefined ? {} : { witness }) : { directory }),
    acceptRollback,
    mode: 'existing',
  });
  try {
    return await body(vault);
  } finally {
    await vault.close();
  }
}
