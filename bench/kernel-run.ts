/**
 * One timed run of a kernel in a process of its own: `node kernel-run.ts KIND MODULE PLAN ARGUMENT…`.
 *
 * KIND: `raw` runs the module as it is; `polled` is a module with polls that nobody unwinds; `ours` runs
 * it as a cell does. A fresh process, because an engine compiles what ran before it better. Prints one
 * line of JSON: `ms`, processor time of this thread in milliseconds, and `output`.
 *
 * Processor time, because time on the wall holds whatever else the machine does. The engine's own
 * compiling goes on in other threads and is not in it.
 */
import { readFileSync } from 'node:fs';
import { FuelMeter } from '../src/cell/fuel-meter.ts';
import { GuestInstance } from '../src/cell/guest-instance.ts';
import { HOST_SLOTS, makeHostAdaptor, slotOf } from '../src/instrument/host-adaptor.ts';
import { EXPORT_PREFIX } from '../src/instrument/layout.ts';
import {
  type EngineExport,
  type EngineMemory,
  type EngineTable,
  engine,
  type WasmFunction,
} from '../src/wasm/engine.ts';
import { readModule, type WasmModule } from '../src/wasm/module.ts';
import { Exited, makeQuietWorld } from './quiet-world.ts';

const MEMORY_PAGES_MAX = 65_536;
const TABLE_ENTRIES_MAX = 1_000_000;

const [kind, modulePath, planPath, ...args] = process.argv.slice(2);
const bytes = new Uint8Array(readFileSync(modulePath!));
const module = readModule(bytes);
const meter = new FuelMeter({ used: 0n, limit: null, now: () => performance.now() });
let memory: EngineMemory | null = null;
const world = makeQuietWorld(module, ['kernel', ...args], () => memory!);
const run = kind === 'ours' ? prepareOurs() : prepareInstance(module, kind === 'polled');

const before = process.threadCpuUsage();
const status = run();
const spent = process.threadCpuUsage(before);
const ms = (spent.user + spent.system) / 1000;
console.log(
  JSON.stringify({ ms, status, fuel: Number(meter.used), output: world.output().trim() }),
);

function prepareOurs(): () => number {
  // The plan's module is the one before instrumenting; ours stands beside it.
  const guest = new GuestInstance({
    module: readModule(new Uint8Array(readFileSync(planPath!.replace(/\.plan$/, '.raw.wasm')))),
    plan: new Uint8Array(readFileSync(planPath!)),
    compiled: new engine.Module(bytes),
    imports: world.imports,
    meter,
    memoryPagesMax: MEMORY_PAGES_MAX,
    tableEntriesMax: TABLE_ENTRIES_MAX,
    onPoll: () => false,
  });
  memory = guest.wasiMemory();
  const [entry] = guest.entries('_start');
  return () => {
    const outcome = guest.run(entry!);
    if (outcome.kind === 'returned') return 0;
    if (outcome.kind === 'threw' && outcome.error instanceof Exited) return outcome.error.status;
    throw new Error(`the kernel ended otherwise: ${outcome.kind}`);
  };
}

function prepareInstance(read: WasmModule, polled: boolean): () => number {
  const imports: Record<string, Record<string, EngineExport>> = {};
  read.imports.forEach(({ module: from, name }, index) => {
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
  const name = Object.keys(exports)
    .filter((candidate) => candidate.startsWith(`${EXPORT_PREFIX}table:`))
    .sort((a, b) => Number(a.split(':')[2]) - Number(b.split(':')[2]))
    .at(-1)!;
  const table = exports[name] as EngineTable;
  for (const slot of HOST_SLOTS) table.set(slotOf(slot), adaptor.exports[slot] as WasmFunction);
  const caps = Object.keys(exports).filter((n) => n.startsWith(`${EXPORT_PREFIX}global:`));
  const ours = caps.sort((a, b) => Number(a.split(':')[2]) - Number(b.split(':')[2])).slice(-3);
  (exports[ours[1]!] as { value: unknown } as { value: bigint }).value = BigInt(MEMORY_PAGES_MAX);
  (exports[ours[2]!] as { value: unknown } as { value: bigint }).value = BigInt(TABLE_ENTRIES_MAX);
}
