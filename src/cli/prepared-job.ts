/** What a job that is to be started comes down to, whether it begins or goes on. */
import type { ForeignProvider } from '../cell/protocol.ts';
import { freshBytes } from '../cell/randomness.ts';
import { wallClockNow } from '../cell/wall-clock.ts';
import type { Receipt } from '../checkpoint/receipt.ts';
import { fateIn } from '../checkpoint/run-fate.ts';
import { HostError } from '../fault/host-error.ts';
import { checkAllowed } from '../host/allowed-grants.ts';
import type { GuestStdio } from '../host/guest-streams.ts';
import type { HostTools, RestorePoint } from '../host/hosted-run.ts';
import { checkJobName, inventJobName, type JobRecord } from '../host/job-records.ts';
import { type ModuleFile, readModuleFile } from '../host/module-file.ts';
import type { OwnerPolicy } from '../host/policy.ts';
import { readProviderFiles } from '../host/provider-file.ts';
import type { RunRequest } from '../host/run-request.ts';
import type { UseKind } from '../vault/use.ts';
import type { Vault } from '../vault/vault.ts';
import { type JobOrder, type JobWork, secretNames } from './job-order.ts';
import { requesterOf, type Settings } from './settings.ts';

const JOB_ID_BYTES = 8;

/** What both kinds of work come down to. */
export interface Prepared {
  readonly job: JobRecord;
  readonly request: RunRequest;
  readonly module: ModuleFile;
  readonly providers: readonly ForeignProvider[];
  readonly restore: RestorePoint | null;
  readonly receipt: Receipt | null;
  /** Leaves nothing behind unless it made a checkpoint. */
  readonly passing: boolean;
}

export function prepareRun(
  { owner }: Settings,
  policy: OwnerPolicy,
  { name, request }: Extract<JobWork, { kind: 'run' }>,
  stdio: GuestStdio | null,
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

export async function prepareRestore(
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

export function kindOfUse({ clone, again }: Extract<JobWork, { kind: 'restore' }>): UseKind {
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
