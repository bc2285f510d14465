/**
 * Runs a guest in this process, on this thread, with the code of a cell but without its process: for what
 * must be looked at while the guest stands still.
 */

import { runGuest } from '../../src/cell/guest-run.ts';
import type { GuestWorld } from '../../src/cell/guest-world.ts';
import type { CellMessage, EndedMessage, StartMessage } from '../../src/cell/protocol.ts';
import { fillFresh } from '../../src/cell/randomness.ts';
import { createSharedControl, viewSharedControl, WORD } from '../../src/cell/shared-control.ts';
import { monotonicNs, threadCpuNs, wallClockNs } from '../../src/cell/wall-clock.ts';
import { readProviderFiles } from '../../src/host/provider-file.ts';
import type { RunRequest } from '../../src/host/run-request.ts';
import { BOUNDS_DEFAULT } from '../../src/resource/bounds.ts';

const STDIN_ENDED = 2;

/** What a cell is told for a run from the beginning; no log, no output. */
export function startOf(request: Omit<RunRequest, 'modulePath'>): StartMessage {
  return {
    type: 'start',
    cached: false,
    args: request.args,
    env: request.env,
    preopens: request.preopens,
    pools: request.pools ?? [],
    keeping: null,
    kv: request.kv ?? [],
    providers: readProviderFiles(request.providers ?? []),
    limits: {
      fuel: null,
      memoryPages: request.memoryPages,
      tableEntries: request.tableEntries,
      ...BOUNDS_DEFAULT,
      outputBytes: null,
      onLimit: 'end',
    },
    invoke: request.invoke,
    trapUnknownImports: request.trapUnknownImports,
    wasi: request.wasi,
    osr: request.osr ?? true,
    restore: null,
    clock: 'fine',
    reason: 'restarted',
    instrumented: null,
    secrets: [],
    triggers: [],
    digestMemory: true,
    logFd: null,
    listeners: [],
    streams: { stdin: { fd: 0, isOwn: false }, stdout: null, stderr: null },
  };
}

/** Runs a guest to its end on this thread; its input is at its end. */
export async function runHere(
  start: StartMessage,
  attachments: readonly Uint8Array[],
  onMessage: (message: CellMessage) => void,
): Promise<EndedMessage> {
  let last: CellMessage | null = null;
  const world = worldThat((message) => {
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

function worldThat(report: (message: CellMessage) => void): GuestWorld {
  const shared = viewSharedControl(createSharedControl());
  Atomics.store(shared.words, WORD.stdinState, STDIN_ENDED);
  return {
    shared,
    clock: { realtimeNs: wallClockNs, monotonicNs, cpuNs: threadCpuNs, resolutionNs: 1n },
    random: fillFresh,
    nowMs: () => performance.now(),
    report,
    native: null,
    wishStdin: () => {},
    sealed: async (image) => ({ type: 'sealed', image, failure: null }),
    spareBuffer: () => undefined,
  };
}
