/**
 * Runs guests and restores checkpoints in this process, on this thread, with the code of a cell but without its
 * process: a hundred restores then cost one start of a program.
 */
import { closeSync, openSync, readFileSync } from 'node:fs';
import { type GuestWorld, runGuest } from '../../src/cell/guest-run.ts';
import { LOG_HEADER_BYTES, readLogHeader } from '../../src/cell/log-record.ts';
import type { CellMessage, EndedMessage, Ending, StartMessage } from '../../src/cell/protocol.ts';
import { fillFresh } from '../../src/cell/randomness.ts';
import {
  createSharedControl,
  type SharedControl,
  viewSharedControl,
  WORD,
} from '../../src/cell/shared-control.ts';
import { monotonicNs, wallClockNs } from '../../src/cell/wall-clock.ts';
import type { Instrumented } from '../../src/host/instrument-cache.ts';
import type { RunRequest } from '../../src/host/run-request.ts';

export interface RestoredRun {
  readonly ending: Ending;
  readonly fuel: string;
  readonly calls: string;
  readonly memoryDigest: string | null;
  /** What it wrote after the checkpoint, in base64. */
  readonly stdout: string;
  readonly stderr: string;
}

export interface RestoreOrder {
  readonly request: RunRequest;
  readonly module: Uint8Array;
  readonly instrumented: Instrumented;
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
  /** A file for the log; it is written anew. */
  readonly logFile: string;
  /** Handed out one at a read; then comes the end. */
  readonly lines: readonly string[];
}

const STDIN_ENDED = 2;

export async function restoredRun(order: RestoreOrder): Promise<RestoredRun> {
  const { request, module, instrumented, head, pages, logFile, lines } = order;
  const logFd = openSync(logFile, 'w+');
  try {
    const ended = await runHere(
      { ...startOf(request), cached: true, restore: head, logFd },
      [module, instrumented.bytes, instrumented.plan, pages],
      { lines, onMessage: () => {} },
    );
    const { ending, fuel, calls, memoryDigest } = ended;
    const { stdout, stderr } = readStreams(readFileSync(logFile));
    return {
      ending,
      fuel: String(fuel),
      calls: String(calls),
      memoryDigest,
      stdout: stdout.toString('base64'),
      stderr: stderr.toString('base64'),
    };
  } finally {
    closeSync(logFd);
  }
}

/** What a cell is told for a run from the beginning; no log, no output. */
export function startOf(request: Omit<RunRequest, 'modulePath'>): StartMessage {
  return {
    type: 'start',
    cached: false,
    args: request.args,
    env: request.env,
    preopens: request.preopens,
    limits: {
      fuel: null,
      memoryPages: request.memoryPages,
      tableEntries: request.tableEntries,
    },
    invoke: request.invoke,
    trapUnknownImports: request.trapUnknownImports,
    restore: null,
    triggers: [],
    digestMemory: true,
    logFd: null,
    inheritOutput: false,
  };
}

/** Runs a guest to its end on this thread. */
export async function runHere(
  start: StartMessage,
  attachments: readonly Uint8Array[],
  {
    lines,
    onMessage,
  }: {
    readonly lines: readonly string[];
    readonly onMessage: (message: CellMessage) => void;
  },
): Promise<EndedMessage> {
  let last: CellMessage | null = null;
  const world = worldOf(lines, (message) => {
    last = message;
    onMessage(message);
  });
  await runGuest(
    world,
    start,
    attachments.map((part) => Uint8Array.from(part)),
  );
  const ended = last as CellMessage | null;
  if (ended?.type !== 'ended') throw new Error(`the last message was ${ended?.type ?? 'none'}`);
  return ended;
}

function worldOf(lines: readonly string[], report: (message: CellMessage) => void): GuestWorld {
  const shared = viewSharedControl(createSharedControl());
  let next = 0;
  return {
    shared,
    clock: { realtimeNs: wallClockNs, monotonicNs, cpuNs: monotonicNs, resolutionNs: 1n },
    random: fillFresh,
    nowMs: () => performance.now(),
    report,
    wishStdin: () => giveLine(shared, lines[next++]),
    sealed: async (image) => ({ type: 'sealed', image, failure: null }),
    spareBuffer: () => undefined,
  };
}

/** What the main thread of a cell does when bytes came, or the end. */
function giveLine({ words, stdin }: SharedControl, line: string | undefined): void {
  if (line === undefined) {
    Atomics.store(words, WORD.stdinState, STDIN_ENDED);
  } else {
    const written = Atomics.load(words, WORD.stdinWritten);
    stdin.set(Buffer.from(line), written);
    Atomics.store(words, WORD.stdinWritten, written + line.length);
  }
  Atomics.store(words, WORD.stdinWanted, 0);
  Atomics.add(words, WORD.wake, 1);
}

/** The two streams of a log, each as it was written. */
export function readStreams(log: Buffer): { readonly stdout: Buffer; readonly stderr: Buffer } {
  const parts: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  const view = new DataView(log.buffer, log.byteOffset, log.length);
  for (let at = 0; at < log.length; ) {
    const found = readLogHeader(view, at);
    if (found === null) throw new Error(`no record at byte ${at} of the log`);
    at += LOG_HEADER_BYTES + found.textBytes;
    parts[found.stream].push(log.subarray(at - found.textBytes, at));
  }
  return { stdout: Buffer.concat(parts[1]), stderr: Buffer.concat(parts[2]) };
}
