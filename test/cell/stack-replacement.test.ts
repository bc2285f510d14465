/**
 * On-stack replacement, as a cell does it: twins come from another thread, and the stack is looked at by the
 * engine's trace. The guest ends as if nothing had been done.
 *
 * That it may happen at any safepoint is tried in `test/instrument`, together with captures.
 */

import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { FuelMeter } from '../../src/cell/fuel-meter.ts';
import { GuestInstance } from '../../src/cell/guest-instance.ts';
import { StackReplacement } from '../../src/cell/stack-replacement.ts';
import { LocalTwins } from '../../src/cell/twin-workshop.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { engine } from '../../src/wasm/engine.ts';
import { readModule } from '../../src/wasm/module.ts';
import { moduleBytes } from '../guests/built-modules.ts';
import { assemble } from '../instrument/assemble.ts';
import { Exit, type HostState, hostFunction } from '../instrument/wasi-stand-in.ts';
import { workshopThread } from './workshop-thread.ts';

interface Ended {
  readonly ending: {
    readonly status: number;
    readonly output: string;
    readonly fuel: bigint;
    readonly memory: string;
  };
  readonly replaced: number;
  readonly optimisedOrders: number;
}

interface RunOptions {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly args: readonly string[];
  readonly replaces: boolean;
  /** Milliseconds from one question to the next, on a clock that depends on no machine. */
  readonly stepMs?: number;
  /** Take the stack down and put it up in ordinary twins at this poll. */
  readonly unwindAt?: number;
}

function run({ bytes, args, replaces, stepMs = 1, unwindAt = -1 }: RunOptions): Ended {
  const module = readModule(bytes);
  const { bytes: instrumented, plan } = instrument(bytes);
  const { bodyStart } = readModule(instrumented);
  const host: HostState = { args: ['guest', ...args], output: [], calls: 0 };
  let time = 0;
  let polls = 0;
  const nowMs = (): number => {
    time += stepMs;
    return time;
  };
  let ticks = 0;
  // Seems slow, so that the guest polls often.
  const meter = new FuelMeter({ used: 0n, limit: null, now: () => ticks++ });
  const source = replaces ? workshopThread(bytes, { bytes: instrumented, plan }) : null;
  const guest: GuestInstance = new GuestInstance({
    module,
    plan,
    compiled: new engine.Module(instrumented),
    imports: module.imports.map((entry) => {
      const type = module.types[entry.kind === 'func' ? entry.typeIndex : -1]!;
      if (type.kind !== 'func') throw new Error('not a function');
      const call = hostFunction(entry, type);
      return (...values: unknown[]): unknown =>
        call(host, () => new DataView(guest.wasiMemory()!.buffer), values);
    }),
    meter,
    memoryPagesMax: 4096,
    tableEntriesMax: 100_000,
    onPoll: () => ++polls === unwindAt || replacement?.atPoll() === true,
    twins: source ?? new LocalTwins({ module, plan, bodyStart, compiles: false }),
  });
  const { twins } = guest;
  const ownBodies = module.bodyStart.length;
  const replacement = replaces
    ? new StackReplacement({ twins, bodyStart, ownBodies, nowMs })
    : null;
  let outcome = guest.run(guest.entries('_start', false)[0]!);
  while (outcome.kind === 'unwound') outcome = guest.prepareResume(() => undefined)();
  const exit = outcome.kind === 'threw' ? outcome.error : new Exit(0);
  if (!(exit instanceof Exit)) throw exit;
  const hash = createHash('sha256');
  for (const memory of guest.memories()) hash.update(memory);
  return {
    ending: {
      status: exit.status,
      output: host.output.join(''),
      fuel: meter.used,
      memory: hash.digest('hex'),
    },
    replaced: replacement?.replaced ?? 0,
    optimisedOrders: source?.optimisedOrders ?? 0,
  };
}

/** A loop in a function that has called itself `calls` times. */
function loopsBeneath(calls: number, rounds: number): string {
  return `(module (memory (export "memory") 1)
    (func $down (param $n i32) (local $i i32)
      (if (local.get $n) (then (call $down (i32.sub (local.get $n) (i32.const 1))) (return)))
      (loop $again
        (i32.store (i32.const 0) (i32.add (i32.load (i32.const 0)) (local.get $i)))
        (local.set $i (i32.add (local.get $i) (i32.const 1)))
        (br_if $again (i32.lt_u (local.get $i) (i32.const ${rounds})))))
    (func (export "_start") (call $down (i32.const ${calls}))))`;
}

function compared(options: Omit<RunOptions, 'replaces'>): Ended {
  // First, because the engine keeps what it optimised of a module for as long as it knows the module.
  const ended = run({ ...options, replaces: true });
  const whole = run({ ...options, replaces: false });
  console.log(`replaced ${ended.replaced} times, ${ended.optimisedOrders} orders`);
  expect(ended.ending).toStrictEqual(whole.ending);
  return ended;
}

describe('a guest that stays in one call goes on in optimised code, and ends as it would have', () => {
  const guests = { gemm: '120', floyd: '160', jacobi: '20', interp: '200000' };
  for (const [name, size] of Object.entries(guests)) {
    test(name, () => {
      const { replaced } = compared({ bytes: moduleBytes(`kernels/${name}`), args: [size] });
      expect(replaced).toBeGreaterThan(0);
    });
  }

  test('also when it was put up in ordinary twins before', () => {
    const bytes = moduleBytes('kernels/gemm');
    const { replaced } = compared({ bytes, args: ['120'], unwindAt: 3 });
    expect(replaced).toBeGreaterThan(0);
  });

  test('once a call: not again when its twins are optimised', () => {
    // A module that no other test has run: the engine knows those still, and what it optimised of them.
    const long = compared({ bytes: assemble(loopsBeneath(0, 4_000_000)), args: [], stepMs: 20 });
    expect(long.replaced).toBe(1);
  });
});

describe('a guest goes on as it is', () => {
  test('when its stack is deep', () => {
    const deep = assemble(loopsBeneath(200, 3_000_000));
    expect(compared({ bytes: deep, args: [] })).toMatchObject({
      replaced: 0,
      optimisedOrders: 0,
    });
    const shallow = assemble(loopsBeneath(20, 3_000_000));
    expect(compared({ bytes: shallow, args: [] }).replaced).toBe(1);
  });

  test('when its twins would take long to optimise', () => {
    const rows =
      '(local.set $x (i32.add (i32.mul (local.get $x) (i32.const 77777)) (i32.const 1)))';
    const long = `(module (memory (export "memory") 1)
      (func (export "_start") (local $x i32) (local $i i32)
        (loop $again
          ${rows.repeat(4000)}
          (br_if $again (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 60000))))
        (i32.store (i32.const 0) (local.get $x))))`;
    const ended = compared({ bytes: assemble(long), args: [], stepMs: 20 });
    expect(ended.replaced).toBe(0);
    expect(ended.optimisedOrders).toBe(1);
  });

  test('when it is found elsewhere each time', () => {
    const { replaced, optimisedOrders } = compared({
      bytes: moduleBytes('recursion'),
      args: ['20'],
    });
    expect(replaced + optimisedOrders).toBeLessThan(10);
  });
});
