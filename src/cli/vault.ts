/**
 * `stasis vault`: what is done to the vault as a whole, one file a verb.
 */
import type { Command } from 'commander';
import type { CommandContext } from './command-context.ts';
import { addVaultAcceptRollbackCommand } from './vault-accept-rollback.ts';
import { addVaultBackupCommand } from './vault-backup.ts';
import { addVaultGcCommand } from './vault-gc.ts';
import { addVaultRestoreCommand } from './vault-restore.ts';
import { addVaultRotateKeyCommand } from './vault-rotate-key.ts';
import { addVaultShredOwnerCommand } from './vault-shred-owner.ts';
import { addVaultStatCommand } from './vault-stat.ts';
import { addVaultVerifyCommand } from './vault-verify.ts';

export function addVaultCommand(program: Command, context: CommandContext): void {
  const vault = program
    .command('vault')
    .summary('look after the vault')
    .description(
      'Look after the vault that holds the checkpoints. Only the user whom its files belong to can.',
    )
    .addHelpText('after', '\nExample:\n  $ stasis vault stat\n  $ stasis vault backup /mnt/backup');
  addVaultStatCommand(vault, context);
  addVaultVerifyCommand(vault, context);
  addVaultGcCommand(vault, context);
  addVaultBackupCommand(vault, context);
  addVaultRestoreCommand(vault, context);
  addVaultRotateKeyCommand(vault, context);
  addVaultShredOwnerCommand(vault, context);
  addVaultAcceptRollbackCommand(vault, context);
  for (const command of vault.commands) command.copyInheritedSettings(program);
}
