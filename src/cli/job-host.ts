/**
 * Hosts one job in this process: puts process table, vault and cell together. Used by the commands
 * that stay in the foreground and by the detached host alike.
 *
 * Invariants:
 * 1. A new job whose guest can't be started leaves nothing behind, so its name is free again.
 * 2. A foreground job without a name that made no checkpoint leaves nothing behind when it ends.
 */
import { wallClockNow } from '../cell/wall-clock.ts';
import type { Receipt } from '../checkpoint/receipt.ts';
import { removeJob } from '../checkpoint/remove-job.ts';
import { hasEndedWell } from '../checkpoint/run-fate.ts';
import { createSealer } from '../checkpoint/seal-image.ts';
import type { ConfineMode, Confinement } from '../confine/confinement.ts';
import { HostError } from '../fault/host-error.ts';
import { cellProgram } from '../host/cell-command.ts';
import { type GuestStdio, withoutInput } from '../host/guest-streams.ts';
import { hostRun } from '../host/host-run.ts';
import type { HostTools } from '../host/hosted-run.ts';
import type { RunOutcome } from '../host/job-records.ts';
import { JobTable } from '../host/job-table.ts';
import { preparePlaces } from '../host/places.ts';
import { policyFor } from '../host/policy.ts';
import { readPolicy } from '../host/policy-file.ts';
import { endingStatus } from '../host/run-ending.ts';
import type { RunRequest } from '../host/run-request.ts';
import { INSTRUMENTER_VERSION } from '../instrument/version.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import { claimKey } from '../vault/master-key.ts';
import type { UsingRun } from '../vault/use.ts';
import type { Vault } from '../vault/vault.ts';
import { type JobOrder, readSecret, readTrigger } from './job-order.ts';
import { vaultOnDemand } from './places-vault.ts';
import { prepareRestore, prepareRun } from './prepared-job.ts';
import { type Settings, settingsPlaces, settingsRequester } from './settings.ts';

export interface JobHooks {
  /** The guest's streams; null: in the background. */
  readonly stdio: GuestStdio | null;
  /** The guest is about to run; for a restore, with what it goes on. */
  readonly onStarted: (started: JobStarted) => void;
  readonly onTrouble: (error: HostError) => void;
}

export interface JobStarted {
  readonly job: string;
  readonly id: string;
  readonly run: number;
  /** What the kernel holds the guest's process by. */
  readonly held: readonly Confinement[];
  readonly confine: ConfineMode;
  /** Where the guest listens: `HOST:PORT`. */
  readonly listening: readonly string[];
  readonly receipt: Receipt | null;
}

/** What `--json` prints of a run that is over. */
export interface JobReport extends RunOutcome {
  readonly job: string;
  readonly id: string;
  readonly run: number;
  /** Exit status of the command. */
  readonly status: number;
  /** Checkpoints that this run made. */
  readonly checkpoints: number;
  /** What the kernel held the guest's process by. */
  readonly held: readonly Confinement[];
  /** Whether anything of the job is left. */
  readonly kept: boolean;
}

export interface HostedJob {
  kill(signal: string): void;
  readonly ended: Promise<JobReport>;
}

/** Starts the job. Throws what `hostRun` and `planRestore` throw, and what is wrong with the module. */
export async function hostJob(order: JobOrder, hooks: JobHooks): Promise<HostedJob> {
  const { settings, work } = order;
  const places = settingsPlaces(settings);
  preparePlaces(places);
  // Before there is a cell, which would inherit the descriptor.
  claimKey(places.vaultKey);
  const vault = vaultOnDemand(places);
  const table = new JobTable(places.jobsDatabase);
  const tools: HostTools = {
    places,
    table,
    now: wallClockNow,
    program: cellProgram(process.execPath),
    instrumenter: INSTRUMENTER_VERSION,
  };

  async function release(): Promise<void> {
    table.close();
    await (await vault.opened())?.close();
  }

  try {
    const whole = await readPolicy(settings.policy);
    const policy = policyFor(whole, settings.owner);
    const prepared =
      work.kind === 'run'
        ? prepareRun(settings, policy, work, hooks.stdio)
        : await prepareRestore(tools, settings, policy, await vault.open(), order, work);
    const { job, request, module, providers, restore, receipt, passing } = prepared;
    // Whoever restores it: the job and its checkpoints stay their owner's.
    const requester: Requester = { ...settingsRequester(settings), owner: job.owner };
    const from = restore === null || restore.clone ? null : restore.parent.checkpoint;
    // A vault that can't be used is told now rather than at the first tick.
    if (request.checkpointEveryMs !== null) await vault.open();
    let started = false;
    const hosted = await hostRun(tools, {
      job,
      request: withRunAs(request, settings),
      module,
      providers,
      restore,
      secrets: (order.secrets ?? []).map(readSecret),
      // The owner's, whoever restores it.
      caps: policyFor(whole, job.owner).caps,
      triggers: order.triggers.map(readTrigger),
      digestMemory: order.digestMemory,
      stdio: policy.grants.stdin ? hooks.stdio : withoutInput(hooks.stdio),
      seal: createSealer({
        places,
        vault: vault.open,
        requester,
        caps: policyFor(whole, job.owner).caps,
        software: { wasi: request.wasi, providers },
        engine: process.versions.v8,
        module,
        from,
      }),
      onStarted: () => {
        started = true;
        const { run, held, listening } = hosted;
        const confine = request.confine ?? 'auto';
        hooks.onStarted({ job: job.name, id: job.id, run, held, confine, listening, receipt });
      },
      onTrouble: hooks.onTrouble,
    }).catch(async (error: unknown) => {
      // The id is this job's alone, so whatever bears it was made just now.
      if (work.kind === 'run') await removeJob(places, table, null, requester, job);
      throw error;
    });

    async function finish(): Promise<JobReport> {
      const { outcome, checkpoints } = await hosted.ended;
      const isNew = restore === null || restore.clone;
      const stillborn = isNew && !started && outcome.ending.kind === 'failed';
      const drop = stillborn || request.removeAtEnd || (passing && checkpoints === 0);
      const opened = await vault.opened();
      if (drop) await removeJob(places, table, opened, requester, job);
      else if (from !== null && opened !== null) {
        await settleUse(opened, requester, from, { job: job.id, run: hosted.run }, outcome);
      }
      await release();
      const { name, id } = job;
      const status = endingStatus(outcome.ending);
      const { run, held } = hosted;
      return { job: name, id, run, status, checkpoints, held, kept: !drop, ...outcome };
    }

    return { kill: hosted.kill, ended: finish() };
  } catch (error) {
    await release();
    throw error;
  }
}

/** What can't be written down now is seen in the process table by whoever claims the checkpoint next. */
async function settleUse(
  vault: Vault,
  requester: Requester,
  checkpoint: string,
  run: UsingRun,
  outcome: RunOutcome,
): Promise<void> {
  try {
    await vault.settle(requester, checkpoint, run, hasEndedWell(outcome));
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
  }
}

/** Whoever runs it now counts, not whoever ran it before. */
function withRunAs({ runAs: _, ...request }: RunRequest, { served }: Settings): RunRequest {
  return served === null ? request : { ...request, runAs: served };
}
