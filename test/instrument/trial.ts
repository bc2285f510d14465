/**
 * Runs a guest in this process, stops it at chosen safepoints, carries it each time into an instance of
 * its own by way of an image's parts, or puts it up again in optimised twins, and says how it ended.
 *
 * Two trials of one guest must end alike, wherever either was stopped.
 */
import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { FuelMeter } from '../../src/cell/fuel-meter.ts';
import { GuestInstance, type Outcome } from '../../src/cell/guest-instance.ts';
import { LocalTwins } from '../../src/cell/twin-workshop.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { placeKey } from '../../src/instrument/site-positions.ts';
import { LimitReached } from '../../src/resource/limit-reached.ts';
import { type EngineModule, engine, type WasmFunction } from '../../src/wasm/engine.ts';
import { readModule, type WasmModule } from '../../src/wasm/module.ts';
import { Exit, type HostState, hostFunction } from './wasi-stand-in.ts';

export interface Subject {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly module: WasmModule;
  readonly plan: Uint8Array;
  readonly compiled: EngineModule;
}

/** Stop before host call number `count`, or at the first poll at which `count` units of fuel are used. */
export interface Stop {
  readonly at: 'call' | 'fuel';
  readonly count: number;
  /** Go on in the same instance, in twins that the engine has optimised. */
  readonly replaces?: boolean;
}

export interface TrialOptions {
  /** Exported functions to call one after the other, without parameters; `_start` alone by default. */
  readonly entries?: readonly string[];
  readonly args?: readonly string[];
  readonly stops?: readonly Stop[];
  readonly fuelLimit?: bigint;
  readonly memoryPagesMax?: number;
  readonly tableEntriesMax?: number;
  /** Told what an entry threw. */
  readonly onThrown?: (error: unknown, stage: Stage) => void;
}

export interface Ending {
  /** How each entry ended. */
  readonly ends: readonly string[];
  readonly output: string;
  readonly fuel: bigint;
  readonly calls: number;
  /** Digest of memories, globals and tables. */
  readonly state: string;
}

export interface Trial {
  readonly ending: Ending;
  /** How often the guest was really stopped. */
  readonly hops: number;
  /** How many of those went on in optimised twins. */
  readonly replaced: number;
  /** Frames on the deepest stack that was taken down, and on all of them together. */
  readonly deepest: number;
  readonly frames: number;
}

export function prepare(bytes: Uint8Array<ArrayBuffer>): Subject {
  const { bytes: instrumented, plan } = instrument(bytes);
  return {
    bytes,
    module: readModule(bytes),
    plan,
    compiled: new engine.Module(instrumented),
  };
}

interface PendingCall {
  readonly index: number;
  readonly args: readonly unknown[];
}

/** One instance, and what it needs to be stopped. */
export interface Stage {
  readonly guest: GuestInstance;
  readonly meter: FuelMeter;
  readonly imports: readonly WasmFunction[];
  /** The host call that the guest was stopped in, if it was. */
  pending: PendingCall | null;
  /** Stop before this call. */
  stopCall: number;
  /** The pending call is being completed: it must not stop again. */
  completing: boolean;
}

/** A fresh instance whose imports are the host's stand-ins; `used`: fuel used before. */
export function makeStage(
  subject: Subject,
  host: HostState,
  used: bigint,
  options: TrialOptions,
): Stage {
  const { module } = subject;
  const imports = module.imports.map((entry, index) => {
    assert(entry.kind === 'func');
    const type = module.types[entry.typeIndex]!;
    assert(type.kind === 'func');
    const call = hostFunction(entry, type);
    return (...args: unknown[]): unknown => {
      if (!stage.completing && host.calls === stage.stopCall) {
        stage.pending = { index, args };
        throw stage.guest.unwinding();
      }
      stage.completing = false;
      const memory = (): DataView => new DataView(stage.guest.wasiMemory()!.buffer);
      const result = call(host, memory, args);
      host.calls++;
      return result;
    };
  });
  const meter = new FuelMeter({ used, limit: options.fuelLimit ?? null, now: () => 0 });
  const guest = new GuestInstance({
    module,
    plan: subject.plan,
    compiled: subject.compiled,
    imports,
    meter,
    memoryPagesMax: options.memoryPagesMax ?? 65_536,
    tableEntriesMax: options.tableEntriesMax ?? 1_000_000,
    onPoll: () => meter.takeStop() !== null,
    twins: new LocalTwins({
      module,
      plan: subject.plan,
      bodyStart: new Uint32Array(0),
      compiles: false,
    }),
  });
  const stage: Stage = { guest, meter, imports, pending: null, stopCall: -1, completing: false };
  return stage;
}

