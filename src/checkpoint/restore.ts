/**
 * Finds the checkpoint that a job is to go on from, and decides whether it may.
 *
 * Order of the checks: there is such a checkpoint; its job is known and not running; owner, requester
 * and software match (`vault/` does these three, in this order); only then is the image decrypted, and
 * only then parsed. What the guest held outside itself is held against the request of today by its names
 * (`missing-grants.ts`); whether it is still the same things, its cell finds out.
 */
import type { ForeignProvider } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import { checkAllowed } from '../host/allowed-grants.ts';
import { instrumentedDigest } from '../host/instrument-cache.ts';
import { type JobView, jobState, type RunParent, type RunRecord } from '../host/job-records.ts';
import { type JobTable, jobRunning, noSuchJob } from '../host/job-table.ts';
import type { ModuleFile } from '../host/module-file.ts';
import { loadModule } from '../host/module-store.ts';
import type { Places } from '../host/places.ts';
import type { OwnerPolicy } from '../host/policy.ts';
import { readProviderFiles } from '../host/provider-file.ts';
import type { RunRequest } from '../host/run-request.ts';
import { decodeImageHead } from '../image/head.ts';
import type { ImageHead } from '../image/image.ts';
import { INSTRUMENTER_VERSION } from '../instrument/version.ts';
import { servedUser } from '../native/user-rights.ts';
import type { CheckpointInfo, Requester, SoftwareNow } from '../vault/checkpoint-info.ts';
import { checkFree, type UseKind } from '../vault/use.ts';
import type { OpenedCheckpoint, Vault } from '../vault/vault.ts';
import { checkGranted } from './missing-grants.ts';
import { fateIn } from './run-fate.ts';
import { softwareNow } from './software.ts';

/** Which checkpoint; with nothing given, the owner's last one. */
export interface RestoreSelector {
  /** Whose, when somebody asks whom that owner has granted it; absent: the requester's own. */
  readonly owner?: string;
  readonly job: string | null;
  readonly id: string | null;
  /** ISO 8601: the newest checkpoint at or before it. */
  readonly at: string | null;
}

/** What today's request changes of the recorded one; absent: as it was. */
export type RestoreChanges = Partial<
  Pick<
    RunRequest,
    | 'secrets'
    | 'preopens'
    | 'pools'
    | 'kv'
    | 'providers'
    | 'providerPaths'
    | 'listen'
    | 'fuel'
    | 'memoryPages'
    | 'tableEntries'
    | 'carryBytesMax'
    | 'confine'
    | 'onLimit'
    | 'osr'
    | 'outputBytes'
    | 'handles'
    | 'files'
    | 'randomCallBytes'
    | 'privateBytes'
    | 'guestCheckpoints'
    | 'clock'
    | 'timeoutMs'
    | 'checkpointEveryMs'
    | 'keepLog'
    | 'removeAtEnd'
    | 'restart'
  >
>;

export interface RestoreTools {
  readonly places: Places;
  readonly table: JobTable;
  readonly vault: Vault;
  readonly requester: Requester;
  /** Today's. */
  readonly policy: OwnerPolicy;
  /** V8's version. */
  readonly engine: string;
}

export interface RestorePlan {
  readonly info: CheckpointInfo;
  /** The job of the checkpoint; a clone becomes another one. */
  readonly view: JobView;
  readonly module: ModuleFile;
  readonly software: SoftwareNow;
  readonly request: RunRequest;
  /** Of the request, with the digests of today. */
  readonly providers: readonly ForeignProvider[];
  readonly parent: RunParent;
}

/**
 * Selects and checks, without decrypting anything of the image. Throws ERR_NO_SUCH_JOB,
 * ERR_NO_SUCH_CHECKPOINT, ERR_JOB_RUNNING, ERR_CHECKPOINT_USED, ERR_OWNER_MISMATCH, ERR_REQUESTER_MISMATCH,
 * ERR_SOFTWARE_MISMATCH, ERR_NOT_ALLOWED, ERR_PROVIDER, ERR_STATE_DAMAGED and the vault's own.
 */
export async function planRestore(
  tools: RestoreTools,
  selector: RestoreSelector,
  changes: RestoreChanges,
  how: UseKind = 'once',
): Promise<RestorePlan> {
  const { places, vault, requester, policy, table } = tools;
  const { info, view, maker, request, providers, software } = await selectRestore(
    tools,
    selector,
    changes,
  );
  if (how !== 'clone' && jobState(view.run) === 'running') throw jobRunning(view);
  // Told by its own sentence, which says more than that the software differs.
  readProviderFiles(request.providers ?? []);
  await vault.check(requester, info.id, software);
  const use = await vault.use(requester, info.id);
  // Decided when the run begins; said now, before anything is opened.
  if (use !== null) checkFree(info.id, use, how, fateIn(table));
  checkAllowed(request, policy.grants);
  checkRollback(request, maker, how);
  return {
    info,
    view,
    module: loadModule(places, view.job.moduleDigest),
    software,
    request,
    providers,
    parent: { run: info.run, logBytes: info.logBytes, checkpoint: info.id },
  };
}

/** What a restore would work with; nothing is checked yet. */
export interface RestoreChoice {
  readonly info: CheckpointInfo;
  readonly view: JobView;
  /** The run that made the checkpoint. */
  readonly maker: RunRecord;
  readonly request: RunRequest;
  /** Of the request, with the digests of today; without those whose files are not there. */
  readonly providers: readonly ForeignProvider[];
  readonly software: SoftwareNow;
}

