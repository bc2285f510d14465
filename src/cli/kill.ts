/**
 * `stasis kill`: ends a running job. Its checkpoints stay.
 */
import type { Command } from 'commander';
import { visibleText } from '../fault/visible-text.ts';
import { type CommandContext, printJson, signalName } from './command-context.ts';

export function addKillCommand(program: Command, context: CommandContext): void {
  program
    .command('kill')
    .summary('end running jobs')
    .description('End running jobs at once. Their checkpoints stay, so they can be restored.')
    .argument('<jobs...>', 'names of the jobs')
    .option(
      '-s, --signal <name>',
      'the signal that the exit status shall tell',
      signalName,
      'SIGTERM',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis kill job')
    .action(async (names: string[], { signal, json }: { signal: string; json?: boolean }) => {
      const host = await context.host();
      const killed: string[] = [];
      for (const name of names) {
        const job = await host.kill(name, signal);
        killed.push(job);
        // At once, so that a name that fails later does not hide what was done.
        if (!json) context.out.write(`${visibleText(job)}\n`);
      }
      if (json) printJson(context.out, { killed, signal });
    });
}
