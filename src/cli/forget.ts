/**
 * `stasis forget`: drops older checkpoints by rules, as users of restic know them.
 */
import type { Command } from 'commander';
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import type { CheckpointInfo } from '../vault/checkpoint-info.ts';
import { isEmptyPolicy, type RetentionPolicy, selectKept } from '../vault/retention.ts';
import { type CommandContext, printJson } from './command-context.ts';
import type { JobSight } from './host.ts';
import { parseCount, parseSpan } from './quantities.ts';
import { formatTable } from './terminal.ts';

interface ForgetOptions {
  readonly keepLast?: number;
  readonly keepHourly?: number;
  readonly keepDaily?: number;
  readonly keepWeekly?: number;
  readonly keepMonthly?: number;
  readonly keepYearly?: number;
  readonly keepWithin?: NonNullable<RetentionPolicy['within']>;
  readonly id?: readonly string[];
  readonly orphans?: boolean;
  readonly evenLast?: boolean;
  readonly dryRun?: boolean;
  readonly json?: boolean;
}

/** A checkpoint, whether it is kept, and why when no rule says so. */
interface Decision {
  readonly info: CheckpointInfo;
  readonly keep: boolean;
  readonly because: string;
}

const HEAD = ['', '#', 'JOB', 'STAMP', 'ID', ''];
/** Jobs of these have nothing but their last checkpoint to go on from. */
const NEEDS_LAST: ReadonlySet<JobSight['state']> = new Set([
  'running',
  'restorable',
  'lost',
  'stopped',
]);

export function addForgetCommand(program: Command, context: CommandContext): void {
  const ids: string[] = [];
  const command = program
    .command('forget')
    .summary('drop older checkpoints')
    .description(
      'Drop your checkpoints that no rule keeps, job by job. The last checkpoint of a job that runs, was lost or was stopped is kept in any case. Hours, days, weeks and months are those of UTC; where a count is not used up, the oldest checkpoint is kept too.',
    )
    .argument('[jobs...]', 'names of the jobs; all of yours without')
    .option('--keep-last <n>', 'keep the newest n', parseKeep);
  for (const unit of ['hour', 'day', 'week', 'month', 'year']) {
    const name = unit === 'day' ? 'daily' : `${unit}ly`;
    command.option(
      `--keep-${name} <n>`,
      `keep the newest of each of n ${unit}s that have one`,
      parseKeep,
    );
  }
  command
    .option(
      '--keep-within <span>',
      'keep what is at most so much older than the newest, such as 1y6m7d12h',
      parseSpan,
    )
    .option('--id <id>', 'drop this one, whatever the rules; may be given again', (text) => {
      ids.push(text);
      return ids;
    })
    .option('--orphans', 'drop all of jobs that are gone from the process table')
    .option('--even-last', 'drop also what a job would have to go on from')
    .option('--dry-run', 'drop nothing, tell what would be dropped')
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExample:\n  $ stasis forget --keep-last 3 --keep-daily 7 --dry-run')
    .action(async (names: string[], options: ForgetOptions) => {
      const decisions = await decide(context, names, options);
      const dropped = decisions.filter(({ keep }) => !keep).map(({ info }) => info.id);
      if (!options.dryRun && dropped.length > 0) {
        await (await context.host()).forget(dropped);
      }
      await printDecisions(context, decisions, options);
    });
}

/** A number, or `unlimited`. */
function parseKeep(text: string): number {
  return text === 'unlimited' ? Number.POSITIVE_INFINITY : parseCount(text, 0, 1_000_000);
}

