/**
 * `stasis ps`: what runs, and what ran.
 */
import type { Command } from 'commander';
import prettyMilliseconds from 'pretty-ms';
import { wallClockNow } from '../cell/wall-clock.ts';
import { visibleText } from '../fault/visible-text.ts';
import type { RunRecord } from '../host/job-records.ts';
import { showAddress } from '../host/listening-socket.ts';
import { endingStatus } from '../host/run-ending.ts';
import { type CommandContext, printJson } from './command-context.ts';
import type { JobSight } from './host.ts';
import { formatTable } from './terminal.ts';

const HEAD = ['NAME', 'STATE', 'RUN', 'HOST', 'CELL', 'STARTED', 'CHECKPOINT', 'COMMAND'];
/** Those that their user has to do with. */
const SHOWN: ReadonlySet<JobSight['state']> = new Set(['running', 'restorable', 'lost']);
const COMMAND_LENGTH_MAX = 60;

export function addPsCommand(program: Command, context: CommandContext): void {
  program
    .command('ps')
    .summary('list jobs')
    .description(
      'List the jobs that run, and those whose host died: restorable ones, with the checkpoint that stasis restore goes on from, and lost ones, which have none. With --all, every job.',
    )
    .option('-a, --all', 'jobs that ended, too')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis ps --all')
    .action(async ({ all, json }: { all?: boolean; json?: boolean }) => {
      const sights = await (await context.host()).jobs();
      const shown = sights.filter(({ state }) => all || SHOWN.has(state));
      if (json) {
        printJson(context.out, { jobs: shown.map(jobObject) });
        return;
      }
      const now = wallClockNow();
      const rows = shown.map((sight) => jobRow(sight, now));
      context.out.write(await formatTable(HEAD, rows, context.out));
    });
}

function jobObject({ job, run, state, restorable }: JobSight): Record<string, unknown> {
  return {
    job: job.name,
    id: job.id,
    state,
    status: run.outcome === null ? null : endingStatus(run.outcome.ending),
    ending: run.outcome?.ending ?? null,
    run: run.number,
    hostPid: run.host.pid,
    cellPid: run.cell?.pid ?? null,
    startedAt: run.startedAt,
    endedAt: run.endedAt,
    checkpoint: run.checkpoint,
    restorable,
    trouble: run.trouble,
    restoredFrom: run.parent?.checkpoint ?? null,
    module: job.moduleDigest,
    modulePath: run.request.modulePath,
    listening: (run.request.listen ?? []).map(({ host, port, lastPort }) =>
      showAddress(host, lastPort ?? port),
    ),
    args: run.request.args,
  };
}

function jobRow({ job, run, state, restorable }: JobSight, now: Date): string[] {
  const alive = state === 'running';
  const age = Math.max(0, now.getTime() - Date.parse(run.startedAt));
  return [
    visibleText(job.name),
    describeState(state, run),
    String(run.number),
    alive ? String(run.host.pid) : '-',
    alive && run.cell !== null ? String(run.cell.pid) : '-',
    `${prettyMilliseconds(age, { compact: true })} ago`,
    checkpointText(run, restorable),
    visibleText(run.request.args.join(' '), COMMAND_LENGTH_MAX),
  ];
}

function checkpointText(
  { checkpoint, parent, trouble }: RunRecord,
  restorable: JobSight['restorable'],
): string {
  // What it can go on from counts, whether or not a later attempt failed.
  if (restorable !== null) return `#${restorable.sequence} ${restorable.stamp}`;
  if (trouble !== null) return 'failed';
  if (checkpoint !== null) return `#${checkpoint.sequence}`;
  return parent === null ? '-' : 'restored';
}

function describeState(state: JobSight['state'], { outcome }: RunRecord): string {
  const ending = outcome?.ending;
  switch (ending?.kind) {
    case 'exit':
      return `exited (${endingStatus(ending)})`;
    case 'limit':
      return `limit (${ending.limit})`;
    case 'deadline':
      return 'limit (deadline)';
    case 'signal':
      return `killed (${ending.signal})`;
    default:
      return state;
  }
}
