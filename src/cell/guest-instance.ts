/**
 * One instance of a guest's module: run it, take its stack down, put it up again.
 *
 * To capture, a host function throws the guest's unwinding tag. Every guest function on the stack hands
 * its frame to `FrameStack` and throws on, until the call from here ends with the tag. To go on, a resume
 * module is made for the places on the stack, and its outermost twin is called instead.
 *
 * Invariants:
 * 1. Between `unwound` and `resume` no guest code runs, and the stack is in `frames`.
 * 2. Everything that a later instance needs is in memories, tables, globals, frames, the pending call and
 *    the fuel used: the plan and the resume module are made again from the guest's module.
 * 3. A place in an image that does not exist in the module is refused before any guest code runs.
 */

import { HostError } from '../fault/host-error.ts';
import type { ImageMemory, ImageStack, ImageTable, ImageValues } from '../image/image.ts';
import { type CapturedPages, capturePages, restorePages } from '../image/memory-capture.ts';
import { HOST_SLOTS, makeHostAdaptor, slotOf } from '../instrument/host-adaptor.ts';
import { DENY_MEMORY, GLOBAL, layOut } from '../instrument/layout.ts';
import { type ModuleFacts, readFacts } from '../instrument/module-facts.ts';
import { decodePlan, type ModulePlan } from '../instrument/plan.ts';
import { canExist } from '../instrument/site-positions.ts';
import { type LimitName, LimitReached } from '../resource/limit-reached.ts';
import {
  type EngineExport,
  type EngineGlobal,
  type EngineInstance,
  type EngineMemory,
  type EngineModule,
  type EngineTag,
  engine,
  type WasmFunction,
} from '../wasm/engine.ts';
import type { WasmModule } from '../wasm/module.ts';
import { FrameStack } from './frame-stack.ts';
import type { FuelMeter } from './fuel-meter.ts';
import { GuestExports, imageMismatch } from './guest-exports.ts';
import { leaveTracesOut, noteTraces } from './trace-limit.ts';
import type { TwinSource } from './twin-orders.ts';
import { TwinStack } from './twin-stack.ts';

/** How a stretch of running ended. */
export type Outcome =
  | { readonly kind: 'returned' }
  | { readonly kind: 'unwound' }
  | { readonly kind: 'threw'; readonly error: unknown };

/** Thrown when the module's segments don't fit into its memories and tables: a trap before any of its code. */
export class InstantiationTrap {
  readonly message: string;

  constructor(message: string) {
    this.message = message;
  }
}

export interface InstanceOptions {
  readonly module: WasmModule;
  readonly plan: Uint8Array;
  readonly compiled: EngineModule;
  /** The module's function imports, in their order. */
  readonly imports: readonly WasmFunction[];
  readonly meter: FuelMeter;
  readonly memoryPagesMax: number;
  readonly tableEntriesMax: number;
  /**
   * Told of a limit, in place of ending the guest at it: `onPoll` answers for the fuel at the poll where it is
   * used up. More memory than the guest may have it gets, up to twice as much, until the next safepoint.
   */
  readonly onLimit?: ((limit: LimitName) => void) | undefined;
  /** Called at each poll, fuel settled. True: unwind. May throw to end the guest. */
  readonly onPoll: () => boolean;
  /** Where twins are made. */
  readonly twins: TwinSource;
}

const PAGE_BYTES = 65_536;
const COMMAND_ENTRY = '_start';
const REACTOR_ENTRY = '_initialize';

export class GuestInstance {
  readonly frames = new FrameStack();
  readonly #facts: ModuleFacts;
  readonly #plan: ModulePlan;
  readonly #options: InstanceOptions;
  readonly #exports: GuestExports;
  /** Holds the guest's stack while it is put up again. */
  readonly twins: TwinStack;
  readonly #tag: EngineTag;
  readonly #fuel: EngineGlobal;
  /** What the guest has beyond its limit, until it is captured for it. */
  #overdraft: { readonly limit: 'memory' | 'table'; readonly total: bigint } | null = null;
  /** What is being dumped or loaded: the stack, or the globals. */
  #values = this.frames;

