/**
 * `stasis rm`: removes jobs, with their logs and checkpoints.
 */
import type { Command } from 'commander';
import { visibleText } from '../fault/visible-text.ts';
import { type CommandContext, printJson } from './command-context.ts';

export function addRmCommand(program: Command, context: CommandContext): void {
  program
    .command('rm')
    .summary('remove jobs')
    .description('Remove jobs that ended, with their logs and all their checkpoints.')
    .argument('<jobs...>', 'names of the jobs')
    .option('-f, --force', 'kill a job that is running, then remove it')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis rm job')
    .action(async (names: string[], { force, json }: { force?: boolean; json?: boolean }) => {
      const { out } = context;
      const host = await context.host();
      const removed: string[] = [];
      for (const name of names) {
        const job = await host.remove(name, force ?? false);
        removed.push(job);
        // At once, so that a name that fails later does not hide what was done.
        if (!json) out.write(`${visibleText(job)}\n`);
      }
      if (json) printJson(out, { removed });
    });
}
