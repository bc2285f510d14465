/**
 * `stasis vault shred-owner`: forgets an owner's key.
 */
import type { Command } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import { type CommandContext, printJson } from './command-context.ts';
import { withExistingVault } from './existing-vault.ts';

interface ShredOptions {
  readonly yes?: boolean;
  readonly json?: boolean;
}

export function addVaultShredOwnerCommand(vault: Command, context: CommandContext): void {
  vault
    .command('shred-owner')
    .summary('make all checkpoints of an owner unreadable')
    .description(
      'Forget an owner’s key, so that nothing sealed for the owner can ever be read again, and delete what there is. Backups and copies made before can still be read with the master key of their time, and what a disk keeps of blocks that were overwritten is out of reach.',
    )
    .argument('<owner>', 'such as uid:1000')
    .option('--yes', 'do it; without, only what would be lost is told')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis vault shred-owner uid:1000 --yes')
    .action(async (owner: string, { yes, json }: ShredOptions) => {
      const { out } = context;
      const name = visibleText(owner);
      await withExistingVault(context, async (opened) => {
        if (!yes) {
          const [found] = (await opened.usage(owner)).owners;
          throw new HostError(
            'ERR_USAGE',
            `This makes all checkpoints of ${name} unreadable for ever.`,
            {
              facts: { owner, checkpoints: found?.checkpoints ?? 0 },
              hint: `stasis vault shred-owner ${name} --yes`,
            },
          );
        }
        const done = await opened.shredOwner(owner);
        if (json) {
          printJson(out, done);
          return;
        }
        out.write(
          done.found
            ? `Shredded: ${done.checkpoints} checkpoints in ${done.packs} packs of ${name}.\n`
            : `There is no owner ${name}.\n`,
        );
        if (!done.scrubbed) {
          out.write(
            'The key may still stand in free pages of the index, since others use it; do it again later.\n',
          );
        }
      });
    });
}