  constructor(options: InstanceOptions) {
    this.#options = options;
    const facts = readFacts(options.module);
    this.#facts = facts;
    this.#plan = decodePlan(options.plan, facts.functions, facts.tableType.length);
    this.#checkFirstSizes();
    const layout = layOut(facts, this.#plan);
    const instance = instantiate(options.compiled, this.#importObject());
    const exports = new GuestExports(instance, facts, layout);
    this.#exports = exports;
    this.twins = new TwinStack({ source: options.twins, exports, imports: options.imports });
    this.#tag = exports.unwindTag;
    this.#fuel = exports.global(GLOBAL.fuel);
    exports.global(GLOBAL.memoryCap).value = BigInt(options.memoryPagesMax);
    exports.global(GLOBAL.tableCap).value = BigInt(options.tableEntriesMax);
    this.#fillPrivateTable();
  }

  // — running —

  /**
   * Functions to call, in order: the start function, `_initialize`, and the entry, as far as there are any.
   * With `restored`, those that are to be called once the stack in `frames` has come to its end; globals
   * are restored.
   *
   * `invoke` null is `_start`. A reactor has `_initialize` in its place, which comes before whatever is
   * invoked, and is all that happens when nothing is.
   *
   * Source: WASI application ABI, "command" and "reactor".
   */
  entries(invoke: string | null, restored: boolean): readonly WasmFunction[] {
    const steps: WasmFunction[] = [];
    if (this.#facts.module.start !== undefined) steps.push(this.#exports.startFunction);
    const isReactor = !this.#hasFunction(COMMAND_ENTRY) && this.#hasFunction(REACTOR_ENTRY);
    if (isReactor && invoke !== REACTOR_ENTRY) steps.push(this.#entry(REACTOR_ENTRY));
    if (invoke !== null || !isReactor) steps.push(this.#entry(invoke ?? COMMAND_ENTRY));
    // A stack that was captured belongs to one of the steps; which one, a global of the instance says.
    const entered = this.#exports.global(GLOBAL.entered);
    const numbered = steps.map((step, index) => () => {
      entered.value = index;
      return (step as () => unknown)();
    });
    return restored ? numbered.slice((entered.value as number) + 1) : numbered;
  }

  #hasFunction(name: string): boolean {
    return this.#facts.module.exports.some(
      (candidate) => candidate.name === name && candidate.kind === 'func',
    );
  }

  /** The exported function `name`; ERR_NO_ENTRY when there is none, or it takes parameters. */
  #entry(name: string): WasmFunction {
    const { exports } = this.#facts.module;
    const entry = exports.find((candidate) => candidate.name === name && candidate.kind === 'func');
    if (entry === undefined) {
      throw new HostError(
        'ERR_NO_ENTRY',
        `the module exports no function ${JSON.stringify(name)}`,
        {
          hint: 'name one of its exported functions with --invoke',
        },
      );
    }
    const type = this.#facts.functionType[entry.index]!;
    if (this.#facts.typeParams[type]!.length > 0) {
      throw new HostError('ERR_NO_ENTRY', `the function ${JSON.stringify(name)} takes parameters`, {
        hint: 'call a function without parameters',
      });
    }
    return this.#exports.own(name) as WasmFunction;
  }

  /** Runs a function of the guest until it returns, unwinds or throws. */
  run(entry: WasmFunction): Outcome {
    this.frames.clear();
    return this.#guarded(entry as () => unknown);
  }

  /** Throw this from an import to unwind the guest. */
  unwinding(): unknown {
    leaveTracesOut();
    return new engine.Exception(this.#tag, []);
  }

  /**
   * Makes ready to put the stack in `frames` up again; the function returned does it and runs on.
   *
   * `complete` finishes the call that the innermost frame was waiting in, and returns its result; it may
   * throw `unwinding()` once more.
   */
  prepareResume(complete: () => unknown): () => Outcome {
    // Without a frame the entry is itself an import.
    if (this.frames.depth === 0) return () => this.run(complete as WasmFunction);
    const frames = this.frames;
    let stands = false;
    const twins = this.twins.prepare(frames, () => {
      // All frames stand again: from here on, unwinding fills the list anew.
      stands = true;
      frames.clear();
      return complete();
    });
    return () => {
      frames.rewind();
      const outcome = this.#guarded(twins);
      // Up to there, twins only load their frame and call the next one.
      return stands ? outcome : notPutUp(outcome);
    };
  }

  /** Calls into the guest with fuel, and settles what it used. */
  #guarded(call: () => unknown): Outcome {
    const { meter } = this.#options;
    const { stackTraceLimit } = Error;
    this.#fuel.value = meter.nextSlice();
    noteTraces();
    try {
      call();
    } catch (error) {
      meter.settle(this.#fuel.value as number);
      const unwound = error instanceof engine.Exception && (error as Tagged).is(this.#tag);
      return unwound ? { kind: 'unwound' } : { kind: 'threw', error };
    } finally {
      Error.stackTraceLimit = stackTraceLimit;
    }
    meter.settle(this.#fuel.value as number);
    return { kind: 'returned' };
  }

  // — state —

  /** Views of all memories; they go stale when the guest runs. */
  memories(): Uint8Array[] {
    return this.#exports.memories.map(({ buffer }) => new Uint8Array(buffer));
  }

  /** The memory that WASI calls work on: the one exported as `memory`, else the first, else none. */
  wasiMemory(): EngineMemory | null {
    return this.#exports.memories[this.wasiMemoryIndex] ?? null;
  }

  get wasiMemoryIndex(): number {
    const exported = this.#facts.module.exports.find(
      ({ name, kind }) => name === 'memory' && kind === 'memory',
    );
    return exported?.index ?? 0;
  }

  captureStack(): ImageStack['frames'] {
    return this.frames.toImage((ref) => this.#exports.indexOf(ref));
  }

  /** `beside`: views of other memories that go into the image, behind the guest's own. */
  captureMemory(into?: Uint8Array<ArrayBuffer>, beside: readonly Uint8Array[] = []): CapturedPages {
    return capturePages([...this.memories(), ...beside], into);
  }

  captureGlobals(): ImageValues {
    const globals = new FrameStack();
    globals.begin(0, 0);
    this.#values = globals;
    this.#exports.dumpGlobals();
    this.#values = this.frames;
    const { words, refs } = globals.toImage((ref) => this.#exports.indexOf(ref))[0]!;
    return { words, refs };
  }

  captureTables(): ImageTable[] {
    return this.#exports.tables.map((table, index) => {
      const size = Number(table.length);
      if (this.#plan.changedTables[index] === 0) return { size, entries: null };
      const entries: (number | null)[] = [];
      for (let slot = 0; slot < size; slot++) {
        const entry = table.get(this.#facts.table64[index] ? BigInt(slot) : slot);
        entries.push(entry === null ? null : this.#exports.indexOf(entry));
      }
      return { size, entries };
    });
  }

  restoreMemory(memories: readonly ImageMemory[], pages: Uint8Array): void {
    const own = this.#exports.memories;
    if (memories.length !== own.length) throw imageMismatch('memories');
    let total = 0;
    for (const { sizePages } of memories) total += sizePages;
    if (total > this.#options.memoryPagesMax) {
      throw new HostError(
        'ERR_RESOURCE_NOT_GRANTED',
        'the image needs more memory than this run allows',
        {
          facts: { neededPages: total, allowedPages: this.#options.memoryPagesMax },
          hint: 'raise --max-memory',
        },
      );
    }
    own.forEach((memory, index) => {
      const more = memories[index]!.sizePages - memory.buffer.byteLength / PAGE_BYTES;
      if (more < 0) throw imageMismatch('memories');
      if (more > 0) memory.grow(this.#facts.memory64[index] ? BigInt(more) : more);
    });
    restorePages(this.memories(), memories, pages);
  }

  restoreGlobals(values: ImageValues): void {
    const globals = new FrameStack();
    globals.add(0, 0, values, (index) => this.#exports.guestReference(index));
    globals.rewind();
    this.#values = globals;
    this.#exports.loadGlobals();
    this.#values = this.frames;
  }

  restoreTables(tables: readonly ImageTable[]): void {
    const own = this.#exports.tables;
    if (tables.length !== own.length) throw imageMismatch('tables');
    const total = tables.reduce((sum, { size }) => sum + size, 0);
    if (total > this.#options.tableEntriesMax) {
      throw new HostError(
        'ERR_RESOURCE_NOT_GRANTED',
        'the image needs more table entries than this run allows',
        {
          facts: { neededEntries: total, allowedEntries: this.#options.tableEntriesMax },
          hint: 'raise --max-table',
        },
      );
    }
    own.forEach((table, index) => {
      const { size, entries } = tables[index]!;
      const wide = this.#facts.table64[index] === 1;
      const more = size - Number(table.length);
      if (more < 0) throw imageMismatch('tables');
      if (more > 0) table.grow(wide ? BigInt(more) : more);
      entries?.forEach((entry, slot) => {
        const value = entry === null ? null : this.#exports.guestReference(entry);
        table.set(wide ? BigInt(slot) : slot, value);
      });
    });
  }

  restoreStack(frames: ImageStack['frames']): void {
    this.frames.clear();
    if (!frames.every(canExist)) throw imageMismatch('stack');
    for (const { func, site, ...values } of frames) {
      this.frames.add(func, site, values, (index) => this.#exports.guestReference(index));
    }
    this.twins.need(frames);
  }

  // — inside —

  #checkFirstSizes(): void {
    const { memories, tables } = this.#facts.module;
    const pages = memories.reduce((sum, { min }) => sum + min, 0);
    if (pages > this.#options.memoryPagesMax) throw new LimitReached('memory');
    const entries = tables.reduce((sum, { min }) => sum + min, 0);
    if (entries > this.#options.tableEntriesMax) throw new LimitReached('table');
  }

  #importObject(): Record<string, Record<string, EngineExport>> {
    const object: Record<string, Record<string, EngineExport>> = Object.create(null);
    this.#facts.module.imports.forEach(({ module, name }, index) => {
      object[module] ??= Object.create(null) as Record<string, EngineExport>;
      object[module]![name] = this.#options.imports[index]!;
    });
    return object;
  }

  #fillPrivateTable(): void {
    const functions = {
      poll: (left: number): number => this.#poll(left),
      begin: (func: number, site: number): void => this.#values.begin(func, site),
      save8: (...words: Parameters<FrameStack['save8']>): void => this.#values.save8(...words),
      saveRef: (ref: WasmFunction | null): void => this.#values.saveRef(ref),
      deny: (kind: number, delta: bigint): void => this.#deny(kind, delta),
      word: (): number => this.#values.word(),
      ref: (): WasmFunction | null => this.#values.ref(),
    };
    const adaptor = new engine.Instance(new engine.Module(makeHostAdaptor()), {
      h: functions as unknown as Record<string, EngineExport>,
    });
    const table = this.#exports.hostTable;
    for (const name of HOST_SLOTS) table.set(slotOf(name), adaptor.exports[name] as WasmFunction);
  }

  /**
   * A guest that may not grow is in the middle of an instruction, where nothing can be captured. Where it is to
   * be kept, it may grow up to twice what it may have, and is captured at its next safepoint, which is at most
   * 256 turns of a loop away; else it ends.
   */
  #deny(kind: number, delta: bigint): void {
    const limit = kind === DENY_MEMORY ? 'memory' : 'table';
    const { meter, onLimit } = this.#options;
    const { memoryPagesMax, tableEntriesMax } = this.#options;
    const most = 2n * BigInt(limit === 'memory' ? memoryPagesMax : tableEntriesMax);
    const total = this.#total(limit) + delta;
    if (onLimit === undefined || total > most) throw new LimitReached(limit);
    this.#overdraft = { limit, total };
    this.#exports.global(limit === 'memory' ? GLOBAL.memoryCap : GLOBAL.tableCap).value = total;
    this.#fuel.value = meter.cutSlice(this.#fuel.value as number);
    onLimit(limit);
  }

  /** Where the system did not give what the guest may have until then, its call failed: it just ends. */
  #checkOverdraft(): void {
    if (this.#overdraft === null) return;
    const { limit, total } = this.#overdraft;
    if (this.#total(limit) < total) throw new LimitReached(limit);
  }

  /** Pages, or entries, that the guest has now. */
  #total(limit: 'memory' | 'table'): bigint {
    const { memories, tables } = this.#exports;
    const sizes =
      limit === 'memory'
        ? memories.map(({ buffer }) => buffer.byteLength / PAGE_BYTES)
        : tables.map(({ length }) => Number(length));
    return BigInt(sizes.reduce((sum, size) => sum + size, 0));
  }

  #poll(left: number): number {
    const { meter, onLimit, onPoll } = this.#options;
    meter.polled(left);
    if (meter.isSpent && onLimit === undefined) throw new LimitReached('fuel');
    this.#checkOverdraft();
    if (onPoll()) throw this.unwinding();
    return meter.nextSlice();
  }
}

/** What the engine writes before its reason. */
const ENGINE_PREFIX = /^WebAssembly\.Instance\(\): /;

function instantiate(
  compiled: EngineModule,
  imports: Record<string, Record<string, EngineExport>>,
): EngineInstance {
  try {
    return new engine.Instance(compiled, imports);
  } catch (error) {
    if (!(error instanceof engine.RuntimeError)) throw error;
    throw new InstantiationTrap(error.message.replace(ENGINE_PREFIX, ''));
  }
}

interface Tagged {
  is(tag: EngineTag): boolean;
}

/** Why a stack did not stand: too little room, or a frame that is another function's. */
function notPutUp(outcome: Outcome): Outcome {
  if (outcome.kind !== 'threw') return outcome;
  const { error } = outcome;
  if (error instanceof RangeError) {
    return {
      kind: 'threw',
      error: new HostError(
        'ERR_NOT_CAPTURABLE',
        'the captured stack is too deep to be put up again',
        {
          hint: 'restore the checkpoint: a guest that is restored has more room, unless this one was; then restore an earlier one',
        },
      ),
    };
  }
  if (error instanceof engine.RuntimeError) return { kind: 'threw', error: imageMismatch('stack') };
  return outcome;
}
