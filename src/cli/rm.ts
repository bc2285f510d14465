/**
 * `stasis rm`: removes jobs, with their logs and checkpoints.
 */
import type { Command } from 'commander';
import { removeJob } from '../checkpoint/remove-job.ts';
import { jobState } from '../host/job-records.ts';
import { jobRunning } from '../host/job-table.ts';
import { type CommandContext, printJson, withTable, withVault } from './command-context.ts';
import { killJob } from './kill.ts';
import { settingsPlaces, settingsRequester } from './settings.ts';

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
      const { settings, out } = context;
      const removed: string[] = [];
      await withTable(context, (table) =>
        withVault(context, async (vault) => {
          for (const name of names) {
            const view = table.find(settings.owner, name);
            if (jobState(view.run) === 'running') {
              if (!force) throw jobRunning(view);
              await killJob(view, 'SIGKILL');
            }
            const requester = settingsRequester(settings);
            await removeJob(settingsPlaces(settings), table, vault, requester, view.job);
            removed.push(view.job.name);
            // At once, so that a name that fails later does not hide what was done.
            if (!json) out.write(`${view.job.name}\n`);
          }
        }),
      );
      if (json) printJson(out, { removed });
    });
}
