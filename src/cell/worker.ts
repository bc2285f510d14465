/**
 * The guest thread of a cell: one guest, from its start to its end.
 *
 * Orders from the main thread are taken when the guest is not running; while it runs, the shared words
 * are how it is reached.
 */

import { parentPort, receiveMessageOnPort } from 'node:worker_threads';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { nativeDescriptors } from '../handle/native-descriptors.ts';
import { useTracking } from '../native/write-tracking.ts';
import { setEngineFlags } from './engine-flags.ts';
import { runGuest } from './guest-run.ts';
import type { CellMessage, SealedMessage } from './protocol.ts';
import { fillFresh } from './randomness.ts';
import { RemoteTwins } from './remote-twins.ts';
import { viewSharedControl } from './shared-control.ts';
import type { Rehearsal, ThreadBuffer, ThreadOrder, ThreadReport, ThreadStart } from './thread.ts';
import { monotonicMs, monotonicNs, threadCpuNs, wallClockNs } from './wall-clock.ts';
import { createWriteWatch } from './write-watch.ts';

assert(parentPort !== null, 'the guest thread is a worker');
const port = parentPort;
setEngineFlags();

const clock = {
  realtimeNs: wallClockNs,
  monotonicNs,
  cpuNs: threadCpuNs,
  resolutionNs: 1n,
};
const world = { clock, random: fillFresh, nowMs: monotonicMs, native: nativeDescriptors() };

/** Unwinding throws once a frame: traces would make a deep stack cost its square. */
Error.stackTraceLimit = 0;

async function firstMessage(): Promise<ThreadStart> {
  const message = await new Promise<ThreadStart | Rehearsal>((resolve) => {
    port.once('message', resolve);
  });
  if (message !== 'rehearse') return message;
  const { rehearse } = await import('./rehearsal.ts');
  await rehearse(world);
  const next = firstMessage();
  port.postMessage(null);
  return next;
}

const { shared, start, module, attachments, twins, tracking } = await firstMessage();
const control = viewSharedControl(shared);

const spare: ThreadBuffer[] = [];
const seals = new Map<number, SealedMessage>();
let onOrder: () => void = () => undefined;

function take(order: ThreadOrder): void {
  if (order.type === 'buffer') spare.push(order);
  else seals.set(order.image, order);
  onOrder();
}

/** Orders that came while the guest ran wait in the port. */
function takeWaiting(): void {
  for (;;) {
    const received = receiveMessageOnPort(port);
    if (received === undefined) return;
    take(received.message as ThreadOrder);
  }
}

function send(report: ThreadReport, transfer: readonly ArrayBuffer[] = []): void {
  port.postMessage(report, [...transfer]);
}

function report(message: CellMessage, parts: readonly Uint8Array<ArrayBuffer>[] = []): void {
  send(
    { message, attachments: parts },
    parts.map(({ buffer }) => buffer),
  );
}

async function sealed(image: number): Promise<SealedMessage> {
  for (;;) {
    takeWaiting();
    const found = seals.get(image);
    if (found !== undefined) {
      seals.clear();
      return found;
    }
    await new Promise<void>((resolve) => {
      onOrder = resolve;
    });
  }
}

port.on('message', take);

try {
  await runGuest(
    {
      ...world,
      shared: control,
      report,
      wishStdin: () => send({ wish: 'stdin' }),
      wishBuffer: (bytes) => send({ wish: 'buffer', bytes }),
      sealed,
      writeWatch: () => {
        const calls = tracking === null ? null : useTracking(tracking);
        return calls === null ? null : createWriteWatch(calls);
      },
      spareBuffer: () => {
        takeWaiting();
        return spare.pop();
      },
      twins: (introduction) => new RemoteTwins(twins, control, introduction),
    },
    start,
    [module, ...attachments].map((buffer) => new Uint8Array(buffer)),
  );
} catch (error) {
  const known = error instanceof HostError ? error : null;
  report({
    type: 'failed',
    code: known?.code ?? 'ERR_CELL_LOST',
    message: known?.message ?? 'The guest thread of the cell broke down.',
    hint: known?.hint ?? null,
    facts: known?.facts ?? {
      reason: error instanceof Error ? `${error.name}: ${error.message}` : String(error),
    },
  });
}
port.close();
