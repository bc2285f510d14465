/**
 * `stasis vault accept-rollback`: goes on with a vault that is not what its witness saw.
 */
import type { Command } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';

export function addVaultAcceptRollbackCommand(vault: Command, context: CommandContext): void {
  vault
    .command('accept-rollback')
    .summary('go on with a vault that was put back')
    .description(
      'Go on with a vault that was put back as it once was, or that went another way than the witness saw. The ledger says so, and what the witness had seen; the witness goes on from here.',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis --witness /mnt/w/stasis vault accept-rollback')
    .action(async ({ json }: { json?: boolean }) => {
      if (context.settings.witness === null) {
        throw new HostError(
          'ERR_USAGE',
          'There is no witness that could have seen another vault.',
          {
            hint: 'name it with stasis --witness FILE vault accept-rollback, or STASIS_WITNESS',
          },
        );
      }
      const { head } = await withExistingVault(context, (opened) => opened.audit({}), {
        acceptRollback: true,
      });
      if (json) printJson(context.out, head);
      else
        context.out.write(`Accepted: the ledger has ${head.entries} entries, head ${head.head}\n`);
    });
}
