/**
 * What a command asks of a host, wherever that is: in this process (`local-host.ts`) or behind a socket
 * (`remote-host.ts`). Everything that goes through here is plain data, or a stream of it.
 *
 * Each method throws the errors of what it does; for a host behind a socket, ERR_HOST_UNREACHABLE besides.
 */
import type { Explanation } from '../checkpoint/explain.ts';
import type { ListedCheckpoint } from '../checkpoint/list-checkpoints.ts';
import type { Receipt } from '../checkpoint/receipt.ts';
import type { Restorable } from '../checkpoint/restorable.ts';
import type { ControlAnswer } from '../host/control-socket.ts';
import type { JobRecord, JobState, RunRecord } from '../host/job-records.ts';
import type { LogPiece } from '../host/log-reader.ts';
import type { PolicyPlace } from '../host/policy-file.ts';
import type { Audit } from '../vault/audit.ts';
import type { VaultUsage } from '../vault/vault-usage.ts';
import type { HostedJob, JobHooks, JobStarted } from './job-host.ts';
import type { JobOrder, JobWork } from './job-order.ts';

/** A job and its newest run, as its host sees them. */
export interface JobSight {
  readonly job: JobRecord;
  readonly run: RunRecord;
  /** `restorable`: its host died, and there is a checkpoint to go on from; `lost`: there is none. */
  readonly state: JobState | 'restorable';
  /** Of a job that is restorable; of any other null. */
  readonly restorable: Restorable | null;
}

/** What is to be started; whose it is, and where, is the host's to know. */
export interface JobAsk extends Omit<JobOrder, 'settings'> {
  /** A policy file that the user named; null: the host's own. */
  readonly policy: PolicyPlace | null;
}

export type RestoreAsk = JobAsk & { readonly work: Extract<JobWork, { kind: 'restore' }> };

/** All conditions that are not null have to hold. */
export interface AuditAsk {
  readonly job: string | null;
  readonly event: string | null;
  /** ISO 8601. */
  readonly since: string | null;
}

export interface CheckpointMade {
  /** The job's name. */
  readonly job: string;
  readonly done: ControlAnswer;
}

export interface Host {
  /** The requester's own jobs, oldest first. */
  jobs(): Promise<readonly JobSight[]>;
  /** What a job wrote; with `follow`, until it ends. */
  logs(job: string, follow: boolean): AsyncIterable<LogPiece>;
  /** Captures a running job and waits until it is sealed. */
  checkpoint(job: string, stop: boolean): Promise<CheckpointMade>;
  /**
   * The requester's own checkpoints, newest first: of one job, or all; or those of another owner, who has
   * granted it.
   */
  checkpoints(job: string | null, owner: string | null): Promise<readonly ListedCheckpoint[]>;
  /** Lets another owner list and restore the requester's own checkpoints, or takes that back. */
  grant(operator: string, revoke: boolean): Promise<void>;
  /** Whom the requester has granted it. */
  operators(): Promise<readonly string[]>;
  /** Ends a job; resolves with its name when its end is recorded. */
  kill(job: string, signal: string): Promise<string>;
  /** Removes a job that is over (`force`: ends it first) and resolves with its name. */
  remove(job: string, force: boolean): Promise<string>;
  /** Drops the requester's own checkpoints with these ids, all or none. */
  forget(ids: readonly string[]): Promise<void>;
  /** What happened to the requester's own checkpoints: of one job, or all. */
  audit(filter: AuditAsk): Promise<Audit>;
  /** What the requester's own checkpoints take up. */
  usage(): Promise<VaultUsage>;
  /** The receipt of a restore that is not made. */
  tryRestore(ask: RestoreAsk): Promise<Receipt>;
  /** The software of a checkpoint beside that of today. */
  explain(ask: RestoreAsk): Promise<Explanation>;
  /** Starts a job whose streams are this process's own. */
  run(ask: JobAsk, hooks: Omit<JobHooks, 'stdio'>): Promise<HostedJob>;
  /** Starts a job in the background; resolves when its guest has started. */
  start(ask: JobAsk): Promise<JobStarted>;
}
