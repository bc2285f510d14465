/**
 * What a host of several users does with the jobs in its table when it begins and when it ends.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { HostError } from '../fault/host-error.ts';
import { askHost } from './control-socket.ts';
import { type JobView, jobState } from './job-records.ts';
import type { JobTable } from './job-table.ts';
import { killProcess } from './process-identity.ts';

/** Jobs that are stopped at the same time: each seals an image. */
const AT_ONCE = 4;

/** Of those that were started with `--restart`: the ones whose host died, or was stopped with its daemon. */
export function jobsToRestart(table: JobTable): JobView[] {
  return table.all().filter(({ run }) => {
    if (run.request.restart !== true) return false;
    return jobState(run) === 'lost' || run.outcome?.suspended === true;
  });
}

export interface KilledJob {
  readonly job: string;
  readonly why: string;
}

/**
 * Ends every job that runs: captured first if it is to be restarted, as by SIGTERM if not. What that fails for,
 * and what is left after `withinMs`, is killed, and told; a job that is to be restarted is then lost, and goes on
 * from its checkpoint before.
 */
export async function stopJobs(table: JobTable, withinMs: number): Promise<readonly KilledJob[]> {
  const running = table.all().filter(({ run }) => jobState(run) === 'running');
  const killed: KilledJob[] = [];
  const left = new Set(running);
  const queue = [...running];

  async function stopNext(): Promise<void> {
    for (let view = queue.shift(); view !== undefined; view = queue.shift()) {
      try {
        await stopJob(view);
      } catch (error) {
        if (!(error instanceof HostError)) throw error;
        // One that ended by itself meanwhile needs no killing.
        if (left.has(view)) kill(view, error.message);
      }
      left.delete(view);
    }
  }

  function kill({ job, run }: JobView, why: string): void {
    if (jobState(run) !== 'running') return;
    if (run.cell !== null) killProcess(run.cell);
    killProcess(run.host);
    killed.push({ job: job.name, why });
  }

  const deadline = new AbortController();
  const late = sleep(withinMs, true, { signal: deadline.signal }).catch(() => false);
  const done = Promise.all(Array.from({ length: AT_ONCE }, stopNext)).then(() => false);
  const isLate = await Promise.race([late, done]);
  deadline.abort();
  if (isLate) {
    for (const view of left) kill(view, 'stopping it took too long');
  }
  return killed;
}

async function stopJob({ run }: JobView): Promise<void> {
  if (run.socket === null) {
    throw new HostError('ERR_JOB_NOT_RUNNING', 'it had not started yet');
  }
  if (run.request.restart === true) await askHost(run.socket, { ask: 'suspend' });
  else await askHost(run.socket, { ask: 'kill', signal: 'SIGTERM' });
}
