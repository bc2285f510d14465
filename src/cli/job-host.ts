/**
 * Hosts one job in this process: puts process table, vault and cell together. Used by the commands
 * that stay in the foreground and by the detached host alike.
 *
 * Invariants:
 * 1. A new job whose guest can't be started leaves nothing behind, so its name is free again.
 * 2. A foreground job without a name that made no checkpoint leaves nothing behind when it ends.
 */
import type { ForeignProvider, Trigger } from '../cell/protocol.ts';
import { freshBytes } from '../cell/randomness.ts';
import { wallClockNow } from '../cell/wall-clock.ts';
import type { Explanation } from '../checkpoint/explain.ts';
import type { Receipt } from '../checkpoint/receipt.ts';
import { removeJob } from '../checkpoint/remove-job.ts';
import type { RestoreChanges, RestoreSelector, RestoreTools } from '../checkpoint/restore.ts';
import { fateIn, hasEndedWell } from '../checkpoint/run-fate.ts';
import { createSealer } from '../checkpoint/seal-image.ts';
import type { ConfineMode, Confinement } from '../confine/confinement.ts';
import { HostError } from '../fault/host-error.ts';
import { checkAllowed } from '../host/allowed-grants.ts';
import { cellProgram } from '../host/cell-command.ts';
import { type GuestStdio, withoutInput } from '../host/guest-streams.ts';
import { type HostTools, hostRun, type RestorePoint } from '../host/host-run.ts';
import {
  checkJobName,
  inventJobName,
  type JobRecord,
  type RunOutcome,
} from '../host/job-records.ts';
import { JobTable } from '../host/job-table.ts';
import { prepareLaunch } from '../host/launch.ts';
import { type ModuleFile, readModuleFile } from '../host/module-file.ts';
import { type Places, preparePlaces } from '../host/places.ts';
import { type OwnerPolicy, policyFor } from '../host/policy.ts';
import { readPolicy } from '../host/policy-file.ts';
import { readProviderFiles } from '../host/provider-file.ts';
import { endingStatus } from '../host/run-ending.ts';
import type { RunRequest } from '../host/run-request.ts';
import { INSTRUMENTER_VERSION } from '../instrument/version.ts';
import type { Secret } from '../resource/secrets.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import { claimKey } from '../vault/master-key.ts';
import type { VaultOptions } from '../vault/open-vault.ts';
import type { UseKind, UsingRun } from '../vault/use.ts';
import type { Vault } from '../vault/vault.ts';
import { type Settings, settingsPlaces, settingsRequester } from './settings.ts';

const JOB_ID_BYTES = 8;

/** JSON carries it to a detached host, so fuel and call numbers are decimal text. */
export interface TriggerOrder {
  readonly on: 'fuel' | 'call';
  readonly at: string;
  readonly stop: boolean;
}

export type JobWork =
  | { readonly kind: 'run'; readonly name: string | null; readonly request: RunRequest }
  | {
      readonly kind: 'restore';
      readonly selector: RestoreSelector;
      readonly changes: RestoreChanges;
      /** A twin beside whatever else goes on from the checkpoint, as a new job; absent: none. */
      readonly clone?: { readonly name: string | null };
      /** Although a run from it ended well, or made a newer one. */
      readonly again?: boolean;
    };

export interface JobOrder {
  readonly settings: Settings;
  readonly work: JobWork;
  readonly triggers: readonly TriggerOrder[];
  readonly digestMemory: boolean;
  /** Of the request's secrets; absent: none. */
  readonly secrets?: readonly SecretOrder[];
}

/** JSON carries it to a detached host; it is written nowhere. */
export interface SecretOrder {
  readonly name: string;
  /** Base64. */
  readonly value: string;
}

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

