/**
 * The bound that is stated for the way to a safepoint: however long slices get, a guest polls again within
 * 131,072 + 256 units of fuel. A slice has at most 131,072; what a poll may be late by is one chunk of a
 * strip-mined loop.
 *
 * The clock stands still here, so that slices become as long as they can.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Exited, makeQuietWorld } from '../../bench/quiet-world.ts';
import { FuelMeter } from '../../src/cell/fuel-meter.ts';
import { GuestInstance } from '../../src/cell/guest-instance.ts';
import { LocalTwins } from '../../src/cell/twin-workshop.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { engine } from '../../src/wasm/engine.ts';
import { readModule } from '../../src/wasm/module.ts';

const FUEL_MAX = 131_072 + 256;

/** Each with a size at which slices have grown to their longest. */
const KERNELS: readonly (readonly [string, string])[] = [
  ['fib', '27'],
  ['floyd', '120'],
  ['gemm', '120'],
  ['jacobi', '200'],
  ['interp', '20000'],
  ['sort-hash', '200000'],
  ['strings', '20000'],
  ['objects', '1000'],
  ['compress', '1000'],
  ['crc', '1000'],
  ['sha256', '200'],
  ['mandelbrot', '60'],
];

test.each(KERNELS)('%s polls within the bound', (kernel, size) => {
  const path = join(import.meta.dirname, '../../guests/build/kernels', `${kernel}.wasm`);
  const bytes = new Uint8Array(readFileSync(path));
  const module = readModule(bytes);
  const { bytes: instrumented, plan } = instrument(bytes);
  const meter = new FuelMeter({ used: 0n, limit: null, now: () => 0 });
  let usedThen = 0n;
  let polls = 0;
  let longest = 0;
  const guest = new GuestInstance({
    module,
    plan,
    compiled: new engine.Module(instrumented),
    imports: makeQuietWorld(module, [kernel, size], () => guest.wasiMemory()!).imports,
    meter,
    memoryPagesMax: 65_536,
    tableEntriesMax: 100_000,
    onPoll: () => {
      polls++;
      longest = Math.max(longest, Number(meter.used - usedThen));
      usedThen = meter.used;
      return false;
    },
    twins: new LocalTwins({ module, plan, bodyStart: new Uint32Array(0), compiles: false }),
  });
  const outcome = guest.run(guest.entries('_start', false)[0]!);
  if (outcome.kind === 'threw') expect(outcome.error).toBeInstanceOf(Exited);
  longest = Math.max(longest, Number(meter.used - usedThen));
  console.log(`${kernel}: ${polls} polls, at most ${longest} units apart`);
  expect(longest).toBeLessThanOrEqual(FUEL_MAX);
});
