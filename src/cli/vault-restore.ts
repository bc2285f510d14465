/**
 * `stasis vault restore`: puts a backup back, where there is no vault.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { preparePlaces } from '../host/places.ts';
import { type CommandContext, printJson, refuseElsewhere } from './command-context.ts';
import { settingsPlaces } from './settings.ts';
import { withProgress } from './terminal.ts';
import { damaged, printFindings } from './vault-verify.ts';

interface RestoreOptions {
  readonly acceptRollback?: boolean;
  readonly json?: boolean;
}

export function addVaultRestoreCommand(vault: Command, context: CommandContext): void {
  vault
    .command('restore')
    .summary('put a backup back')
    .description(
      'Make the vault, the process table, the modules and the logs out of a backup, and look through the structure of what was put back. A vault or a process table that is there is never overwritten. The key of the backup has to be in its place.',
    )
    .argument('<dir>', 'a directory that stasis vault backup has made')
    .option('--accept-rollback', 'even if the witness has seen a newer vault than the backup')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault restore /mnt/backup')
    .action(async (text: string, { acceptRollback = false, json }: RestoreOptions) => {
      refuseElsewhere(context);
      const [{ restoreVault }, { restoreState, vaultBackupPlace }, { vaultOptions }] =
        await Promise.all([
          import('../vault/restore-vault.ts'),
          import('../host/back-up-state.ts'),
          import('./places-vault.ts'),
        ]);
      const { settings, out, err } = context;
      const backup = resolve(text);
      const places = settingsPlaces(settings);
      preparePlaces(places);
      const options = { ...vaultOptions(places), acceptRollback };
      const done = await withProgress(
        'putting the vault back',
        err,
        restoreVault(options, vaultBackupPlace(backup)),
      );
      const state = restoreState(places, backup);
      if (json) {
        printJson(out, { directory: places.vault, ...done, ...state });
        if (done.findings.length > 0) throw damaged(done.findings);
        return;
      }
      const table = state.table ? 'the process table' : 'the process table that is here was kept';
      out.write(`${done.packs} packs, ${state.modules} modules; ${table}.\n`);
      printFindings(context, done.findings);
      if (done.findings.length > 0) throw damaged(done.findings);
    });
}
