/**
 * One timed run of a kernel in a process of its own: `node kernel-run.ts KIND MODULE GUEST PLAN ARGUMENT…`.
 *
 * MODULE is what runs, made of GUEST. KIND: `raw` runs the module as it is; `polled` is a module with polls that nobody unwinds; `replacing`
 * runs it as a cell does, `ours` as a cell with `--no-osr`. A fresh process, because an engine compiles what ran before it better. Prints one
 * line of JSON, a `KernelRun`.
 *
 * Processor time, because time on the wall holds whatever else the machine does.
 */

import { readFileSync } from 'node:fs';
import { MessageChannel, Worker } from 'node:worker_threads';
import { FuelMeter } from '../src/cell/fuel-meter.ts';
import { GuestInstance } from '../src/cell/guest-instance.ts';
import { RemoteTwins } from '../src/cell/remote-twins.ts';
import { createSharedControl, viewSharedControl } from '../src/cell/shared-control.ts';
import { StackReplacement } from '../src/cell/stack-replacement.ts';
import type { TwinSource } from '../src/cell/twin-orders.ts';
import { LocalTwins } from '../src/cell/twin-workshop.ts';
import { HOST_SLOTS, makeHostAdaptor, slotOf } from '../src/instrument/host-adaptor.ts';
import { EXPORT_PREFIX, GLOBAL, layOut } from '../src/instrument/layout.ts';
import { readFacts } from '../src/instrument/module-facts.ts';
import { decodePlan } from '../src/instrument/plan.ts';
import {
  type EngineExport,
  type EngineGlobal,
  type EngineMemory,
  type EngineTable,
  engine,
  type WasmFunction,
} from '../src/wasm/engine.ts';
import { readModule } from '../src/wasm/module.ts';
import { Exited, makeQuietWorld } from './quiet-world.ts';

export interface KernelRun {
  /** Processor time of the guest's thread, in milliseconds. The engine's own compiling is not in it. */
  readonly ms: number;
  /** Processor time of all threads: with the engine's compiling, and that of twins. */
  readonly allMs: number;
  readonly wallMs: number;
  readonly status: number;
  readonly fuel: number;
  /** How often the guest's stack was replaced. */
  readonly replaced: number;
  readonly output: string;
}

const MEMORY_PAGES_MAX = 65_536;
const TABLE_ENTRIES_MAX = 1_000_000;

const [kind, modulePath, guestPath, planPath, ...args] = process.argv.slice(2);
const bytes = new Uint8Array(readFileSync(modulePath!));
const guestModule = readModule(new Uint8Array(readFileSync(guestPath!)));
const plan = new Uint8Array(readFileSync(planPath!));
const meter = new FuelMeter({ used: 0n, limit: null, now: () => performance.now() });
let memory: EngineMemory | null = null;
const world = makeQuietWorld(guestModule, ['kernel', ...args], () => memory!);
let replacement: StackReplacement | null = null;
const isOurs = kind === 'ours' || kind === 'replacing';
const run = isOurs ? prepareOurs() : prepareInstance(kind === 'polled');
// Threads are there before the guest begins, as in a cell.
if (kind === 'replacing') await new Promise((resolve) => setTimeout(resolve, 200));

const wall = performance.now();
const all = process.cpuUsage();
const before = process.threadCpuUsage();
const status = run();
const spent = process.threadCpuUsage(before);
const spentByAll = process.cpuUsage(all);
const result: KernelRun = {
  ms: (spent.user + spent.system) / 1000,
  allMs: (spentByAll.user + spentByAll.system) / 1000,
  wallMs: performance.now() - wall,
  status,
  fuel: Number(meter.used),
  replaced: replacement === null ? 0 : (replacement as StackReplacement).replaced,
  output: world.output().trim(),
};
console.log(JSON.stringify(result));
process.exit();

function prepareOurs(): () => number {
  const guest = new GuestInstance({
    module: guestModule,
    plan,
    compiled: new engine.Module(bytes),
    imports: world.imports,
    meter,
    memoryPagesMax: MEMORY_PAGES_MAX,
    tableEntriesMax: TABLE_ENTRIES_MAX,
    onPoll: () => replacement?.atPoll() ?? false,
    twins: kind === 'replacing' ? otherThread() : thisThread(),
  });
  if (kind === 'replacing') {
    replacement = new StackReplacement({
      twins: guest.twins,
      bodyStart: readModule(bytes).bodyStart,
      ownBodies: guestModule.bodyStart.length,
      nowMs: () => performance.now(),
    });
  }
  memory = guest.wasiMemory();
  const [entry] = guest.entries('_start', false);
  return () => {
    let outcome = guest.run(entry!);
    while (outcome.kind === 'unwound') outcome = guest.prepareResume(() => undefined)();
    if (outcome.kind === 'returned') return 0;
    if (outcome.kind === 'threw' && outcome.error instanceof Exited) return outcome.error.status;
    throw new Error(`the kernel ended otherwise: ${outcome.kind}`);
  };
}

function thisThread(): TwinSource {
  const bodyStart = new Uint32Array(0);
  return new LocalTwins({ module: guestModule, plan, bodyStart, compiles: false });
}

function otherThread(): TwinSource {
  const shared = createSharedControl();
  const { port1, port2 } = new MessageChannel();
  const own = new Uint8Array(new SharedArrayBuffer(guestModule.bytes.length));
  own.set(guestModule.bytes);
  new Worker(new URL('./twin-service-run.ts', import.meta.url), {
    workerData: { port: port1, shared, module: own.buffer },
    transferList: [port1],
  });
  const { bodyStart } = readModule(bytes);
  return new RemoteTwins(port2, viewSharedControl(shared), { plan, bodyStart });
}

function prepareInstance(polled: boolean): () => number {
  const imports: Record<string, Record<string, EngineExport>> = {};
  guestModule.imports.forEach(({ module: from, name }, index) => {
    imports[from] ??= {};
    imports[from][name] = world.imports[index]!;
  });
  const { exports } = new engine.Instance(new engine.Module(bytes), imports);
  memory = exports['memory'] as EngineMemory;
  if (polled) fillPollSlot(exports);
  const entry = exports['_start'] as () => void;
  return () => {
    try {
      entry();
    } catch (error) {
      if (error instanceof Exited) return error.status;
      throw error;
    }
    return 0;
  };
}

/** Answers polls as `GuestInstance` does, and nothing else. */
function fillPollSlot(exports: Readonly<Record<string, EngineExport>>): void {
  const poll = (left: number): number => {
    meter.polled(left);
    return meter.takeStop() === null ? meter.nextSlice() : 0;
  };
  const unused = (): never => {
    throw new Error('only polls are answered here');
  };
  const functions = Object.fromEntries(
    HOST_SLOTS.map((name) => [name, (name === 'poll' ? poll : unused) as WasmFunction]),
  );
  const adaptor = new engine.Instance(new engine.Module(makeHostAdaptor()), { h: functions });
  const facts = readFacts(guestModule);
  const layout = layOut(facts, decodePlan(plan, facts.functions, facts.tableType.length));
  const table = exports[`${EXPORT_PREFIX}table:${layout.table}`] as EngineTable;
  for (const slot of HOST_SLOTS) table.set(slotOf(slot), adaptor.exports[slot] as WasmFunction);
  const global = (index: number): EngineGlobal =>
    exports[`${EXPORT_PREFIX}global:${layout.firstGlobal + index}`] as EngineGlobal;
  global(GLOBAL.memoryCap).value = BigInt(MEMORY_PAGES_MAX);
  global(GLOBAL.tableCap).value = BigInt(TABLE_ENTRIES_MAX);
}
