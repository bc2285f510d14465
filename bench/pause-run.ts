/**
 * Stops one program again and again in a process of its own: `node pause-run.ts NAME CHECKPOINTS [WAY]`. Prints
 * one line of JSON, a `PauseResult`.
 *
 * A pause is what the guest stands still for: from the poll that stops it to the poll's return. As in a
 * cell, another thread makes twins, and the poll that stops the guest is chosen by `LookAhead`. The same
 * bytes are copied by themselves at once after each, into memory that was written before, so that both see
 * the same machine. Each image is then restored in a fresh instance, up to the same place.
 *
 * WAY: how what changed since the image before is found: by the kernel's `book` (the default where it keeps one), by
 * comparing with `kept` pages, or not at all: `all` pages are copied, as for a first image.
 *
 * Times are on the wall, and those of the guest's thread alone: on a machine that does other things the
 * wall counts those too. A pause that had to wait for twins waited on the wall.
 */
import { writeSync } from 'node:fs';
import { isMainThread, MessageChannel, parentPort, Worker } from 'node:worker_threads';
import { CaptureRoom } from '../src/cell/capture-room.ts';
import { FuelMeter } from '../src/cell/fuel-meter.ts';
import { GuestInstance, type Outcome } from '../src/cell/guest-instance.ts';
import { LookAhead } from '../src/cell/look-ahead.ts';
import { PageCapture } from '../src/cell/page-capture.ts';
import { RemoteTwins } from '../src/cell/remote-twins.ts';
import { createSharedControl, viewSharedControl } from '../src/cell/shared-control.ts';
import type { TwinSource } from '../src/cell/twin-orders.ts';
import { LocalTwins } from '../src/cell/twin-workshop.ts';
import { createWriteWatch } from '../src/cell/write-watch.ts';
import type { ImageMemory } from '../src/image/image.ts';
import { PAGE_BYTES } from '../src/image/image.ts';
import { capturePages } from '../src/image/memory-capture.ts';
import { instrument } from '../src/instrument/instrument.ts';
import { openTracking, useTracking } from '../src/native/write-tracking.ts';
import { engine } from '../src/wasm/engine.ts';
import { readModule } from '../src/wasm/module.ts';
import { programNamed } from './programs.ts';
import { Exited, makeQuietWorld } from './quiet-world.ts';
import { median } from './statistics.ts';
import { threadMs } from './thread-time.ts';

export interface PauseResult {
  readonly program: string;
  readonly checkpoints: number;
  readonly way: PauseWay;
  /** Bytes of pages that left the guest at a pause but the first: median. */
  readonly changedBytes: number;
  /** Frames on the deepest captured stack. */
  readonly frames: number;
  /** Memory that is not zero, in bytes: the most there was. */
  readonly memoryBytes: number;
  /** Memory and stack, as they go into an image. */
  readonly imageBytes: number;
  /** The first pause in the process, the least, the median and its parts, in milliseconds. */
  readonly firstMs: number;
  readonly leastMs: number;
  readonly pauseMs: number;
  readonly unwindMs: number;
  readonly captureMs: number;
  readonly rewindMs: number;
  /** Copying the same bytes and nothing else: median and least. */
  readonly memcpyMs: number;
  readonly memcpyLeastMs: number;
  /** From an image to the place where the guest goes on, the module being compiled. */
  readonly restoreMs: number;
  /** The same on the guest's thread; null where the kernel does not tell. */
  readonly busy: BusyTimes | null;
  /** From a request to the pause it leads to, while the guest runs on: median and most. */
  readonly aheadMs: number;
  readonly aheadMostMs: number;
  /** Pauses that lacked a twin. */
  readonly waited: number;
}

export interface BusyTimes {
  readonly firstMs: number;
  readonly leastMs: number;
  readonly pauseMs: number;
  readonly memcpyMs: number;
}

/** As with `--checkpoint-every 1s`: a cell's guest gets its twins going half a second before. */
const WARM_MS = 1000;
const PREPARED_MS = 500;
const BETWEEN_MS = 120;
const MEMORY_PAGES_MAX = 65_536;
const TABLE_ENTRIES_MAX = 1_000_000;

const WAYS = ['book', 'kept', 'all'] as const;
export type PauseWay = (typeof WAYS)[number];

