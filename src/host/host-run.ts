/**
 * One run of a job from its row in the process table to its recorded outcome.
 *
 * Invariants:
 * 1. Nothing is started before the run's row says who hosts it.
 * 2. However a run ends, its outcome is recorded; only the death of this process prevents that, and
 *    then the row says so by what it lacks. In the background it is tried until there is room for it; in
 *    the foreground, where the user sees the outcome, once.
 * 3. Rows that only inform never fail what they inform about: a full disk must not end a guest.
 */
import { closeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ProviderKind } from '../cell/protocol.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { servedUser, withUserRights } from '../native/user-rights.ts';
import { preparePool } from '../pool/pool-grant.ts';
import { programFor } from './cell-command.ts';
import { cellWork } from './cell-work.ts';
import {
  type ControlAnswer,
  type ControlRequest,
  type ControlServer,
  controlPath,
  serveControl,
} from './control-socket.ts';
import { checkDirectories, grantedDirectories, socketsOf } from './granted-places.ts';
import { openGuestStreams } from './guest-streams.ts';
import type { HostedEnd, HostedRun, HostRunOptions, HostTools } from './hosted-run.ts';
import { keepInstrumented } from './instrument-cache.ts';
import { checkLogBytes, dropViews, keepingOf, openLog } from './job-files.ts';
import type { JobRecord, RunOutcome } from './job-records.ts';
import type { JobTable } from './job-table.ts';
import { type BoundSocket, bindSockets, closeSockets } from './listening-socket.ts';
import { type LogWatch, logBytesOf, logRoom, watchLog } from './log-usage.ts';
import { identifyProcess, isAlive, killProcess } from './process-identity.ts';
import { providerDirectories } from './provider-file.ts';
import { failedEnding } from './run-ending.ts';
import { type GuestRun, superviseGuest } from './supervise.ts';

/** How long a host waits before it tries again to record an outcome. */
const RECORD_AGAIN_MS = 1000;
/** How often it is looked whether a cell is gone that was killed. */
const LEFT_CELL_AGAIN_MS = 5;

/**
 * Starts a run. Throws ERR_JOB_EXISTS, ERR_JOB_RUNNING, ERR_NO_SUCH_DIRECTORY, ERR_DISK_FULL, ERR_IO,
 * ERR_CELL_LOST, ERR_CANNOT_CONFINE, ERR_POOL_UNUSABLE, ERR_CANNOT_LISTEN. What goes wrong inside the cell is an ending, not an error.
 */
