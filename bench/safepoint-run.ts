/**
 * How long a request waits for a safepoint, in a process of its own: `node safepoint-run.ts KERNEL [ARGUMENT]` or
 * with the name of a program. Prints one line of JSON, a `SafepointResult`.
 *
 * Every poll's distance to the one before is measured, in processor time of the guest's thread and in fuel. A
 * request may come at any time between two polls, so of each distance all waits from nothing to its
 * length are as likely: the quantiles are exact for a request at a random time, and no request is made.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { FuelMeter } from '../src/cell/fuel-meter.ts';
import { GuestInstance } from '../src/cell/guest-instance.ts';
import { LocalTwins } from '../src/cell/twin-workshop.ts';
import { instrument } from '../src/instrument/instrument.ts';
import { engine } from '../src/wasm/engine.ts';
import { readModule } from '../src/wasm/module.ts';
import { programNamed } from './programs.ts';
import { Exited, makeQuietWorld } from './quiet-world.ts';
import { threadMs } from './thread-time.ts';

export interface SafepointResult {
  readonly program: string;
  readonly polls: number;
  /** Milliseconds of processor time from a request at a random time to the next poll. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly worstMs: number;
  /** The most fuel between two polls. */
  readonly worstFuel: number;
}

const MEMORY_PAGES_MAX = 65_536;
const TABLE_ENTRIES_MAX = 1_000_000;

const [name, ...given] = process.argv.slice(2);
const isKernel = name!.startsWith('kernel:');
const kernel = name!.slice('kernel:'.length);
const bytes = isKernel
  ? new Uint8Array(
      readFileSync(join(import.meta.dirname, '..', 'guests', 'build', 'kernels', `${kernel}.wasm`)),
    )
  : programNamed(name!).bytes();
const args = isKernel ? given : programNamed(name!).args;

const module = readModule(bytes);
const { bytes: instrumented, plan } = instrument(bytes);
const nowMs = (): number => threadMs() ?? performance.now();
const meter = new FuelMeter({ used: 0n, limit: null, now: () => performance.now() });
const gaps: number[] = [];
let polledAt = 0;
let usedThen = 0n;
let worstFuel = 0;
const guest = new GuestInstance({
  module,
  plan,
  compiled: new engine.Module(instrumented),
  imports: makeQuietWorld(module, [name!, ...args], () => guest.wasiMemory()!).imports,
  meter,
  memoryPagesMax: MEMORY_PAGES_MAX,
  tableEntriesMax: TABLE_ENTRIES_MAX,
  onPoll: () => {
    const now = nowMs();
    gaps.push(now - polledAt);
    polledAt = now;
    worstFuel = Math.max(worstFuel, Number(meter.used - usedThen));
    usedThen = meter.used;
    return false;
  },
  twins: new LocalTwins({ module, plan, bodyStart: new Uint32Array(0), compiles: false }),
});

const [entry] = guest.entries('_start', false);
polledAt = nowMs();
const outcome = guest.run(entry!);
if (outcome.kind === 'threw' && !(outcome.error instanceof Exited)) throw outcome.error;
gaps.push(nowMs() - polledAt);

const result: SafepointResult = {
  program: isKernel ? kernel : name!,
  polls: gaps.length - 1,
  p50Ms: quantile(0.5),
  p99Ms: quantile(0.99),
  worstMs: Math.max(...gaps),
  worstFuel,
};
console.log(JSON.stringify(result));
process.exit(0);

/** The wait that a part `share` of all requests don't exceed: found by halving. */
function quantile(share: number): number {
  const total = gaps.reduce((sum, gap) => sum + gap, 0);
  let low = 0;
  let high = Math.max(...gaps);
  for (let step = 0; step < 50; step++) {
    const middle = (low + high) / 2;
    const within = gaps.reduce((sum, gap) => sum + Math.min(gap, middle), 0);
    if (within < total * share) low = middle;
    else high = middle;
  }
  return high;
}
