/**
 * A host that is this process: the state directory of the settings, and what lies in it.
 */
import { existsSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { listCheckpoints } from '../checkpoint/list-checkpoints.ts';
import { removeJob } from '../checkpoint/remove-job.ts';
import { restorableJobs } from '../checkpoint/restorable.ts';
import { HostError } from '../fault/host-error.ts';
import { askHost } from '../host/control-socket.ts';
import { GIVEN_FD, startDetached } from '../host/detach.ts';
import { OWN_STDIO } from '../host/guest-streams.ts';
import { type JobView, jobState } from '../host/job-records.ts';
import { JobTable, jobRunning } from '../host/job-table.ts';
import { type LogPiece, logSegments, readLog } from '../host/log-reader.ts';
import { preparePlaces } from '../host/places.ts';
import type { PolicyPlace } from '../host/policy-file.ts';
import { killProcess } from '../host/process-identity.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import type { Vault } from '../vault/vault.ts';
import type { Host, JobAsk, JobSight } from './host.ts';
import { hostJob, type JobStarted } from './job-host.ts';
import type { JobOrder } from './job-order.ts';
import { openPlacesVault } from './places-vault.ts';
import { type ErrorObject, errorFromObject } from './report-error.ts';
import { requesterOf, type Settings, settingsPlaces, settingsRequester } from './settings.ts';
import { explain, tryRestore } from './try-restore.ts';

const FOLLOW_MS = 100;

export function localHost(settings: Settings): Host {
  const places = settingsPlaces(settings);
  const requester = settingsRequester(settings);
  const { owner } = settings;

  async function withTable<T>(body: (table: JobTable) => Promise<T>): Promise<T> {
    preparePlaces(places);
    const table = new JobTable(places.jobsDatabase);
    try {
      return await body(table);
    } finally {
      table.close();
    }
  }

  async function withVault<T>(body: (vault: Vault) => Promise<T>): Promise<T> {
    const vault = await openPlacesVault(places);
    try {
      return await body(vault);
    } finally {
      await vault.close();
    }
  }

  const find = (name: string): Promise<JobView> =>
    withTable(async (table) => table.find(owner, name));

  const withPolicy = (policy: PolicyPlace | null): Settings =>
    policy === null ? settings : { ...settings, policy };
  const orderOf = ({ policy, ...ask }: JobAsk): JobOrder => ({
    ...ask,
    settings: withPolicy(policy),
  });

  return {
    jobs: () =>
      withTable(async (table) => {
        const sights = table.list(owner).map(sightOf);
        // Most of the time nobody has to open the vault for it.
        if (!existsSync(places.vault) || !sights.some(isLost)) return sights;
        try {
          return await withVault((vault) => withRestorable(table, vault, requester, sights));
        } catch (error) {
          if (!(error instanceof HostError)) throw error;
          // Jobs that run must be seen, and can be ended, whatever is wrong with the vault.
          return sights.map((sight) => (isLost(sight) ? withTrouble(sight, error) : sight));
        }
      }),
    logs: (name, follow) => readJobLog(settings, name, follow),
    checkpoint: async (name, stop) => {
      const view = await find(name);
      const done = await askHost(controlSocketOf(view), { ask: 'checkpoint', stop });
      return { job: view.job.name, done };
    },
    checkpoints: (name, whose) => {
      const asked = requesterOf(settings, whose === null ? {} : { owner: whose });
      return withTable((table) => withVault((vault) => listCheckpoints(table, vault, asked, name)));
    },
    grant: async (operator, revoke) => {
      preparePlaces(places);
      const isThere = await withVault(async (vault) => {
        if (revoke) return vault.revoke(requester, operator);
        await vault.grant(requester, operator);
        return true;
      });
      if (isThere) return;
      throw new HostError('ERR_USAGE', `${operator} is no operator of yours.`, {
        hint: 'stasis grants lists them',
      });
    },
    operators: async () => {
      preparePlaces(places);
      return withVault((vault) => vault.operators(requester));
    },
    kill: async (name, signal) => {
      const view = await find(name);
      await killJob(view, signal);
      return view.job.name;
    },
    remove: (name, force) =>
      withTable((table) =>
        withVault(async (vault) => {
          const view = table.find(owner, name);
          if (jobState(view.run) === 'running') {
            if (!force) throw jobRunning(view);
            await killJob(view, 'SIGKILL');
          }
          await removeJob(places, table, vault, requester, view.job);
          return view.job.name;
        }),
      ),
    forget: (ids) => withVault((vault) => vault.remove(requester, ids)),
    audit: async ({ job, event, since }) => {
      const id = job === null ? null : (await find(job)).job.id;
      return withVault((vault) =>
        vault.audit({
          owner,
          // Whoever is served by another user's host learns nothing of what others do.
          alone: settings.served !== null,
          ...(id === null ? {} : { job: id }),
          ...(event === null ? {} : { event }),
          ...(since === null ? {} : { since: new Date(since) }),
        }),
      );
    },
    usage: () => withVault((vault) => vault.usage(owner)),
    tryRestore: (ask) => tryRestore({ ...orderOf(ask), work: ask.work }),
    explain: (ask) => explain({ ...orderOf(ask), work: ask.work }),
    run: (ask, hooks) => hostJob(orderOf(ask), { ...hooks, stdio: OWN_STDIO }),
    start: async (ask) => {
      const order = orderOf(ask);
      const answer = (await handOver(order)) as {
        readonly started?: JobStarted;
        readonly failed?: ErrorObject;
      };
      if (answer.failed !== undefined) throw errorFromObject(answer.failed);
      return answer.started as JobStarted;
    },
  };
}

/** A key that comes by a descriptor comes to the new process by another one. */
function handOver(order: JobOrder): Promise<unknown> {
  const { key } = order.settings;
  const entry = detachedEntry();
  if (key?.kind !== 'descriptor') return startDetached(process.execPath, entry, order, null);
  const settings = { ...order.settings, key: { ...key, fd: GIVEN_FD } };
  return startDetached(process.execPath, entry, { ...order, settings }, key.fd);
}

function sightOf(view: JobView): JobSight {
  return { ...view, state: jobState(view.run), restorable: null };
}

function isLost({ state }: JobSight): boolean {
  return state === 'lost';
}

async function withRestorable(
  table: JobTable,
  vault: Vault,
  requester: Requester,
  sights: readonly JobSight[],
): Promise<JobSight[]> {
  const found = await restorableJobs(table, vault, requester, sights.filter(isLost));
  return sights.map((sight) => {
    const restorable = found.get(sight.job.id);
    return restorable === undefined ? sight : { ...sight, state: 'restorable', restorable };
  });
}

function withTrouble({ run, ...sight }: JobSight, { message }: HostError): JobSight {
  return { ...sight, run: { ...run, trouble: run.trouble ?? message } };
}

/** As source or as built, whichever this is; every file is one directory below the root of either. */
function detachedEntry(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../cli/detached-host.${extension}`, import.meta.url));
}

async function* readJobLog(
  settings: Settings,
  name: string,
  follow: boolean,
): AsyncGenerator<LogPiece> {
  const places = settingsPlaces(settings);
  preparePlaces(places);
  const table = new JobTable(places.jobsDatabase);
  try {
    const { job, run } = table.find(settings.owner, name);
    const segments = logSegments(places, job.id, table.runs(job.id), run.number);
    let last = !follow;
    yield* readLog(segments, async () => {
      if (last) return false;
      // What is written before the end is seen must still be read after it.
      last = jobState(table.find(settings.owner, job.id).run) !== 'running';
      if (!last) await sleep(FOLLOW_MS);
      return true;
    });
  } finally {
    table.close();
  }
}

/** Throws ERR_JOB_NOT_RUNNING. */
function controlSocketOf(view: JobView): string {
  const { socket } = view.run;
  if (jobState(view.run) === 'running' && socket !== null) return socket;
  throw notRunning(view);
}

/** Through its host; when that does not answer, host and cell are killed by their ids. */
async function killJob(view: JobView, signal: string): Promise<void> {
  const { host, cell, socket } = view.run;
  if (jobState(view.run) !== 'running') throw notRunning(view);
  try {
    if (socket !== null) return void (await askHost(socket, { ask: 'kill', signal }));
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'ERR_JOB_NOT_RUNNING') throw error;
  }
  if (cell !== null) killProcess(cell);
  killProcess(host);
}

function notRunning({ job, run }: JobView): HostError {
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
