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
import {
  chmodSync,
  closeSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type {
  FileKeeping,
  ForeignProvider,
  GuestStreams,
  Preopen,
  ProviderKind,
  StartMessage,
  Trigger,
} from '../cell/protocol.ts';
import type { Confinement } from '../confine/confinement.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { FILE_POLICY_DEFAULT } from '../handle/file-policy.ts';
import { servedUser, withRightsOf, withUserRights } from '../native/user-rights.ts';
import { preparePool } from '../pool/pool-grant.ts';
import type { Secret } from '../resource/secrets.ts';
import { type CellProgram, programFor } from './cell-command.ts';
import { LOG_FD } from './cell-process.ts';
import {
  type ControlAnswer,
  type ControlRequest,
  type ControlServer,
  controlPath,
  serveControl,
} from './control-socket.ts';
import { FIRST_LISTENER_FD, type GuestStdio, openGuestStreams } from './guest-streams.ts';
import { findInstrumented, keepInstrumented } from './instrument-cache.ts';
import type { JobRecord, RunOutcome, RunParent } from './job-records.ts';
import type { JobTable } from './job-table.ts';
import {
  type BoundSocket,
  bindSockets,
  closeSockets,
  type ListenRequest,
} from './listening-socket.ts';
import { logPath } from './log-reader.ts';
import type { ModuleFile } from './module-file.ts';
import { keepingPath, type Places, servedKeepingPaths } from './places.ts';
import type { Caps } from './policy.ts';
import { identifyProcess, isAlive, killProcess } from './process-identity.ts';
import { providerDirectories } from './provider-file.ts';
import { failedEnding } from './run-ending.ts';
import { CARRY_BYTES_DEFAULT, type RunRequest } from './run-request.ts';
import { type GuestRun, type PausedImage, type SealedImage, superviseGuest } from './supervise.ts';

/** How long a host waits before it tries again to record an outcome. */
const RECORD_AGAIN_MS = 1000;
/** How often it is looked whether a cell is gone that was killed. */
const LEFT_CELL_AGAIN_MS = 5;

/** What a host works with, whichever job it hosts. */
export interface HostTools {
  readonly places: Places;
  readonly table: JobTable;
  readonly now: () => Date;
  readonly program: CellProgram;
  readonly instrumenter: string;
}

export interface RestorePoint {
  readonly parent: RunParent;
  /** A twin goes on from the checkpoint, beside whatever else did, as a job of its own. */
  readonly clone: boolean;
  /** Takes the checkpoint for this run, before anything of the guest is started. Rejects with a HostError. */
  readonly claim: (run: number) => Promise<void>;
  /** Hex SHA-256 of the instrumented module that the image was made of. */
  readonly instrumented: string | null;
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

export interface HostRunOptions {
  readonly job: JobRecord;
  readonly request: RunRequest;
  /** The owner's, of today. */
  readonly caps: Caps;
  readonly module: ModuleFile;
  /** Of the request, with the digests of today. */
  readonly providers: readonly ForeignProvider[];
  /** null: from the beginning, as the first run of a new job. */
  readonly restore: RestorePoint | null;
  /** Values of the request's secrets; they are written nowhere. */
  readonly secrets: readonly Secret[];
  readonly triggers: readonly Trigger[];
  readonly digestMemory: boolean;
  /** What the guest has as its streams; null: it runs in the background. */
  readonly stdio: GuestStdio | null;
  readonly seal: (place: SealPlace, image: PausedImage) => Promise<SealedImage>;
  readonly onStarted: () => void;
  readonly onTrouble: (error: HostError) => void;
}

/** Where an image comes from. */
export interface SealPlace {
  readonly job: JobRecord;
  readonly run: number;
  /** Descriptor of the run's log, to be made durable before the image; null without a log. */
  readonly logFd: number | null;
  /** Hex SHA-256 of the instrumented module. */
  readonly instrumented: string;
  /** What the guest has, in order: the host's own providers first. */
  readonly providers: readonly ProviderKind[];
}

export interface HostedRun {
  readonly run: number;
  /** What the kernel holds the cell by. */
  readonly held: readonly Confinement[];
  /** Where the guest listens: `HOST:PORT`. */
  readonly listening: readonly string[];
  readonly ended: Promise<HostedEnd>;
  kill(signal: string): void;
}

export interface HostedEnd {
  readonly outcome: RunOutcome;
  /** Checkpoints that this run made. */
  readonly checkpoints: number;
}

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
  let checkpoints = 0;
  let instrumented: string | null = null;
  let kinds: readonly ProviderKind[] = [];
  let suspending = false;

  async function conclude(outcome: RunOutcome, patient: boolean): Promise<void> {
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

/** What a cell has from the start. */
interface CellHoldings {
  readonly preopens: readonly Preopen[];
  readonly keeping: FileKeeping | null;
  readonly logFd: number | null;
  readonly streams: GuestStreams;
  readonly sockets: readonly BoundSocket[];
}

function socketsOf({ listen = [], wasi }: RunRequest): readonly ListenRequest[] {
  if (listen.length === 0 || wasi === 'stasis') return listen;
  throw new HostError('ERR_CANNOT_LISTEN', `The WASI layer ${wasi} has no sockets.`, {
    hint: 'leave --listen or --wasi out',
  });
}

function cellWork(
  { places, instrumenter, now }: HostTools,
  options: HostRunOptions,
  { preopens, keeping, logFd, streams, sockets }: CellHoldings,
): { start: StartMessage; attachments: Uint8Array[]; instrumented: string | null } {
  const { request, module, providers, restore, triggers, digestMemory } = options;
  const wanted = restore?.instrumented ?? null;
  const found = findInstrumented(places, { module: module.digest, instrumenter }, now);
  // One that differs is made again, and the cell says what comes out.
  const cached = wanted === null || found?.digest === wanted ? found : null;
  const attachments = cached === null ? [module.bytes] : [module.bytes, cached.bytes, cached.plan];
  if (restore !== null) attachments.push(restore.pages);
  return {
    attachments,
    instrumented: cached?.digest ?? null,
    start: {
      type: 'start',
      cached: cached !== null,
      args: request.args,
      env: request.env,
      secrets: options.secrets,
      preopens,
      keeping,
      pools: request.pools ?? [],
      kv: request.kv ?? [],
      providers,
      limits: {
        fuel: request.fuel === null ? null : BigInt(request.fuel),
        memoryPages: request.memoryPages,
        tableEntries: request.tableEntries,
        outputBytes: request.outputBytes ?? null,
        onLimit: request.onLimit ?? 'end',
      },
      invoke: request.invoke,
      trapUnknownImports: request.trapUnknownImports,
      wasi: request.wasi,
      restore: restore?.head ?? null,
      reason: restore?.clone ? 'cloned' : 'restarted',
      instrumented: wanted,
      triggers,
      digestMemory,
      logFd: logFd === null ? null : LOG_FD,
      streams,
      listeners: sockets.map(({ request: { name } }, index) => ({
        name,
        hostFd: FIRST_LISTENER_FD + index,
      })),
    },
  };
}

/** The job's own directory for what it keeps of files, as one that a cell can work in. */
function keepingOf(
  places: Places,
  job: JobRecord,
  { preopens, carryBytesMax = CARRY_BYTES_DEFAULT }: RunRequest,
): FileKeeping | null {
  if (preopens.length === 0) return null;
  const user = servedUser();
  const directory = keepingPath(places, job.id, user);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Empty, or the user's already; its parent is root's, so that nothing else can have taken its name.
    if (user !== null) lchownSync(directory, user.uid, user.gid);
    // The cell's permissions are judged by the true name.
    return { directory: realpathSync(directory), carryBytesMax };
  } catch (error) {
    throw ioFailure('make the directory for files that the job keeps', error);
  }
}

/** What private views of a run leave behind; the next run begins with what its image says. */
function dropViews(places: Places, { id }: JobRecord): void {
  const directory = keepingPath(places, id, servedUser());
  try {
    withUserRights(() => {
      for (const name of readdirSync(directory)) {
        if (name.startsWith('private-')) rmSync(join(directory, name), { recursive: true });
      }
    });
  } catch {
    // None was made, or the next run, or the removal of the job, drops it.
  }
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

function openLog(places: Places, job: string, run: number): number {
  const path = logPath(places, job, run);
  try {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    return openSync(path, 'ax', 0o600);
  } catch (error) {
    throw ioFailure('make the log of the run', error);
  }
}

/** Removes everything that lies in the file system for a job. */
export function removeJobFiles(places: Places, job: string): void {
  for (const path of servedKeepingPaths(places, job)) removeUsersFiles(path);
  rmSync(join(places.jobs, job), { recursive: true, force: true });
  // A host that was killed leaves its socket.
  rmSync(controlPath(places, job), { force: true });
}

/**
 * A directory that belongs to a user, in one of ours: emptied with that user's rights, as root could be
 * led astray by a link that is put into it meanwhile. Only its own name is ours to remove.
 */
function removeUsersFiles(path: string): void {
  try {
    const { uid, gid } = lstatSync(path);
    withRightsOf({ uid, gid }, () => {
      chmodSync(path, 0o700);
      for (const name of readdirSync(path)) {
        rmSync(join(path, name), { recursive: true, force: true });
      }
    });
    rmdirSync(path);
  } catch (error) {
    throw ioFailure('remove what the job kept of files', error);
  }
}

/** The cell says how much of the log an image stands for; it can't be more than there is. */
function checkLogBytes(logFd: number | null, logBytes: number): void {
  const size = logFd === null ? 0 : fstatSync(logFd).size;
  if (logBytes <= size) return;
  throw new HostError('ERR_PROTOCOL', 'The cell told of more output than is in its log.', {
    facts: { told: logBytes, there: size },
  });
}

/**
 * The directories that the cell may touch. The layer that has its files in memory gets them only to
 * copy, when a guest begins; later they are in its image.
 */
function grantedDirectories(
  { preopens, wasi }: RunRequest,
  restore: RestorePoint | null,
): readonly Preopen[] {
  if (wasi === 'stasis') return preopens;
  if (restore !== null) return [];
  const chosen = preopens.find(
    ({ policy = FILE_POLICY_DEFAULT }) => policy !== FILE_POLICY_DEFAULT,
  );
  if (chosen !== undefined) {
    throw new HostError(
      'ERR_USAGE',
      'A guest on @wasmer/wasi has its files in its checkpoints: there is no policy to choose.',
      {
        facts: { directory: chosen.hostPath, policy: chosen.policy! },
        hint: 'grant it as HOST::GUEST alone',
      },
    );
  }
  const writable = preopens.find(({ readOnly }) => !readOnly);
  if (writable === undefined) return preopens;
  throw new HostError(
    'ERR_USAGE',
    'A guest on @wasmer/wasi has its files in memory: nothing that it writes would get to a directory.',
    {
      facts: { directory: writable.hostPath },
      hint: 'grant it with --dir-ro: it is copied when the guest begins, and the guest has the copy',
    },
  );
}

function checkDirectories(preopens: readonly Preopen[]): void {
  for (const { hostPath } of preopens) {
    let isDirectory = false;
    try {
      isDirectory = statSync(hostPath).isDirectory();
    } catch (error) {
      const code = errorCode(error);
      if (code !== 'ENOENT' && code !== 'ENOTDIR') throw ioFailure(`look at ${hostPath}`, error);
    }
    if (isDirectory) continue;
    throw new HostError('ERR_NO_SUCH_DIRECTORY', `There is no directory ${hostPath} to grant.`, {
      facts: { directory: hostPath },
      hint: 'make the directory, or name another one with --dir',
    });
  }
}