const [name, wanted, given] = process.argv.slice(2);
const program = programNamed(name!);
const bytes = program.bytes();
const module = readModule(bytes);
const { bytes: instrumented, plan } = instrument(bytes);
const compiled = new engine.Module(instrumented);

type Part =
  | 'pause'
  | 'unwind'
  | 'capture'
  | 'rewind'
  | 'memcpy'
  | 'restore'
  | 'ahead'
  | 'busy'
  | 'busyMemcpy';
const times: Record<Part, number[]> = {
  pause: [],
  unwind: [],
  capture: [],
  rewind: [],
  memcpy: [],
  restore: [],
  ahead: [],
  busy: [],
  busyMemcpy: [],
};
const fds = given === undefined || given === 'book' ? openTracking() : null;
const way: PauseWay = WAYS.find((one) => one === given) ?? (fds === null ? 'kept' : 'book');
if (way === 'book' && fds === null) throw new Error('the kernel keeps no book here');
const pagesOf = new PageCapture(() => (fds === null ? null : createWriteWatch(useTracking(fds)!)));
const changed: number[] = [];
let image = 0;
let waited = 0;
let frames = 0;
let memoryBytes = 0;
let imageBytes = 0;

const busyMs = (): number => threadMs() ?? 0;
let nextAt = Number.POSITIVE_INFINITY;
let stoppedAt = 0;
let prepared = false;
let stoppedBusy = 0;
const twins = workshop();
const guest = makeGuest(() => {
  if (performance.now() < nextAt) {
    if (!prepared && performance.now() > nextAt - PREPARED_MS) {
      prepared = true;
      lookAhead.prepare();
    }
    return false;
  }
  if (!lookAhead.isReady()) return false;
  stoppedAt = performance.now();
  stoppedBusy = busyMs();
  times.ahead.push(stoppedAt - nextAt);
  lookAhead.captured();
  return true;
}, twins);
/** What a cell's main thread makes and gives back. */
let spare: ArrayBuffer | undefined;
const room = new CaptureRoom({
  memories: () => guest.memories(),
  expectedBytes: () => pagesOf.expectedBytes(guest.memories()),
  spare: () => {
    const given = spare;
    spare = undefined;
    return given;
  },
  order: (size) => {
    spare = new Uint8Array(size).fill(1).buffer;
  },
});
const lookAhead = new LookAhead(guest.twins, room, () => performance.now());
let copy: Uint8Array<ArrayBuffer> = new Uint8Array(0);
let whole: Uint8Array<ArrayBuffer> = new Uint8Array(0);

nextAt = performance.now() + WARM_MS;
const [entry] = guest.entries('_start', false);
let outcome = guest.run(entry!);
while (outcome.kind === 'unwound') outcome = checkpoint(performance.now());
if (outcome.kind === 'threw' && !(outcome.error instanceof Exited)) throw outcome.error;
if (times.pause.length === 0) throw new Error(`${name} ended before it could be stopped`);

const result: PauseResult = {
  program: name!,
  checkpoints: times.pause.length,
  way,
  changedBytes: median(changed.length > 1 ? changed.slice(1) : changed),
  frames,
  memoryBytes,
  imageBytes,
  firstMs: times.pause[0]!,
  leastMs: Math.min(...times.pause),
  pauseMs: median(times.pause),
  unwindMs: median(times.unwind),
  captureMs: median(times.capture),
  rewindMs: median(times.rewind),
  memcpyMs: median(times.memcpy),
  memcpyLeastMs: Math.min(...times.memcpy),
  restoreMs: median(times.restore),
  busy:
    threadMs() === null
      ? null
      : {
          firstMs: times.busy[0]!,
          leastMs: Math.min(...times.busy),
          pauseMs: median(times.busy),
          memcpyMs: median(times.busyMemcpy),
        },
  aheadMs: median(times.ahead),
  aheadMostMs: Math.max(...times.ahead),
  waited,
};
// At once, since a thread's `console` writes when the process comes to it.
writeSync(1, `${JSON.stringify(result)}\n`);
if (isMainThread) process.exit(0);
else parentPort!.postMessage('done');

