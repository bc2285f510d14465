/**
 * `stasis grant` and `stasis grants`: who else may list and restore the own checkpoints.
 */
import type { Command } from 'commander';
import { type CommandContext, printJson } from './command-context.ts';
import { parseOwner } from './owner-option.ts';

export function addGrantCommands(program: Command, context: CommandContext): void {
  const { out } = context;
  program
    .command('grant')
    .summary('let another user restore your jobs')
    .description(
      'Let another user list and restore your checkpoints (restore --owner). Every right that a guest needs that user has to give. What is granted, and each use of it, is in the ledger.',
    )
    .argument('<operator>', 'the user, as uid:1001', parseOwner)
    .option('--revoke', 'take it back')
    .option('--json', 'print one JSON object')
    .addHelpText(
      'after',
      '\nExample:\n  $ stasis grant uid:1001\n  $ stasis grant --revoke uid:1001',
    )
    .action(async (operator: string, { revoke, json }: { revoke?: boolean; json?: boolean }) => {
      await (await context.host()).grant(operator, revoke ?? false);
      if (json) printJson(out, { operator, granted: !revoke });
      else out.write(`${operator} ${revoke ? 'may not any more' : 'may list and restore'}\n`);
    });
  program
    .command('grants')
    .summary('list who may restore your jobs')
    .description('List the users who may list and restore your checkpoints.')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis grants')
    .action(async ({ json }: { json?: boolean }) => {
      const operators = await (await context.host()).operators();
      if (json) printJson(out, { operators });
      else out.write(operators.map((operator) => `${operator}\n`).join(''));
    });
}