/** Carries a guest that was stopped into an instance of its own. */
function carryOver(from: Stage, subject: Subject, host: HostState, options: TrialOptions): Stage {
  const frames = from.guest.captureStack();
  const { memories, pages } = from.guest.captureMemory();
  const globals = from.guest.captureGlobals();
  const tables = from.guest.captureTables();
  const to = makeStage(subject, host, from.meter.used, options);
  to.guest.restoreMemory(memories, pages);
  to.guest.restoreTables(tables);
  to.guest.restoreGlobals(globals);
  to.guest.restoreStack(frames);
  to.pending = from.pending;
  return to;
}

/** Orders optimised twins for the stack that was taken down; says whether all are there. */
function optimise({ guest: { twins, frames } }: Stage): boolean {
  const places = Array.from({ length: frames.depth }, (_, frame) => frames.place(frame));
  const distinct = [...new Map(places.map((place) => [placeKey(place), place])).values()];
  twins.order(distinct, [], true);
  twins.takeArrived();
  return distinct.every((place) => twins.hasOptimised(place));
}

function goOn(stage: Stage): Outcome {
  const { pending } = stage;
  stage.pending = null;
  const resume = stage.guest.prepareResume(() => {
    if (pending === null) return undefined;
    stage.completing = true;
    return (stage.imports[pending.index] as (...args: unknown[]) => unknown)(...pending.args);
  });
  return resume();
}

function entriesOf(stage: Stage, names: readonly string[]): readonly WasmFunction[] {
  return names.flatMap((name, index) => {
    const entries = stage.guest.entries(name, false);
    return index === 0 ? entries : entries.slice(-1);
  });
}

/** Runs `subject` from its beginning to its end, stopping at each of `options.stops` that it comes to. */
export function runTrial(subject: Subject, options: TrialOptions = {}): Trial {
  const names = options.entries ?? ['_start'];
  const host: HostState = { args: ['guest', ...(options.args ?? [])], output: [], calls: 0 };
  const stops = [...(options.stops ?? [])];
  const ends: string[] = [];
  let stage = makeStage(subject, host, 0n, options);
  let hops = 0;
  let replaced = 0;
  let replaces = false;
  let deepest = 0;
  let frames = 0;
  const armNext = (): void => {
    const stop = stops.shift();
    replaces = stop?.replaces === true;
    if (stop?.at === 'call') stage.stopCall = stop.count;
    else if (stop !== undefined) stage.meter.stopAt(BigInt(stop.count));
  };
  armNext();
  for (let index = 0; index < entriesOf(stage, names).length; index++) {
    let outcome = stage.guest.run(entriesOf(stage, names)[index]!);
    while (outcome.kind === 'unwound') {
      hops++;
      deepest = Math.max(deepest, stage.guest.frames.depth);
      frames += stage.guest.frames.depth;
      if (!replaces) stage = carryOver(stage, subject, host, options);
      else if (optimise(stage)) replaced++;
      stage.stopCall = -1;
      armNext();
      outcome = goOn(stage);
    }
    if (outcome.kind === 'threw') options.onThrown?.(outcome.error, stage);
    ends.push(endOf(outcome));
    const isStart = index === 0 && subject.module.start !== undefined;
    if (outcome.kind === 'threw' && (isStart || isFinal(outcome.error))) break;
  }
  return {
    ending: {
      ends,
      output: host.output.join(''),
      fuel: stage.meter.used,
      calls: host.calls,
      state: digestState(stage.guest),
    },
    hops,
    replaced,
    deepest,
    frames,
  };
}

export function isFinal(error: unknown): boolean {
  return error instanceof Exit || error instanceof LimitReached;
}

function endOf(outcome: Outcome): string {
  if (outcome.kind !== 'threw') return outcome.kind;
  return endOfError(outcome.error);
}

export function endOfError(error: unknown): string {
  if (error instanceof Exit) return `exit ${error.status}`;
  if (error instanceof LimitReached) return `limit ${error.limit}`;
  if (error instanceof engine.RuntimeError || error instanceof RangeError) return error.message;
  throw error;
}

function digestState(guest: GuestInstance): string {
  const hash = createHash('sha256');
  for (const memory of guest.memories()) hash.update(memory);
  const { words, refs } = guest.captureGlobals();
  hash.update(words);
  hash.update(JSON.stringify([refs, guest.captureTables()]));
  return hash.digest('hex').slice(0, 16);
}
