/**
 * `stasis kill`: ends a running job. Its checkpoints stay.
 */
import type { Command } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { askHost } from '../host/control-socket.ts';
import { type JobView, jobState } from '../host/job-records.ts';
import { killProcess } from '../host/process-identity.ts';
import {
  type CommandContext,
  notRunning,
  printJson,
  signalName,
  withTable,
} from './command-context.ts';

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
      const { owner } = context.settings;
      const killed: string[] = [];
      for (const name of names) {
        const view = await withTable(context, async (table) => table.find(owner, name));
        await killJob(view, signal);
        killed.push(view.job.name);
        // At once, so that a name that fails later does not hide what was done.
        if (!json) context.out.write(`${view.job.name}\n`);
      }
      if (json) printJson(context.out, { killed, signal });
    });
}

/** Through its host; when that does not answer, host and cell are killed by their ids. */
export async function killJob(view: JobView, signal: string): Promise<void> {
  const { host, cell, socket } = view.run;
  if (jobState(view.run) !== 'running') throw notRunning(view);
  try {
    if (socket !== null) return void (await askHost(socket, { ask: 'kill', signal }));
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'ERR_JOB_NOT_RUNNING') throw error;
  }
  if (cell !== null) killProcess(cell);
  killProcess(host);
}
