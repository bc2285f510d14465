/**
 * Watches over one run of a guest: starts its cell, asks for checkpoints, seals what comes, ends it.
 *
 * States: starting → running → over. The cell may end at any time and in any state; requests that are
 * waiting then are refused.
 *
 * Invariants:
 * 1. A checkpoint is acknowledged, to whoever asked and to the cell, only after `seal` resolved.
 * 2. Images are sealed one after the other, in the order of their capture.
 * 3. The cell gets at most what it was asked for: an image nobody asked for ends it.
 * 4. What a cell says that its module was made into is taken once, before the guest runs: after that, a guest
 *    that broke out could leave something else for the next run of the same module, which may be granted more.
 * 5. `ended` settles once, after the process is gone and every image that arrived is sealed or refused.
 */
import type {
  Ending,
  GuestMessage,
  ImageMessage,
  ProviderKind,
  StartMessage,
} from '../cell/protocol.ts';
import type { ConfineMode, Confinement } from '../confine/confinement.ts';
import { ERROR_CODES, type ErrorCode } from '../fault/codes.ts';
import { type Facts, HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import type { RetainedPages } from '../image/retained-pages.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { CellGrants, CellProgram } from './cell-command.ts';
import type { CellEnd } from './cell-link.ts';
import type { BlankSource } from './cell-pool.ts';
import { type CellProcess, startCell } from './cell-process.ts';
import type { GuestStdio } from './guest-streams.ts';
import type { Instrumented } from './instrument-cache.ts';
import type { RunOutcome } from './job-records.ts';
import { KeptImage } from './kept-image.ts';
import { failedEnding, type RunEnding } from './run-ending.ts';

export type CheckpointCause = 'request' | 'timer' | 'guest' | 'trigger' | 'limit';

/** Of the name of a function in a trap's stack, in characters. */
const FUNCTION_NAME_MAX = 200;

/** How long a guest whose time is up may take to its next safepoint, and its image to be sealed. */
const LIMIT_GRACE_MS = 10_000;

export interface PausedImage {
  readonly head: Uint8Array;
  /** They may change once the seal is over. */
  readonly pages: RetainedPages;
  /** Bytes of pages that came from the cell: those of the others are as they were in the image before. */
  readonly sentBytes: number;
  readonly logBytes: number;
  readonly cause: CheckpointCause;
}

/** What is told about a checkpoint; plain data. */
export interface SealedImage {
  readonly id: string;
  readonly sequence: number;
  readonly stamp: string;
  readonly imageBytes: number;
  readonly storedBytes: number;
}

export interface CheckpointDone extends SealedImage {
  /** From the request until the guest stood still, and from then until it ran again or could. */
  readonly reachNs: number;
  readonly pauseNs: number;
}

export interface SuperviseOptions {
  readonly program: CellProgram;
  readonly start: StartMessage;
  readonly attachments: readonly Uint8Array[];
  /** What the cell may use of the file system beside its own code. */
  readonly grants: CellGrants;
  readonly confine: ConfineMode;
  readonly logFd: number | null;
  readonly stdio: GuestStdio | null;
  readonly identity: UserIds | null;
  /** See `CellOptions`. */
  readonly furtherFds: readonly (number | null)[];
  readonly blanks?: BlankSource | undefined;
  /** Counted from the start of the cell; null for none. */
  readonly timeoutMs: number | null;
  readonly checkpointEveryMs: number | null;
  /** Rejects with a HostError when there is no checkpoint. */
  readonly seal: (image: PausedImage) => Promise<SealedImage>;
  readonly onInstrumented: (made: Instrumented) => void;
  readonly onStarted: (providers: readonly ProviderKind[]) => void;
  /** A checkpoint that nobody waits for came to nothing. */
  readonly onTrouble: (error: HostError) => void;
}

export interface GuestRun {
  readonly cellPid: number;
  /** What the kernel holds the cell by. */
  readonly held: readonly Confinement[];
  readonly ended: Promise<RunOutcome>;
  /** Captures at the next safepoint and seals. Rejects with a HostError. */
  checkpoint(stop: boolean): Promise<CheckpointDone>;
  /** A limit that the host keeps is reached: ends the guest as its request says. */
  reachLimit(ending: LimitEnding): void;
  /** Ends the guest at once; `signal` is what is recorded. */
  kill(signal: string): void;
}

export type LimitEnding = Extract<RunEnding, { readonly kind: 'deadline' | 'limit' }>;

interface Waiting {
  readonly request: number;
  readonly cause: 'request' | 'timer' | 'limit';
  readonly resolve: (done: CheckpointDone) => void;
  readonly reject: (error: HostError) => void;
}

export async function superviseGuest(options: SuperviseOptions): Promise<GuestRun> {
  let waiting: Waiting[] = [];
  let requests = 0;
  let sealing = Promise.resolve();
  let sealsPending = 0;
  let guestWaits = false;
  let askedByGuest = 0;
  let triggersLeft = options.start.triggers.length;
  let started = false;
  let instrumented = false;
  let told: RunOutcome | null = null;
  let killedAs: RunEnding | null = null;
  let capturedAs: RunEnding | null = null;
  const kept = new KeptImage(options.start.limits.memoryPages);
  const keepsAtLimit = options.start.limits.onLimit === 'checkpoint';

  function receive(message: GuestMessage, attachments: readonly Uint8Array[]): void {
    switch (message.type) {
      case 'instrumented': {
        // Once the guest may have run, its cell is not believed what others would run of its module.
        if (options.start.cached || instrumented || started) {
          throw protocolFault('nothing was to be instrumented');
        }
        instrumented = true;
        const [bytes, plan] = attachments;
        if (bytes === undefined || plan === undefined)
          throw protocolFault('attachments are missing');
        options.onInstrumented({ bytes, plan });
        return;
      }
      case 'started':
        if (!started) options.onStarted(message.providers);
        started = true;
        return;
      case 'image':
        admit(message);
        sealsPending += 1;
        sealing = sealing.then(() => sealImage(message, attachments));
        return;
      case 'refused': {
        const atLimit = message.cause === 'limit';
        const why = visibleText(message.why);
        const error = new HostError(
          'ERR_NOT_CAPTURABLE',
          `The guest can't be captured now: ${why}.`,
          {
            ...(atLimit ? {} : { hint: 'the guest goes on; ask again later' }),
          },
        );
        settle(message.request, ({ reject }) => reject(error));
        if (atLimit) options.onTrouble(error);
        return;
      }
      case 'ended':
        told = {
          ending: message.ending.kind === 'checkpointed' ? captured() : safeEnding(message.ending),
          fuel: String(message.fuel),
          calls: String(message.calls),
          memoryDigest: message.memoryDigest,
        };
        cell.kill();
        return;
      case 'failed':
        told = untold(failedEnding(cellFailure(message)));
        cell.kill();
        return;
    }
  }

  /** Throws for an image that the cell had no reason to send. */
  function admit(message: ImageMessage): void {
    const asked = waiting.some(({ request }) => request <= message.request);
    if (message.cause === 'request' && !asked) throw protocolFault('nobody asked for this image');
    if (message.cause === 'limit' && (guestWaits || !message.waits || !keepsAtLimit)) {
      throw protocolFault('no limit was to be answered by an image');
    }
    if (message.cause === 'trigger' && triggersLeft-- <= 0) throw protocolFault('no such trigger');
    if (message.cause === 'guest') {
      if (guestWaits || !message.waits) {
        throw protocolFault('the guest did not wait for its checkpoint');
      }
      askedByGuest += 1;
      if (askedByGuest > options.start.limits.checkpoints) {
        throw protocolFault('the guest had all the checkpoints that it may ask for');
      }
    }
    guestWaits ||= message.waits;
  }

  async function sealImage(
    message: ImageMessage,
    attachments: readonly Uint8Array[],
  ): Promise<void> {
    const { head, logBytes, image, timing } = message;
    const answered = waiting.filter(({ request }) => request <= message.request);
    const cause = message.cause === 'request' ? commonCause(answered) : message.cause;
    try {
      const pages = kept.next(message, attachments);
      const sentBytes = attachments[0]!.length;
      const sealed = await options.seal({ head, pages, sentBytes, logBytes, cause });
      const done = { ...sealed, reachNs: timing.reachNs, pauseNs: timing.captureNs };
      settle(message.request, ({ resolve }) => resolve(done));
      cell.send({ type: 'sealed', image, failure: null });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      settle(message.request, ({ reject }) => reject(error));
      if (answered.length === 0) options.onTrouble(error);
      if (error.code === 'ERR_PROTOCOL') fail(error);
      else cell.send({ type: 'sealed', image, failure: error.message });
    } finally {
      if (message.stop) kept.clear();
      if (message.waits) guestWaits = false;
      sealsPending -= 1;
    }
  }

  /** Answers everybody who asked with this request or an earlier one. */
  function settle(request: number, answer: (one: Waiting) => void): void {
    const answered = waiting.filter((one) => one.request <= request);
    waiting = waiting.filter((one) => one.request > request);
    for (const one of answered) answer(one);
  }

  function request(stop: boolean, cause: Waiting['cause']): Promise<CheckpointDone> {
    return new Promise((resolve, reject) => {
      requests += 1;
      waiting.push({ request: requests, cause, resolve, reject });
      cell.send({ type: 'checkpoint', request: requests, stop });
    });
  }

  function tick(): void {
    // One at a time: a slow disk makes checkpoints rarer, not the queue longer.
    if (!started || told !== null || sealsPending > 0 || waiting.length > 0) return;
    request(false, 'timer').catch((error: unknown) => {
      if (!(error instanceof HostError)) throw error;
      if (error.code !== 'ERR_JOB_NOT_RUNNING') options.onTrouble(error);
    });
  }

  /** The guest ends, at once or where it can be captured. */
  function reachLimit(ending: LimitEnding): void {
    if (!keepsAtLimit || !started || told !== null || capturedAs !== null) {
      kill(ending);
      return;
    }
    capturedAs = ending;
    const grace = setTimeout(() => kill(ending), LIMIT_GRACE_MS);
    request(true, 'limit')
      .catch((error: unknown) => {
        if (!(error instanceof HostError)) throw error;
        if (error.code !== 'ERR_JOB_NOT_RUNNING') options.onTrouble(error);
        kill(ending);
      })
      .finally(() => clearTimeout(grace));
  }

  /** How a guest ended that was told to stop after a checkpoint. */
  function captured(): RunEnding {
    return capturedAs ?? { kind: 'checkpointed' };
  }

  /** What the cell says is not to be trusted any more. */
  function fail(error: HostError): void {
    told ??= untold(failedEnding(error));
    cell.kill();
  }

  function kill(as: RunEnding): void {
    killedAs ??= as;
    cell.kill();
  }

  const { program } = options;
  const cell: CellProcess = await startCell({
    program:
      options.start.restore === null ? program : { ...program, entry: program.restoredEntry },
    grants: options.grants,
    confine: options.confine,
    memoryPages: options.start.limits.memoryPages,
    logFd: options.logFd,
    stdio: options.stdio,
    identity: options.identity,
    furtherFds: options.furtherFds,
    blanks: options.blanks,
    onMessage: receive,
  });
  cell.send(asNamedIn(cell, options.start), options.attachments);
  const { timeoutMs, checkpointEveryMs } = options;
  const deadline =
    timeoutMs === null ? undefined : setTimeout(() => reachLimit({ kind: 'deadline' }), timeoutMs);
  const timer = checkpointEveryMs === null ? undefined : setInterval(tick, checkpointEveryMs);

  async function finish(): Promise<RunOutcome> {
    const end = await cell.ended;
    clearTimeout(deadline);
    clearInterval(timer);
    await sealing;
    settle(requests, ({ reject }) =>
      reject(new HostError('ERR_JOB_NOT_RUNNING', 'The job ended before it could be captured.')),
    );
    return told ?? untold(killedAs ?? lostEnding(end));
  }

  return {
    cellPid: cell.pid,
    held: cell.held,
    ended: finish(),
    checkpoint: (stop) => {
      if (started && told === null) return request(stop, 'request');
      const why = started ? 'The job is ending.' : 'The guest has not started yet.';
      return Promise.reject(new HostError('ERR_JOB_NOT_RUNNING', why, { hint: 'ask again later' }));
    },
    reachLimit,
    kill: (signal) => kill({ kind: 'signal', signal, by: 'host' }),
  };
}

function asNamedIn({ nameOf }: CellProcess, start: StartMessage): StartMessage {
  const { preopens, keeping } = start;
  return {
    ...start,
    preopens: preopens.map((one) => ({ ...one, hostPath: nameOf(one.hostPath) })),
    keeping: keeping === null ? null : { ...keeping, directory: nameOf(keeping.directory) },
  };
}

/** Of those that one image answers: who asked by name comes first. */
function commonCause(answered: readonly Waiting[]): CheckpointCause {
  const causes = answered.map(({ cause }) => cause);
  if (causes.length === 0 || causes.includes('request')) return 'request';
  return causes.includes('limit') ? 'limit' : 'timer';
}

function untold(ending: RunEnding): RunOutcome {
  return { ending, fuel: null, calls: null, memoryDigest: null };
}

function protocolFault(why: string): HostError {
  return new HostError('ERR_PROTOCOL', `The cell broke the protocol: ${why}.`);
}

function lostEnding({ status, signal, fault }: CellEnd): RunEnding {
  if (fault !== null) return failedEnding(fault);
  if (signal !== null) return { kind: 'signal', signal, by: 'outside' };
  return failedEnding(
    new HostError('ERR_CELL_LOST', 'The process of the guest ended without saying why.', {
      facts: { status },
    }),
  );
}

function safeEnding(ending: Ending): Ending {
  if (ending.kind !== 'trap') return ending;
  const message = visibleText(ending.message);
  const { stack } = ending;
  if (stack === undefined) return { kind: 'trap', message };
  const frames = stack.frames.map(({ func, name, offset }) => ({
    func,
    name: name === null ? null : visibleText(name, FUNCTION_NAME_MAX),
    offset,
  }));
  return { kind: 'trap', message, stack: { ...stack, frames } };
}

/** The cell's words, with nothing in them that a terminal or a reader could be fooled by. */
function cellFailure(message: Extract<GuestMessage, { type: 'failed' }>): HostError {
  const code = Object.hasOwn(ERROR_CODES, message.code)
    ? (message.code as ErrorCode)
    : 'ERR_PROTOCOL';
  const facts: Facts = Object.fromEntries(
    Object.entries(message.facts).map(([key, value]) => [
      visibleText(key, 64),
      typeof value === 'number' || typeof value === 'boolean' || value === null
        ? value
        : visibleText(
            typeof value === 'bigint' ? String(value) : typeof value === 'string' ? value : '…',
          ),
    ]),
  );
  return new HostError(code, sentence(visibleText(message.message)), {
    facts,
    ...(message.hint === null ? {} : { hint: visibleText(message.hint) }),
  });
}

/** Words from deep inside the cell, such as a reader's, as one sentence among the host's. */
function sentence(text: string): string {
  const begun = /^[a-z]+ /.test(text) ? `${text[0]!.toUpperCase()}${text.slice(1)}` : text;
  return /[.!?…]$/.test(begun) ? begun : `${begun}.`;
}