/** A thread that makes twins. */
function workshop(): TwinSource & { readonly orders: () => number } {
  const shared = createSharedControl();
  const { port1, port2 } = new MessageChannel();
  const own = new Uint8Array(new SharedArrayBuffer(bytes.length));
  own.set(bytes);
  new Worker(new URL('./twin-service-run.ts', import.meta.url), {
    workerData: { port: port1, shared, module: own.buffer },
    transferList: [port1],
  });
  const { bodyStart } = readModule(instrumented);
  const remote = new RemoteTwins(port2, viewSharedControl(shared), { plan, bodyStart });
  let orders = 0;
  return {
    makesAhead: true,
    send: (order) => {
      orders++;
      remote.send(order);
    },
    arrived: () => remote.arrived(),
    receive: () => remote.receive(),
    orders: () => orders,
  };
}

function makeGuest(onPoll: () => boolean, twins?: TwinSource): GuestInstance {
  const made = new GuestInstance({
    module,
    plan,
    compiled,
    imports: makeQuietWorld(module, [name!, ...program.args], () => made.wasiMemory()!).imports,
    meter: new FuelMeter({ used: 0n, limit: null, now: () => performance.now() }),
    memoryPagesMax: MEMORY_PAGES_MAX,
    tableEntriesMax: TABLE_ENTRIES_MAX,
    onPoll,
    twins:
      twins ?? new LocalTwins({ module, plan, bodyStart: new Uint32Array(0), compiles: false }),
  });
  return made;
}

/** Captures the guest, which was unwound at `unwoundAt`, and lets it go on. */
function checkpoint(unwoundAt: number): Outcome {
  const stack = guest.captureStack();
  const source = { memories: guest.memories(), blank: [], blankIn: 0 };
  const captured = pagesOf.capture(source, room.take());
  const { memories } = captured;
  const globals = guest.captureGlobals();
  const tables = guest.captureTables();
  const capturedAt = performance.now();
  // What follows up to here must be what a cell does while the guest stands still, and nothing more.
  const ordered = twins.orders();
  const goOn = guest.prepareResume(() => {
    const resumedAt = performance.now();
    times.busy.push(busyMs() - stoppedBusy);
    times.unwind.push(unwoundAt - stoppedAt);
    times.capture.push(capturedAt - unwoundAt);
    times.rewind.push(resumedAt - capturedAt);
    times.pause.push(resumedAt - stoppedAt);
    frames = Math.max(frames, stack.length);
    changed.push(captured.bytes.length);
    image++;
    // What a cell does meanwhile: it sends the image, and the buffer comes back.
    if (way !== 'all') {
      const { buffer } = captured.bytes;
      pagesOf.givenAway(image, captured);
      if (!pagesOf.takeBack(image, buffer)) spare = buffer;
    } else {
      spare = captured.bytes.buffer;
    }
    const { pages } = capturePages(guest.memories(), whole);
    whole = new Uint8Array(pages.buffer);
    memoryBytes = Math.max(memoryBytes, pages.length);
    const words = stack.reduce((sum, frame) => sum + frame.words.length, 0);
    imageBytes = Math.max(imageBytes, pages.length + words);
    if (twins.orders() > ordered) waited++;
    copyAlone(memories, pages.length);
    times.restore.push(restore(pages));
    nextAt =
      times.pause.length < Number(wanted)
        ? performance.now() + BETWEEN_MS
        : Number.POSITIVE_INFINITY;
    return undefined;
  });
  return goOn();

  function restore(pages: Uint8Array): number {
    const start = performance.now();
    let goesOnAt = start;
    const other = makeGuest(() => true);
    other.restoreMemory(memories, pages);
    other.restoreTables(tables);
    other.restoreGlobals(globals);
    other.restoreStack(stack);
    other.prepareResume(() => {
      goesOnAt = performance.now();
      throw new Exited(0);
    })();
    return goesOnAt - start;
  }
}

/** The least that a checkpoint must do: copy the pages that are not zero. */
function copyAlone(memories: readonly ImageMemory[], size: number): void {
  if (copy.length < size) copy = new Uint8Array(size * 2).fill(1);
  const views = guest.memories();
  const start = performance.now();
  const startBusy = busyMs();
  let at = 0;
  for (const [index, { present }] of memories.entries()) {
    for (const [first, count] of present) {
      copy.set(views[index]!.subarray(first * PAGE_BYTES, (first + count) * PAGE_BYTES), at);
      at += count * PAGE_BYTES;
    }
  }
  times.busyMemcpy.push(busyMs() - startBusy);
  times.memcpy.push(performance.now() - start);
}