async function decide(
  context: CommandContext,
  names: readonly string[],
  options: ForgetOptions,
): Promise<Decision[]> {
  const policy = policyOf(options);
  const ids = new Set(options.id ?? []);
  if (isEmptyPolicy(policy) && ids.size === 0 && !options.orphans) {
    throw new HostError('ERR_USAGE', 'No rule says what to keep, so nothing is dropped.', {
      hint: 'stasis forget --keep-last 3; stasis rm JOB drops a job with all its checkpoints',
    });
  }
  const host = await context.host();
  const jobs = await host.jobs();
  const missing = names.find((name) => !jobs.some(({ job }) => job.name === name));
  if (missing !== undefined) {
    const { noSuchJob } = await import('../host/job-table.ts');
    throw noSuchJob(missing);
  }
  const named = jobs.filter(({ job }) => names.length === 0 || names.includes(job.name));
  const states = new Map(named.map(({ job, state }) => [job.id, state]));
  const known = new Set(jobs.map(({ job }) => job.id));
  const infos = await host.checkpoints(null, null);
  const unknown = [...ids].find((id) => !infos.some((info) => info.id === id));
  if (unknown !== undefined) {
    throw new HostError('ERR_NO_SUCH_CHECKPOINT', 'There is no such checkpoint.', {
      facts: { checkpoint: unknown },
      hint: 'stasis checkpoints lists yours',
    });
  }
  const decisions: Decision[] = [];
  for (const [job, own] of Map.groupBy(infos, (info) => info.job)) {
    const state = states.get(job) ?? null;
    const isOrphan = !known.has(job);
    if (state !== null || (isOrphan && options.orphans) || own.some(({ id }) => ids.has(id))) {
      decisions.push(...decideJob(own, { state, isOrphan }, policy, ids, options));
    }
  }
  return decisions;
}

/** `own` are a job's checkpoints, newest first; `state` is null for a job that the rules are not for. */
function decideJob(
  own: readonly CheckpointInfo[],
  { state, isOrphan }: { readonly state: JobSight['state'] | null; readonly isOrphan: boolean },
  policy: RetentionPolicy,
  ids: ReadonlySet<string>,
  { orphans, evenLast }: ForgetOptions,
): Decision[] {
  const byRule =
    isEmptyPolicy(policy) || state === null
      ? own.map(() => true)
      : selectKept(
          own.map(({ stamp }) => new Date(stamp)),
          policy,
        );
  return own.map((info, position) => {
    if (isOrphan && orphans) return { info, keep: false, because: 'its job is gone' };
    const keep = byRule[position]! && !ids.has(info.id);
    const isNeeded = position === 0 && state !== null && NEEDS_LAST.has(state) && !evenLast;
    if (!keep && isNeeded) return { info, keep: true, because: `its job is ${state}` };
    return { info, keep, because: '' };
  });
}

function policyOf(options: ForgetOptions): RetentionPolicy {
  const { keepLast, keepHourly, keepDaily, keepWeekly, keepMonthly, keepYearly } = options;
  const { keepWithin } = options;
  return {
    last: keepLast ?? 0,
    hourly: keepHourly ?? 0,
    daily: keepDaily ?? 0,
    weekly: keepWeekly ?? 0,
    monthly: keepMonthly ?? 0,
    yearly: keepYearly ?? 0,
    ...(keepWithin === undefined ? {} : { within: keepWithin }),
  };
}

async function printDecisions(
  { out }: CommandContext,
  decisions: readonly Decision[],
  { dryRun = false, json }: ForgetOptions,
): Promise<void> {
  const kept = decisions.filter(({ keep }) => keep);
  const dropped = decisions.filter(({ keep }) => !keep);
  if (json) {
    const infos = (list: readonly Decision[]) => list.map(({ info }) => info);
    printJson(out, { dryRun, kept: infos(kept), dropped: infos(dropped) });
    return;
  }
  const rows = decisions.map(({ info, keep, because }) => [
    keep ? 'keep' : 'drop',
    String(info.sequence),
    visibleText(info.name),
    info.stamp,
    info.id,
    because,
  ]);
  out.write(await formatTable(HEAD, rows, out));
  out.write(`${dropped.length} ${dryRun ? 'would be ' : ''}dropped, ${kept.length} kept.\n`);
}
