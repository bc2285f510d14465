/**
 * `stasis vault backup`: a copy of the vault, and of what else a restore needs, while jobs run.
 */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import prettyBytes from 'pretty-bytes';
import { type CommandContext, printJson, withTable } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';
import { settingsPlaces } from './settings.ts';
import { withProgress } from './terminal.ts';

export function addVaultBackupCommand(vault: Command, context: CommandContext): void {
  vault
    .command('backup')
    .summary('copy the vault while it is used')
    .description(
      'Copy the vault as it is at one moment, with the process table, the logs and the modules that its checkpoints need, or bring an earlier backup up to date. The master key is not copied: keep it elsewhere. What jobs keep to undo changes of files in directories that are rolled back is not copied either.',
    )
    .argument('<dir>', 'an empty directory, or one with an earlier backup')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  $ stasis vault backup /mnt/backup\n  $ stasis vault verify --vault /mnt/backup/vault',
    )
    .action(async (text: string, { json }: { json?: boolean }) => {
      const { backUpState, vaultBackupPlace } = await import('../host/back-up-state.ts');
      const { settings, out, err } = context;
      const directory = resolve(text);
      const done = await withExistingVault(context, (opened) =>
        withProgress('copying the vault', err, opened.backUp(vaultBackupPlace(directory))),
      );
      // Afterwards: a job that begins meanwhile is then told of rather than missing.
      const modules = await withTable(context, async (table) =>
        backUpState(settingsPlaces(settings), table, directory),
      );
      if (json) {
        printJson(out, { directory, ...done, modules });
        return;
      }
      out.write(
        `${done.packs} packs, of which ${done.copiedPacks} were copied now (${prettyBytes(done.copiedBytes)}); ${modules} modules.\n`,
      );
    });
}