export async function hostRun(tools: HostTools, options: HostRunOptions): Promise<HostedRun> {
  const { places, table, now } = tools;
  const { job, request, restore } = options;
  const directories = grantedDirectories(request, restore);
  withUserRights(() => checkDirectories(directories));
  for (const grant of request.pools ?? []) withUserRights(() => preparePool(grant));
  const logCap = request.keepLog ? options.caps.logBytes : null;
  const logRoomBytes = logRoom(places, table, job.owner, logCap);
  const sockets = await bindSockets(socketsOf(request));
  const streams = openGuestStreams(options.stdio);
  /** To be called when the cell has its own descriptors, or there is none. */
  const letGo = (): void => {
    streams.close();
    closeSockets(sockets);
  };
  let run: number;
  try {
    run = enter(tools, options, sockets);
  } catch (error) {
    letGo();
    throw error;
  }
  let guest: GuestRun | null = null;
  let recorded: Promise<HostedEnd> | null = null;
  let control: ControlServer | null = null;
  let logFd: number | null = null;
  let logWatch: LogWatch | null = null;
  let checkpoints = 0;
  let instrumented: string | null = null;
  let kinds: readonly ProviderKind[] = [];
  let suspending = false;

  async function conclude(outcome: RunOutcome, patient: boolean): Promise<void> {
    logWatch?.stop();
    if (logFd !== null) closeSync(logFd);
    dropViews(places, job);
    const endedAt = now().toISOString();
    while (!inform(() => table.endRun(job.id, run, outcome, endedAt))) {
      if (!patient) break;
      await sleep(RECORD_AGAIN_MS);
    }
    control?.close();
  }

  /** Writes a row that may as well be missing; says whether it was written. */
  function inform(write: () => void): boolean {
    try {
      write();
      return true;
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      options.onTrouble(error);
      return false;
    }
  }

  async function answer(asked: ControlRequest): Promise<ControlAnswer> {
    if (guest === null) throw new HostError('ERR_JOB_NOT_RUNNING', 'The job has not started yet.');
    if (asked.ask === 'checkpoint') return { ...(await guest.checkpoint(asked.stop)) };
    if (asked.ask === 'suspend') {
      suspending = true;
      await guest.checkpoint(true);
      await recorded;
      return {};
    }
    guest.kill(asked.signal);
    await recorded;
    return {};
  }

  try {
    if (options.restore !== null) {
      await options.restore.claim(run);
      await endLeftCells(table, job);
    }
    logFd = request.keepLog ? openLog(places, job.id, run) : null;
    control = await serveControl(controlPath(places, job.id), answer);
    const keeping = request.wasi === 'stasis' ? keepingOf(places, job, request) : null;
    const work = cellWork(tools, options, {
      preopens: directories,
      keeping,
      logFd,
      logRoomBytes,
      streams: streams.streams,
      sockets,
    });
    instrumented = work.instrumented;
    guest = await superviseGuest({
      start: work.start,
      attachments: work.attachments,
      program: programFor(tools.program, request.wasi),
      confine: request.confine ?? 'auto',
      grants: {
        preopens: directories,
        keepingDirectory: keeping?.directory ?? null,
        pools: request.pools ?? [],
        databases: request.kv ?? [],
        paths: [...providerDirectories(options.providers), ...(request.providerPaths ?? [])],
      },
      logFd,
      stdio: options.stdio,
      identity: servedUser(),
      blanks: tools.blanks,
      furtherFds: [...streams.hostFds, ...sockets.map(({ hostFd }) => hostFd)],
      timeoutMs: request.timeoutMs,
      checkpointEveryMs: request.checkpointEveryMs,
      seal: async (image) => {
        checkLogBytes(logFd, image.logBytes);
        assert(instrumented !== null, 'a guest that runs was instrumented');
        const place = { job, run, logFd, instrumented, providers: kinds };
        const sealed = await options.seal(place, image);
        checkpoints += 1;
        const { sequence, stamp } = sealed;
        inform(() => table.setCheckpoint(job.id, run, { sequence, stamp }));
        return sealed;
      },
      onInstrumented: (made) => {
        const key = { module: options.module.digest, instrumenter: tools.instrumenter };
        instrumented = keepInstrumented(places, key, made);
      },
      onStarted: (providers) => {
        kinds = providers;
        options.onStarted();
      },
      onTrouble: (error) => {
        inform(() => table.setTrouble(job.id, run, error.message));
        options.onTrouble(error);
      },
    });
  } catch (error) {
    const failure = error instanceof HostError ? error : internalFailure(error);
    const ending = failedEnding(failure);
    await conclude({ ending, fuel: null, calls: null, memoryDigest: null }, false);
    throw error;
  } finally {
    letGo();
  }
  const running = guest;
  if (logFd !== null && logCap !== null) {
    const used = (): number => logBytesOf(places, table, job.owner);
    logWatch = watchLog(logFd, used, logCap, () =>
      running.reachLimit({ kind: 'limit', limit: 'output' }),
    );
  }
  const { path } = control;
  const cell = identifyProcess(guest.cellPid);
  inform(() => table.setProcesses(job.id, run, cell, path));
  recorded = guest.ended.then(async (outcome) => {
    const stopped = outcome.ending.kind === 'checkpointed' && suspending;
    await conclude(stopped ? { ...outcome, suspended: true } : outcome, options.stdio === null);
    return { outcome, checkpoints };
  });
  const listening = sockets.map(({ address }) => address);
  return { run, held: guest.held, listening, kill: guest.kill, ended: recorded };
}

function internalFailure(cause: unknown): HostError {
  return new HostError('ERR_CELL_LOST', 'The host failed while it started the guest.', { cause });
}

/** Writes the run's row; the job's too when it is new. */
function enter(
  { table, now }: HostTools,
  { job, request: asked, restore, caps }: HostRunOptions,
  sockets: readonly BoundSocket[],
): number {
  const listen = sockets.map(({ request, port }) => ({ ...request, lastPort: port }));
  const request = { ...asked, listen };
  const host = identifyProcess(process.pid);
  const startedAt = now().toISOString();
  if (restore !== null && !restore.clone) {
    return table.beginRun(job.id, { parent: restore.parent, request, host, startedAt }, caps);
  }
  table.createJob(job, { parent: restore?.parent ?? null, request, host, startedAt }, caps);
  return 1;
}

/**
 * A cell whose host was killed ends by itself, soon. Until then it might still write to files that the next
 * run is about to bring back.
 */
async function endLeftCells(table: JobTable, job: JobRecord): Promise<void> {
  for (const { cell, outcome } of table.runs(job.id)) {
    if (cell === null || outcome !== null) continue;
    killProcess(cell);
    while (isAlive(cell)) await sleep(LEFT_CELL_AGAIN_MS);
  }
}
