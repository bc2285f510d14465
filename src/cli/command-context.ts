/**
 * What every command is given: where things are, who asks, where to print, and how.
 */
import { HostError } from '../fault/host-error.ts';
import { type JobView, jobState } from '../host/job-records.ts';
import { JobTable } from '../host/job-table.ts';
import { preparePlaces } from '../host/places.ts';
import type { Vault } from '../vault/vault.ts';
import { openPlacesVault } from './job-host.ts';
import { type Settings, settingsPlaces } from './settings.ts';

export interface CommandContext {
  readonly settings: Settings;
  readonly environment: NodeJS.ProcessEnv;
  readonly out: NodeJS.WriteStream;
  readonly err: NodeJS.WriteStream;
  /** Sets the exit status of the command; 0 unless it is called. */
  readonly exitWith: (status: number) => void;
}

export function printJson(stream: NodeJS.WriteStream, value: unknown): void {
  stream.write(`${JSON.stringify(value)}\n`);
}

/** Runs `body` with the process table open. */
export async function withTable<T>(
  { settings }: CommandContext,
  body: (table: JobTable) => Promise<T>,
): Promise<T> {
  const places = settingsPlaces(settings);
  preparePlaces(places);
  const table = new JobTable(places.jobsDatabase);
  try {
    return await body(table);
  } finally {
    table.close();
  }
}

/** Runs `body` with the vault open. */
export async function withVault<T>(
  { settings }: CommandContext,
  body: (vault: Vault) => Promise<T>,
): Promise<T> {
  const vault = await openPlacesVault(settingsPlaces(settings));
  try {
    return await body(vault);
  } finally {
    await vault.close();
  }
}

export function notRunning({ job, run }: JobView): HostError {
  const state = jobState(run);
  return new HostError(
    'ERR_JOB_NOT_RUNNING',
    state === 'running'
      ? `The job ${job.name} has not started yet.`
      : `The job ${job.name} is not running: its state is ${state}.`,
    {
      facts: { job: job.name, state },
      hint:
        state === 'lost'
          ? `stasis restore ${job.name} goes on from its last checkpoint`
          : 'stasis ps --all lists the jobs',
    },
  );
}

/** `TERM` or `SIGTERM`, in either case. Throws ERR_USAGE for a signal that ends no job. */
export function signalName(text: string): string {
  const name = text.toUpperCase().startsWith('SIG')
    ? text.toUpperCase()
    : `SIG${text.toUpperCase()}`;
  if (/^SIG(HUP|INT|QUIT|KILL|TERM|ABRT)$/.test(name)) return name;
  throw new HostError('ERR_USAGE', `${JSON.stringify(text)} is not a signal that ends a job.`, {
    hint: 'TERM, INT, HUP, QUIT, ABRT or KILL',
  });
}