/** Throws ERR_NO_SUCH_JOB, ERR_NO_SUCH_CHECKPOINT, ERR_STATE_DAMAGED and the vault's own. */
export async function selectRestore(
  tools: RestoreTools,
  selector: RestoreSelector,
  changes: RestoreChanges,
): Promise<RestoreChoice> {
  const { places, table, requester } = tools;
  const info = await select(tools, selector);
  const view = table.find(requester.owner, info.job);
  // What was asked for in the run that made the checkpoint: a restore that failed changes nothing.
  const maker = table.runs(view.job.id).find(({ number }) => number === info.run) ?? view.run;
  const asked = requester.operator === undefined ? maker.request : withoutGrants(maker.request);
  const request = changedRequest(asked, changes);
  const providers = presentProviders(request);
  const module = view.job.moduleDigest;
  const software = softwareNow(
    { module, wasi: maker.request.wasi, providers },
    instrumentedDigest(places, { module, instrumenter: INSTRUMENTER_VERSION }),
    tools.engine,
    tools.policy.accept,
  );
  return { info, view, maker, request, providers, software };
}

/**
 * What brings files back lies with the job, and belongs to the user who ran it: a clone, and another user than that
 * one, has none of it. Throws ERR_NOT_ALLOWED.
 */
function checkRollback(
  { preopens }: RunRequest,
  { request: { runAs } }: RunRecord,
  how: UseKind,
): void {
  const isOthers = (runAs?.uid ?? null) !== (servedUser()?.uid ?? null);
  if (how !== 'clone' && !isOthers) return;
  const found = preopens.find(({ policy }) => policy === 'rollback');
  if (found === undefined) return;
  throw new HostError(
    'ERR_NOT_ALLOWED',
    how === 'clone'
      ? 'A clone can not bring back files: what is kept of them belongs to the job it is a twin of.'
      : "Only the user who ran the guest can bring back its files: what is kept of them is that user's.",
    {
      facts: { directory: found.guestPath },
      hint: 'restore it without --clone as the user who ran it, or with --dir HOST::GUEST::reopen to go on with the files as they are',
    },
  );
}

function presentProviders({ providers = [] }: RunRequest): ForeignProvider[] {
  return providers.flatMap((one) => {
    try {
      return readProviderFiles([one]);
    } catch (error) {
      if (error instanceof HostError && error.code === 'ERR_PROVIDER') return [];
      throw error;
    }
  });
}

/**
 * What the owner asked for counts as asked again by the owner alone: an operator gives every right himself.
 * Arguments and variables are no rights of anybody's, and secrets have to be given again in any case.
 */
function withoutGrants(request: RunRequest): RunRequest {
  return {
    ...request,
    preopens: [],
    pools: [],
    kv: [],
    providers: [],
    providerPaths: [],
    listen: [],
  };
}

/** A guest whose files lie in its image has them from there; a directory would change nothing. */
function changedRequest(before: RunRequest, changes: RestoreChanges): RunRequest {
  if (before.wasi === 'wasmer' && changes.preopens !== undefined) {
    throw new HostError(
      'ERR_USAGE',
      'A guest on @wasmer/wasi has its files in its checkpoint: no directory can be granted.',
      { hint: 'restore it without --dir and --dir-ro' },
    );
  }
  const secrets = [...new Set([...(before.secrets ?? []), ...(changes.secrets ?? [])])];
  return { ...before, ...changes, ...(secrets.length === 0 ? {} : { secrets }) };
}

async function select(
  { table, vault, requester }: RestoreTools,
  { job, id, at }: RestoreSelector,
): Promise<CheckpointInfo> {
  // To whom the owner granted nothing the answer is that of an owner who has nothing.
  if (job !== null && !(await vault.mayAsk(requester))) throw noSuchJob(job);
  const found = job === null ? null : table.find(requester.owner, job).job;
  const name = found?.name ?? null;
  const info = await vault.find(requester, {
    ...(found === null ? {} : { job: found.id }),
    ...(id === null ? {} : { id }),
    ...(at === null ? {} : { at: new Date(at) }),
  });
  if (info !== null) return info;
  const which =
    id !== null ? 'with that id' : at !== null ? `at or before ${at}` : name !== null ? '' : 'yet';
  const whose = name === null ? 'There is no checkpoint' : `The job ${name} has no checkpoint`;
  const list =
    name === null ? 'stasis checkpoints lists them' : `stasis checkpoints ${name} lists them`;
  const make = `stasis checkpoint ${name ?? 'NAME'} makes one of a running job; run --checkpoint-every does it by itself`;
  throw new HostError('ERR_NO_SUCH_CHECKPOINT', `${whose} ${which}`.trimEnd().concat('.'), {
    // Without a choice by id or time, there is nothing that a list could show.
    hint: id === null && at === null ? make : list,
  });
}

export interface OpenedImage {
  readonly opened: OpenedCheckpoint;
  /** Parsed only to report and to refuse early; the cell parses it again for itself. */
  readonly head: ImageHead;
}

/**
 * Decrypts the image of a plan, and holds what the guest needs against what is granted; `secrets` are the
 * names of those that are given. Throws as the vault's `open` does, ERR_MALFORMED_IMAGE and
 * ERR_RESOURCE_NOT_GRANTED, which lists everything that is missing.
 */
export async function openImage(
  { vault, requester }: RestoreTools,
  { info, software, request }: RestorePlan,
  secrets: readonly string[] = [],
): Promise<OpenedImage> {
  const opened = await vault.open(requester, info.id, software);
  const head = decodeImageHead(opened.head);
  checkGranted(head, request, secrets);
  return { opened, head };
}
