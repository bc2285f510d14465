/**
 * The main thread of a cell: the process that one guest runs in.
 *
 * It reads `confine` and then `start` from descriptor 3, hands `start` to the guest thread, which was begun
 * before this code was loaded, and from then on carries messages between the two. The guest thread may be
 * busy for ever, so everything here stays asynchronous.
 *
 * Invariants:
 * 1. A cell outlives neither its host nor its control stream: when the stream ends, the cell kills itself.
 * 2. After `ended` or `failed` nothing else is sent.
 * 3. No byte of a guest's is looked at before the cell is confined.
 */
import { Socket } from 'node:net';
import { basename } from 'node:path';
import { MessageChannel, type Worker } from 'node:worker_threads';
import type { CborValue } from '../cbor/cbor.ts';
import { HostError } from '../fault/host-error.ts';
import { reasonOf } from '../fault/reason.ts';
import { openTracking, type TrackingFds } from '../native/write-tracking.ts';
import { confineSelf, equipSelf } from './confine-self.ts';
import { type FrameLimits, FrameReader, frameMessage } from './framing.ts';
import { readHostMessage } from './message-shapes.ts';
import type { CellMessage, CheckpointMessage, HostMessage, StartMessage } from './protocol.ts';
import { openTurn, strayFailure, watchTurns } from './provider-turns.ts';
import {
  createSharedControl,
  nowUs,
  viewSharedControl,
  WORD,
  wakeGuest,
} from './shared-control.ts';
import { createStdinFeeder } from './stdin-feeder.ts';
import type { Rehearsal, ThreadOrder, ThreadReport, ThreadStart } from './thread.ts';
import { serveTwins } from './twin-service.ts';
import { monotonicMs, monotonicNs } from './wall-clock.ts';

const CONTROL_FD = 3;
/** A guest that has run for so long may well be stopped some time; again after twice the time, a few times. */
const PREPARE_AFTER_MS = 500;
const PREPARE_LAST_MS = 8000;
const STDIN_FD = 0;

/** The host is trusted; these only catch a stream that is out of step. */
const LIMITS: FrameLimits = {
  cborBytesMax: 2 ** 30,
  attachmentsMax: 8,
  attachmentBytesMax: 2 ** 36,
};

interface GuestThread {
  order(order: ThreadOrder, transfer?: readonly ArrayBuffer[]): void;
  requestCheckpoint(message: CheckpointMessage): void;
}

/** How the guest's thread was begun: its stack can't be made larger later. */
export interface BegunThread {
  readonly worker: Worker;
  /** Whether it has the stack of a guest that is put up again. */
  readonly restores: boolean;
}

const control = new Socket({ fd: CONTROL_FD, readable: true, writable: true });
let confined = false;
/** Where the host will lay down what the guest is given; null: it is here, or was from the start. */
let post: number | null = null;
let tracking: TrackingFds | null = null;
let thread: GuestThread | null = null;
/** Who is to blame when the thread breaks down, for a reason. */
let blame: (reason: string) => unknown = (reason) => new Error(reason);
let over = false;

function die(): never {
  process.kill(process.pid, 'SIGKILL');
  // SIGKILL to oneself is delivered before the call returns; this line only tells the compiler so.
  throw new Error('unreachable');
}

/** Sends a message; `sent` runs when its bytes have left this process. */
function send(message: CellMessage, attachments: readonly Uint8Array[], sent?: () => void): void {
  if (over) return;
  over = message.type === 'ended' || message.type === 'failed';
  const parts = frameMessage(message as unknown as CborValue, attachments);
  control.cork();
  parts.forEach((part, at) => {
    control.write(part, at === parts.length - 1 ? () => sent?.() : undefined);
  });
  control.uncork();
}

function fail(error: unknown): void {
  const known = error instanceof HostError ? error : null;
  send(
    {
      type: 'failed',
      code: known?.code ?? 'ERR_CELL_LOST',
      message: known?.message ?? 'The guest thread of the cell broke down.',
      hint: known?.hint ?? null,
      facts: known?.facts ?? { reason: error instanceof Error ? error.message : String(error) },
    },
    [],
  );
}

