/**
 * Stops one program again and again in a process of its own: `node pause-run.ts NAME CHECKPOINTS`. Prints
 * one line of JSON, a `PauseResult`.
 *
 * A pause is what the guest stands still for: from the poll that stops it to the poll's return. The same
 * bytes are copied by themselves at once after each, into memory that was written before, so that both
 * see the same machine. Times are on the wall, since the kernel counts processor time in whole ticks;
 * the least of them is what the guest waits on a machine that does nothing else. Each image is then restored in a fresh instance, up to the same place.
 */
import { FuelMeter } from '../src/cell/fuel-meter.ts';
import { GuestInstance, type Outcome } from '../src/cell/guest-instance.ts';
import type { ImageMemory } from '../src/image/image.ts';
import { PAGE_BYTES } from '../src/image/image.ts';
import { instrument } from '../src/instrument/instrument.ts';
import { engine } from '../src/wasm/engine.ts';
import { readModule } from '../src/wasm/module.ts';
import { programNamed } from './programs.ts';
import { Exited, makeQuietWorld } from './quiet-world.ts';
import { median } from './statistics.ts';

export interface PauseResult {
  readonly program: string;
  readonly checkpoints: number;
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
}

const WARM_MS = 150;
const BETWEEN_MS = 120;
const MEMORY_PAGES_MAX = 65_536;
const TABLE_ENTRIES_MAX = 1_000_000;

const [name, wanted] = process.argv.slice(2);
const program = programNamed(name!);
const bytes = program.bytes();
const module = readModule(bytes);
const { bytes: instrumented, plan } = instrument(bytes);
const compiled = new engine.Module(instrumented);

const times: Record<'pause' | 'unwind' | 'capture' | 'rewind' | 'memcpy' | 'restore', number[]> = {
  pause: [],
  unwind: [],
  capture: [],
  rewind: [],
  memcpy: [],
  restore: [],
};
let frames = 0;
let memoryBytes = 0;
let imageBytes = 0;

let nextAt = Number.POSITIVE_INFINITY;
let stoppedAt = 0;
const guest = makeGuest(() => {
  const now = performance.now();
  if (now < nextAt) return false;
  stoppedAt = now;
  return true;
});
// Room for the first pages is made before the guest runs, as a host does that has seen it before.
let buffer: Uint8Array<ArrayBuffer> = new Uint8Array(
  guest.memories().reduce((a, m) => a + m.length, 0),
);
buffer.fill(1);
let copy: Uint8Array<ArrayBuffer> = new Uint8Array(0);

nextAt = performance.now() + WARM_MS;
const [entry] = guest.entries('_start', false);
let outcome = guest.run(entry!);
while (outcome.kind === 'unwound') outcome = checkpoint(performance.now());
if (outcome.kind === 'threw' && !(outcome.error instanceof Exited)) throw outcome.error;
if (times.pause.length === 0) throw new Error(`${name} ended before it could be stopped`);

const result: PauseResult = {
  program: name!,
  checkpoints: times.pause.length,
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
};
console.log(JSON.stringify(result));

function makeGuest(onPoll: () => boolean): GuestInstance {
  const made = new GuestInstance({
    module,
    plan,
    compiled,
    imports: makeQuietWorld(module, [name!, ...program.args], () => made.wasiMemory()!).imports,
    meter: new FuelMeter({ used: 0n, limit: null, now: () => performance.now() }),
    memoryPagesMax: MEMORY_PAGES_MAX,
    tableEntriesMax: TABLE_ENTRIES_MAX,
    onPoll,
  });
  return made;
}

/** Captures the guest, which was unwound at `unwoundAt`, and lets it go on. */
function checkpoint(unwoundAt: number): Outcome {
  const stack = guest.captureStack();
  const { memories, pages } = guest.captureMemory(buffer);
  const globals = guest.captureGlobals();
  const tables = guest.captureTables();
  const capturedAt = performance.now();
  buffer = new Uint8Array(pages.buffer);
  // What follows up to here must be what a cell does while the guest stands still, and nothing more.
  const goOn = guest.prepareResume(() => {
    const resumedAt = performance.now();
    times.unwind.push(unwoundAt - stoppedAt);
    times.capture.push(capturedAt - unwoundAt);
    times.rewind.push(resumedAt - capturedAt);
    times.pause.push(resumedAt - stoppedAt);
    frames = Math.max(frames, stack.length);
    memoryBytes = Math.max(memoryBytes, pages.length);
    const words = stack.reduce((sum, frame) => sum + frame.words.length, 0);
    imageBytes = Math.max(imageBytes, pages.length + words);
    times.memcpy.push(copyAlone(memories, pages.length));
    times.restore.push(restore());
    nextAt =
      times.pause.length < Number(wanted)
        ? performance.now() + BETWEEN_MS
        : Number.POSITIVE_INFINITY;
    return undefined;
  });
  return goOn();

  function restore(): number {
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
function copyAlone(memories: readonly ImageMemory[], size: number): number {
  if (copy.length < size) copy = new Uint8Array(size * 2).fill(1);
  const views = guest.memories();
  const start = performance.now();
  let at = 0;
  for (const [index, { present }] of memories.entries()) {
    for (const [first, count] of present) {
      copy.set(views[index]!.subarray(first * PAGE_BYTES, (first + count) * PAGE_BYTES), at);
      at += count * PAGE_BYTES;
    }
  }
  return performance.now() - start;
}
