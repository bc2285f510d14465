/**
 * What the process table holds about a job and its runs.
 *
 * A job is what the user named; each start or restore of it is a run, numbered from 1. A run that began
 * at a checkpoint has a parent: the run that made the checkpoint, and how much of that run's log
 * belongs to the guest's past.
 */
import { HostError } from '../fault/host-error.ts';
import { isAlive, type ProcessIdentity } from './process-identity.ts';
import type { RunEnding } from './run-ending.ts';
import type { RunRequest } from './run-request.ts';

export interface JobRecord {
  readonly id: string;
  readonly name: string;
  /** `uid:N`. */
  readonly owner: string;
  /** Hex SHA-256 of the module as the user gave it. */
  readonly moduleDigest: string;
  /** ISO 8601, UTC. */
  readonly createdAt: string;
}

export interface RunParent {
  /** Of the same job; of a clone's first run, of the job that it is a twin of. */
  readonly run: number;
  readonly logBytes: number;
  /** Id of the checkpoint that the run began at. */
  readonly checkpoint: string;
}

export interface RunCheckpoint {
  readonly sequence: number;
  readonly stamp: string;
}

export interface RunOutcome {
  readonly ending: RunEnding;
  /** Decimal; null when the guest's end was not told by its cell. */
  readonly fuel: string | null;
  readonly calls: string | null;
  readonly memoryDigest: string | null;
  /** It was captured because its host was stopped; absent: no. */
  readonly suspended?: boolean;
}

export interface RunRecord {
  readonly number: number;
  readonly parent: RunParent | null;
  readonly request: RunRequest;
  readonly host: ProcessIdentity;
  readonly cell: ProcessIdentity | null;
  /** Path of the control socket, once there is one. */
  readonly socket: string | null;
  readonly startedAt: string;
  readonly endedAt: string | null;
  readonly outcome: RunOutcome | null;
  /** The newest one that this run made. */
  readonly checkpoint: RunCheckpoint | null;
  /** Why the newest attempt to make one failed; null once one succeeds again. */
  readonly trouble: string | null;
}

/** A job with its newest run. */
export interface JobView {
  readonly job: JobRecord;
  readonly run: RunRecord;
}

export type JobState =
  | 'running'
  | 'exited'
  | 'trapped'
  | 'limit'
  | 'killed'
  | 'stopped'
  | 'failed'
  | 'lost';

/** `lost`: the run did not end as far as anybody wrote down, and its host is gone. */
export function jobState(run: RunRecord): JobState {
  if (run.outcome === null) return isAlive(run.host) ? 'running' : 'lost';
  switch (run.outcome.ending.kind) {
    case 'exit':
      return 'exited';
    case 'trap':
      return 'trapped';
    case 'limit':
    case 'deadline':
      return 'limit';
    case 'signal':
      return 'killed';
    case 'checkpointed':
      return 'stopped';
    case 'failed':
      return 'failed';
  }
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/;

/** Throws ERR_USAGE for a name that would not be safe in a file name or on a terminal. */
export function checkJobName(name: string): void {
  if (NAME.test(name)) return;
  throw new HostError(
    'ERR_USAGE',
    'A job name has 1 to 63 letters, digits, dots, dashes or underscores.',
    {
      hint: 'begin it with a letter or a digit',
    },
  );
}

/** A name for a job that got none: the module's, and four letters against repetition. */
export function inventJobName(modulePath: string, random: (count: number) => Uint8Array): string {
  const base = modulePath.slice(modulePath.lastIndexOf('/') + 1).replace(/\.wasm$/, '');
  const safe = base
    .replace(/[^A-Za-z0-9_-]/g, '')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 24);
  const letters = 'abcdefghjkmnpqrstuvwxyz23456789';
  const tail = Array.from(random(4), (byte) => letters[byte % letters.length]).join('');
  return `${safe === '' ? 'job' : safe}-${tail}`;
}