function startGuest(
  worker: Worker,
  start: StartMessage,
  module: Uint8Array<SharedArrayBuffer>,
  attachments: readonly ArrayBuffer[],
): GuestThread {
  const shared = createSharedControl();
  const view = viewSharedControl(shared);
  const feeder = createStdinFeeder(STDIN_FD, view);
  const twins = new MessageChannel();
  const twinService = serveTwins(twins.port1, view, module);
  if (start.restore !== null) twinService.prepare();
  worker.postMessage(
    {
      shared,
      start,
      module: module.buffer,
      attachments,
      twins: twins.port2,
      tracking,
    } satisfies ThreadStart,
    [...attachments, twins.port2],
  );

  const prepareLater = (delayMs: number): void => {
    if (delayMs > PREPARE_LAST_MS) return;
    setTimeout(() => {
      Atomics.store(view.words, WORD.prepare, 1);
      prepareLater(delayMs * 2);
    }, delayMs).unref();
  };
  const giveBuffer = (buffer: ArrayBuffer, image: number | null): void => {
    worker.postMessage({ type: 'buffer', buffer, image } satisfies ThreadOrder, [buffer]);
  };
  const makeBuffer = (bytes: number): void => {
    const buffer = writtenBuffer(bytes);
    giveBuffer(buffer, null);
    wakeGuest(view);
  };
  worker.on('message', (report: ThreadReport) => {
    if ('wish' in report) {
      if (report.wish === 'stdin') feeder.feed();
      else makeBuffer(report.bytes);
      return;
    }
    const { message, attachments: parts } = report;
    if (message.type === 'started') {
      prepareLater(PREPARE_AFTER_MS);
    }
    send(message, parts, () => {
      if (message.type !== 'image') return;
      // What follows the first one is small.
      for (const { buffer } of parts.slice(0, 1)) giveBuffer(buffer, message.image);
    });
  });
  const { providers } = start;
  const nameOf = (provider: number): string => basename(providers[provider]?.module ?? '');
  if (providers.length > 0) {
    watchTurns({ shared: view, nameOf, nowMs: monotonicMs, late: fail });
  }
  // Code of ours leaves no promise unattended, and does not end its thread.
  blame = (reason) =>
    providers.length === 0 ? new Error(reason) : strayFailure(reason, openTurn(view), nameOf);

  return {
    order: (order, transfer = []) => worker.postMessage(order, [...transfer]),
    requestCheckpoint: (message) => {
      Atomics.store(view.words, WORD.requestUs, nowUs({ monotonicNs }));
      if (message.stop) Atomics.store(view.words, WORD.stopRequest, message.request);
      Atomics.store(view.words, WORD.request, message.request);
      wakeGuest(view);
    },
  };
}

/** There is time: no guest is there yet. What its thread and this one would load and compile for it, they do now. */
async function warmUp(worker: Worker, restores: boolean): Promise<void> {
  const rehearsed = new Promise<void>((resolve) => {
    worker.once('message', () => resolve());
  });
  worker.postMessage('rehearse' satisfies Rehearsal);
  if (restores) await import('./twin-workshop.ts');
  await rehearsed;
}

/** A buffer whose memory the kernel has given already; an empty one when it gives none. */
function writtenBuffer(bytes: number): ArrayBuffer {
  try {
    return new Uint8Array(bytes).fill(1).buffer;
  } catch {
    return new ArrayBuffer(0);
  }
}

function receive(
  { worker, restores }: BegunThread,
  message: HostMessage,
  module: Uint8Array<SharedArrayBuffer> | null,
  attachments: readonly Uint8Array<ArrayBuffer>[],
): void {
  if (message.type === 'confine') {
    if (confined) throw new HostError('ERR_PROTOCOL', 'The cell was confined twice.');
    confined = true;
    // Confined, it could not open them.
    tracking = openTracking();
    const held = confineSelf(message);
    const answer = (): void =>
      send({ type: 'confined', held, tracksWrites: tracking !== null }, []);
    post = message.postFd;
    if (post === null) answer();
    else void warmUp(worker, restores).then(answer, fail);
    return;
  }
  if (!confined) throw new HostError('ERR_PROTOCOL', 'The cell was not confined yet.');
  if (message.type === 'equip') {
    if (post === null) throw new HostError('ERR_PROTOCOL', 'The cell has nothing to wait for.');
    const held = equipSelf(post, message);
    post = null;
    send({ type: 'equipped', held }, []);
    return;
  }
  if (message.type === 'start') {
    if (thread !== null) throw new HostError('ERR_PROTOCOL', 'The cell was started twice.');
    if (restores !== (message.restore !== null)) {
      throw new HostError('ERR_PROTOCOL', 'The cell was begun for the other kind of start.');
    }
    thread = startGuest(
      worker,
      message,
      module ?? new Uint8Array(new SharedArrayBuffer(0)),
      attachments.map(({ buffer }) => buffer),
    );
    return;
  }
  if (thread === null) throw new HostError('ERR_PROTOCOL', 'The cell was not started yet.');
  if (message.type === 'checkpoint') thread.requestCheckpoint(message);
  else thread.order(message);
}

/** Carries messages from now on, until the host or the guest's thread ends. */
export function carryMessages(begun: BegunThread): void {
  begun.worker.on('error', (error) => fail(blame(reasonOf(error))));
  begun.worker.on('exit', () => fail(blame('the guest thread ended without a word')));

  // The guest's module is read by both threads.
  const reader = new FrameReader(LIMITS, { sharesFirst: true });
  control.on('data', (chunk: Uint8Array) => {
    try {
      for (const { message, shared, attachments } of reader.push(chunk)) {
        receive(begun, readHostMessage(message), shared, attachments);
      }
    } catch (error) {
      fail(error);
    }
  });
  control.on('end', die);
  control.on('close', die);
  control.on('error', die);
}