/** What both kinds of work come down to. */
interface Prepared {
  readonly job: JobRecord;
  readonly request: RunRequest;
  readonly module: ModuleFile;
  readonly providers: readonly ForeignProvider[];
  readonly restore: RestorePoint | null;
  readonly receipt: Receipt | null;
  /** Leaves nothing behind unless it made a checkpoint. */
  readonly passing: boolean;
}

/** Starts the job. Throws what `hostRun` and `planRestore` throw, and what is wrong with the module. */
export async function hostJob(order: JobOrder, hooks: JobHooks): Promise<HostedJob> {
  const { settings, work } = order;
  if (work.kind === 'restore' || work.request.confine !== 'off') prepareLaunch();
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
        ? prepareRun(settings, policy, work, hooks)
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
      caps: policy.caps,
      triggers: order.triggers.map(readTrigger),
      digestMemory: order.digestMemory,
      stdio: policy.grants.stdin ? hooks.stdio : withoutInput(hooks.stdio),
      seal: createSealer({
        places,
        vault: vault.open,
        requester,
        // The owner's, whoever restores it.
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

async function ownerPolicy({ policy, owner }: Settings): Promise<OwnerPolicy> {
  return policyFor(await readPolicy(policy), owner);
}

function prepareRun(
  { owner }: Settings,
  policy: OwnerPolicy,
  { name, request }: Extract<JobWork, { kind: 'run' }>,
  { stdio }: JobHooks,
): Prepared {
  if (name !== null) checkJobName(name);
  checkAllowed(request, policy.grants);
  const module = readModuleFile(request.modulePath);
  const job: JobRecord = {
    id: newJobId(),
    name: name ?? inventJobName(request.modulePath, freshBytes),
    owner,
    moduleDigest: module.digest,
    createdAt: wallClockNow().toISOString(),
  };
  return {
    job,
    request,
    module,
    providers: readProviderFiles(request.providers ?? []),
    restore: null,
    receipt: null,
    passing: stdio !== null && name === null,
  };
}

/** Whoever runs it now counts, not whoever ran it before. */
function withRunAs({ runAs: _, ...request }: RunRequest, { served }: Settings): RunRequest {
  return served === null ? request : { ...request, runAs: served };
}

async function prepareRestore(
  { places, table }: HostTools,
  settings: Settings,
  policy: OwnerPolicy,
  vault: Vault,
  order: JobOrder,
  work: Extract<JobWork, { kind: 'restore' }>,
): Promise<Prepared> {
  const { selector, changes, clone } = work;
  const how = kindOfUse(work);
  const requester = requesterOf(settings, selector);
  const tools = { places, table, vault, requester, policy, engine: process.versions.v8 };
  if (requester.operator !== undefined && (how !== 'once' || changes.removeAtEnd === true)) {
    throw new HostError(
      'ERR_NOT_ALLOWED',
      'An operator can restore a checkpoint once, and not remove the job.',
      {
        hint: 'restore it without --again, --clone and --rm',
      },
    );
  }
  if (clone !== undefined && clone.name !== null) checkJobName(clone.name);
  const { openImage, planRestore } = await import('../checkpoint/restore.ts');
  const { makeReceipt } = await import('../checkpoint/receipt.ts');
  const plan = await planRestore(tools, selector, changes, how);
  const { opened, head } = await openImage(tools, plan, secretNames(order));
  const job = clone === undefined ? plan.view.job : twinOf(plan.view.job, clone.name);
  const { id } = plan.info;
  return {
    job,
    request: plan.request,
    module: plan.module,
    providers: plan.providers,
    restore: {
      parent: plan.parent,
      clone: clone !== undefined,
      claim: (run) =>
        vault.claim(requester, id, {
          job: job.id,
          run,
          how,
          fateOf: fateIn(table),
        }),
      instrumented: plan.info.software.instrumented ?? null,
      head: opened.head,
      pages: opened.pages,
    },
    receipt: makeReceipt(plan, head, clone === undefined ? null : job.name),
    passing: false,
  };
}

function kindOfUse({ clone, again }: Extract<JobWork, { kind: 'restore' }>): UseKind {
  if (clone !== undefined) return 'clone';
  return again === true ? 'again' : 'once';
}

/** A new job that goes on from a checkpoint of another one. */
function twinOf(job: JobRecord, name: string | null): JobRecord {
  return {
    ...job,
    id: newJobId(),
    name: name ?? inventJobName(job.name, freshBytes),
    createdAt: wallClockNow().toISOString(),
  };
}

function newJobId(): string {
  return Buffer.from(freshBytes(JOB_ID_BYTES)).toString('hex');
}

/** Whose checkpoints, and who asks. */
export function requesterOf(
  settings: Settings,
  { owner }: Pick<RestoreSelector, 'owner'>,
): Requester {
  const own = settingsRequester(settings);
  if (owner === undefined || owner === own.owner) return own;
  return { ...own, owner, operator: own.owner };
}

function secretNames({ secrets = [] }: JobOrder): string[] {
  return secrets.map(({ name }) => name);
}

type RestoreOrder = JobOrder & { readonly work: Extract<JobWork, { kind: 'restore' }> };

/** The receipt of a restore that is not made. */
export function tryRestore(order: RestoreOrder): Promise<Receipt> {
  const { selector, changes, clone } = order.work;
  return withRestoreTools(order, async (tools) => {
    const { openImage, planRestore } = await import('../checkpoint/restore.ts');
    const { makeReceipt } = await import('../checkpoint/receipt.ts');
    const plan = await planRestore(tools, selector, changes, kindOfUse(order.work));
    const { head } = await openImage(tools, plan, secretNames(order));
    return makeReceipt(plan, head, clone === undefined ? null : (clone.name ?? ''));
  });
}

/** What `--explain` shows. */
export async function explain(order: RestoreOrder): Promise<Explanation> {
  const { work } = order;
  const { explainRestore } = await import('../checkpoint/explain.ts');
  return withRestoreTools(order, (tools) => explainRestore(tools, work.selector, work.changes));
}

async function withRestoreTools<T>(
  { settings, work }: RestoreOrder,
  body: (tools: RestoreTools) => Promise<T>,
): Promise<T> {
  const places = settingsPlaces(settings);
  preparePlaces(places);
  const table = new JobTable(places.jobsDatabase);
  const vault = await openPlacesVault(places);
  try {
    return await body({
      places,
      table,
      vault,
      requester: requesterOf(settings, work.selector),
      policy: await ownerPolicy(settings),
      engine: process.versions.v8,
    });
  } finally {
    table.close();
    await vault.close();
  }
}

/** Loads the vault's code, too: commands that need none of it do without. */
export async function openPlacesVault(places: Places): Promise<Vault> {
  const { openVault } = await import('../vault/open-vault.ts');
  return openVault(vaultOptions(places));
}

/** What it takes to open the vault that lies there. */
export function vaultOptions({ vault: directory, vaultKey, witness }: Places): VaultOptions {
  const given = { directory, key: vaultKey, now: wallClockNow, random: freshBytes };
  return witness === null ? given : { ...given, witness };
}

/** Most runs make no checkpoint; the vault is opened, and made, when one does. */
function vaultOnDemand(places: Places): {
  open: () => Promise<Vault>;
  opened: () => Promise<Vault | null>;
} {
  let opening: Promise<Vault> | null = null;
  return {
    open: () => {
      opening ??= openPlacesVault(places);
      // A vault that could not be opened is tried again: a full disk may have room by then.
      opening.catch(() => {
        opening = null;
      });
      return opening;
    },
    opened: async () => opening,
  };
}

function readTrigger({ on, at, stop }: TriggerOrder): Trigger {
  return on === 'fuel' ? { fuel: BigInt(at), stop } : { call: BigInt(at), stop };
}

function readSecret({ name, value }: SecretOrder): Secret {
  return { name, value: Buffer.from(value, 'base64') };
}
