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
import { DENY_MEMORY } from '../instrument/appended-functions.ts';
import { HOST_SLOTS, makeHostAdaptor, slotOf } from '../instrument/host-adaptor.ts';
import { EXPORT_PREFIX, GLOBAL, type Layout, layOut } from '../instrument/layout.ts';
import { type ModuleFacts, readFacts } from '../instrument/module-facts.ts';
import { decodePlan, type ModulePlan } from '../instrument/plan.ts';
import { type Place, type ResumeModule, ResumeModuleMaker } from '../instrument/resume-module.ts';
import {
  type EngineExport,
  type EngineGlobal,
  type EngineInstance,
  type EngineMemory,
  type EngineModule,
  type EngineTable,
  type EngineTag,
  engine,
  type WasmFunction,
} from '../wasm/engine.ts';
import type { WasmModule } from '../wasm/module.ts';
import { FrameStack } from './frame-stack.ts';
import type { FuelMeter } from './fuel-meter.ts';

/** How a stretch of running ended. */
export type Outcome =
  | { readonly kind: 'returned' }
  | { readonly kind: 'unwound' }
  | { readonly kind: 'threw'; readonly error: unknown };

/** Thrown through the guest when it reaches a cap. */
export class LimitReached {
  readonly limit: 'fuel' | 'memory' | 'table';

  constructor(limit: 'fuel' | 'memory' | 'table') {
    this.limit = limit;
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
  /** Called at each poll, fuel settled. True: unwind. May throw to end the guest. */
  readonly onPoll: () => boolean;
}

const RESUME_MODULES_KEPT = 32;

export class GuestInstance {
  readonly frames = new FrameStack();
  readonly #facts: ModuleFacts;
  readonly #plan: ModulePlan;
  readonly #layout: Layout;
  readonly #options: InstanceOptions;
  readonly #instance: EngineInstance;
  readonly #tag: EngineTag;
  readonly #fuel: EngineGlobal;
  readonly #maker: ResumeModuleMaker;
  readonly #resumeModules = new Map<string, { made: ResumeModule; compiled: EngineModule }>();
  /** What is being dumped or loaded: the stack, or the globals. */
  #values = this.frames;
  #slotOfFrame = new Int32Array(0);
  #completionSlot = 0;
  #complete: () => unknown = () => undefined;
  #indexOfFunction: Map<WasmFunction, number> | null = null;

  constructor(options: InstanceOptions) {
    this.#options = options;
    const facts = readFacts(options.module);
    this.#facts = facts;
    this.#plan = decodePlan(options.plan, facts.functions, facts.tableType.length);
    this.#layout = layOut(facts, this.#plan);
    this.#maker = new ResumeModuleMaker(facts, this.#plan, this.#layout);
    this.#checkFirstSizes();
    this.#instance = new engine.Instance(options.compiled, this.#importObject());
    this.#tag = this.#export(`tag:${this.#layout.tag}`) as EngineTag;
    this.#fuel = this.#ownGlobal(GLOBAL.fuel);
    this.#ownGlobal(GLOBAL.memoryCap).value = BigInt(options.memoryPagesMax);
    this.#ownGlobal(GLOBAL.tableCap).value = BigInt(options.tableEntriesMax);
    this.#fillPrivateTable();
  }

  // — running —

  /**
   * Functions to call, in order: the start function if there is one, then the entry. With `restored`,
   * those that are to be called once the stack in `frames` has come to its end; globals are restored.
   */
  entries(name: string, restored: boolean): readonly WasmFunction[] {
    const { exports, start } = this.#facts.module;
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
    const called = this.#instance.exports[name] as () => unknown;
    if (start === undefined) return restored ? [] : [called];
    const entered = this.#ownGlobal(GLOBAL.entered);
    const enter = (): unknown => {
      entered.value = 1;
      return called();
    };
    if (restored) return entered.value === 1 ? [] : [enter];
    return [this.#export('start') as WasmFunction, enter];
  }

  /** Runs a function of the guest until it returns, unwinds or throws. */
  run(entry: WasmFunction): Outcome {
    this.frames.clear();
    this.#fuel.value = this.#options.meter.nextSlice();
    try {
      (entry as () => unknown)();
    } catch (error) {
      return this.#settled(error);
    }
    this.#options.meter.settle(this.#fuel.value as number);
    return { kind: 'returned' };
  }

  /** Throw this from an import to unwind the guest. */
  unwinding(): unknown {
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
    const twins = this.#twinsFor();
    return () => this.#resume(twins, complete);
  }

  #resume(twins: () => unknown, complete: () => unknown): Outcome {
    const stack = this.frames;
    let started = false;
    this.#complete = () => {
      // All frames stand again: from here on, unwinding fills the list anew.
      started = true;
      stack.clear();
      return complete();
    };
    stack.rewind();
    this.#fuel.value = this.#options.meter.nextSlice();
    try {
      twins();
    } catch (error) {
      if (!started && error instanceof RangeError) {
        return {
          kind: 'threw',
          error: new HostError(
            'ERR_NOT_CAPTURABLE',
            'the captured stack is too deep to be put up again',
            {
              hint: 'give the guest a larger stack',
            },
          ),
        };
      }
      // Up to there, twins only load their frame and call the next one: they trap where it is another's.
      if (!started && error instanceof engine.RuntimeError) {
        return { kind: 'threw', error: mismatch('stack') };
      }
      return this.#settled(error);
    }
    this.#options.meter.settle(this.#fuel.value as number);
    return { kind: 'returned' };
  }

  #settled(error: unknown): Outcome {
    this.#options.meter.settle(this.#fuel.value as number);
    if (error instanceof engine.Exception && (error as TaggedException).is(this.#tag)) {
      return { kind: 'unwound' };
    }
    return { kind: 'threw', error };
  }

  // — state —

  /** Views of all memories; they go stale when the guest runs. */
  memories(): Uint8Array[] {
    return this.#memories().map(({ buffer }) => new Uint8Array(buffer));
  }

  /** The memory that WASI calls work on: the one exported as `memory`, else the first, else none. */
  wasiMemory(): EngineMemory | null {
    const exported = this.#facts.module.exports.find(
      ({ name, kind }) => name === 'memory' && kind === 'memory',
    );
    return this.#memories()[exported?.index ?? 0] ?? null;
  }

  captureStack(): ImageStack['frames'] {
    return this.frames.toImage((ref) => this.#indexOf(ref));
  }

  captureMemory(into?: Uint8Array<ArrayBuffer>): CapturedPages {
    return capturePages(this.memories(), into);
  }

  captureGlobals(): ImageValues {
    const globals = new FrameStack();
    globals.begin(0, 0);
    this.#values = globals;
    (this.#export('dump') as () => void)();
    this.#values = this.frames;
    const { words, refs } = globals.toImage((ref) => this.#indexOf(ref))[0]!;
    return { words, refs };
  }

  captureTables(): ImageTable[] {
    return this.#tables().map((table, index) => {
      const size = Number(table.length);
      if (this.#plan.changedTables[index] === 0) return { size, entries: null };
      const entries: (number | null)[] = [];
      for (let slot = 0; slot < size; slot++) {
        const entry = table.get(this.#facts.table64[index] ? BigInt(slot) : slot);
        entries.push(entry === null ? null : this.#indexOf(entry));
      }
      return { size, entries };
    });
  }

  restoreMemory(memories: readonly ImageMemory[], pages: Uint8Array): void {
    const own = this.#memories();
    if (memories.length !== own.length) throw mismatch('memories');
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
      const more = memories[index]!.sizePages - memory.buffer.byteLength / 65_536;
      if (more < 0) throw mismatch('memories');
      if (more > 0) memory.grow(this.#facts.memory64[index] ? BigInt(more) : more);
    });
    restorePages(this.memories(), memories, pages);
  }

  restoreGlobals(values: ImageValues): void {
    const globals = new FrameStack();
    globals.add(0, 0, values, (index) => this.#guestReference(index));
    globals.rewind();
    this.#values = globals;
    (this.#export('load') as () => void)();
    this.#values = this.frames;
  }

  restoreTables(tables: readonly ImageTable[]): void {
    const own = this.#tables();
    if (tables.length !== own.length) throw mismatch('tables');
    const total = tables.reduce((sum, { size }) => sum + size, 0);
    if (total > this.#options.tableEntriesMax) {
      throw new HostError(
        'ERR_RESOURCE_NOT_GRANTED',
        'the image needs more table entries than this run allows',
        { facts: { neededEntries: total, allowedEntries: this.#options.tableEntriesMax } },
      );
    }
    own.forEach((table, index) => {
      const { size, entries } = tables[index]!;
      const wide = this.#facts.table64[index] === 1;
      const more = size - Number(table.length);
      if (more < 0) throw mismatch('tables');
      if (more > 0) table.grow(wide ? BigInt(more) : more);
      entries?.forEach((entry, slot) => {
        const value = entry === null ? null : this.#guestReference(entry);
        table.set(wide ? BigInt(slot) : slot, value);
      });
    });
  }

  restoreStack(frames: ImageStack['frames']): void {
    this.frames.clear();
    const sites = new Map<number, number>();
    for (const { func, site, ...values } of frames) {
      let count = sites.get(func);
      if (count === undefined) {
        const exists = func >= this.#facts.importedFunctions && func < this.#facts.functions;
        count = exists ? this.#maker.siteCount(func) : 0;
        sites.set(func, count);
      }
      if (site >= count) throw mismatch('stack');
      this.frames.add(func, site, values, (index) => this.#guestReference(index));
    }
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
      deny: (kind: number): never => {
        throw new LimitReached(kind === DENY_MEMORY ? 'memory' : 'table');
      },
      word: (): number => this.#values.word(),
      ref: (): WasmFunction | null => this.#values.ref(),
    };
    const adaptor = new engine.Instance(new engine.Module(makeHostAdaptor()), {
      h: functions as unknown as Record<string, EngineExport>,
    });
    const table = this.#export(`table:${this.#layout.table}`) as EngineTable;
    for (const name of HOST_SLOTS) table.set(slotOf(name), adaptor.exports[name] as WasmFunction);
  }

  #poll(left: number): number {
    const { meter, onPoll } = this.#options;
    meter.polled(left);
    if (meter.isSpent) throw new LimitReached('fuel');
    if (onPoll()) throw this.unwinding();
    return meter.nextSlice();
  }

  /** The outermost twin of a resume module for the stack in `frames`. */
  #twinsFor(): () => unknown {
    const stack = this.frames;
    const places: Place[] = [];
    const numbers = new Map<number, number>();
    this.#slotOfFrame = new Int32Array(stack.depth);
    for (let frame = 0; frame < stack.depth; frame++) {
      const { func, site } = stack.place(frame);
      // The innermost frame's place is kept apart: its call is completed by the host.
      const key = func * 2 ** 20 + site;
      let number = numbers.get(key);
      if (number === undefined) {
        number = places.length;
        numbers.set(key, number);
        places.push({ func, site });
      }
      this.#slotOfFrame[frame] = number;
    }
    const outermost = this.#slotOfFrame[stack.depth - 1]!;
    const key = `${outermost};${places.map(({ func, site }) => `${func},${site}`).join(';')}`;
    let kept = this.#resumeModules.get(key);
    if (kept === undefined) {
      const made = this.#maker.make(places, outermost);
      kept = { made, compiled: new engine.Module(made.bytes) };
      if (this.#resumeModules.size >= RESUME_MODULES_KEPT) {
        this.#resumeModules.delete(this.#resumeModules.keys().next().value!);
      }
    }
    this.#resumeModules.delete(key);
    this.#resumeModules.set(key, kept);
    const { made, compiled } = kept;
    this.#completionSlot = made.completion;
    const instance = new engine.Instance(compiled, {
      m: this.#sharedExports(),
      h: {
        word: stack.word,
        ref: stack.ref,
        next: () => {
          const frame = stack.stepIn();
          return frame < 0 ? this.#completionSlot : this.#slotOfFrame[frame]!;
        },
        complete: () => this.#complete(),
      },
      f: Object.fromEntries(made.functions.map((func) => [func, this.#importable(func)])),
    });
    return instance.exports['run'] as () => unknown;
  }

  #sharedExports(): Record<string, EngineExport> {
    const shared: Record<string, EngineExport> = {};
    for (const [prefix, short] of [
      ['memory:', 'm'],
      ['table:', 't'],
      ['global:', 'g'],
      ['tag:', 'e'],
    ] as const) {
      for (const [name, value] of Object.entries(this.#instance.exports)) {
        const whole = EXPORT_PREFIX + prefix;
        if (name.startsWith(whole)) shared[short + name.slice(whole.length)] = value;
      }
    }
    return shared;
  }

  /** A function of the module as an import of another: imports as they came, without a detour. */
  #importable(func: number): WasmFunction {
    return func < this.#facts.importedFunctions
      ? this.#options.imports[func]!
      : this.#reference(func);
  }

  /** A reference that an image names: to a function of the guest, not to one of ours. */
  #guestReference(func: number): WasmFunction {
    const known = Number.isInteger(func) && func >= 0 && func < this.#facts.functions;
    if (!known) throw mismatch('references');
    return this.#reference(func);
  }

  #reference(func: number): WasmFunction {
    return (this.#export('reference') as (func: number) => WasmFunction)(func);
  }

  /** The index of a function, by its reference: every function is asked for once, when first needed. */
  #indexOf(ref: WasmFunction): number {
    if (this.#indexOfFunction === null) {
      this.#indexOfFunction = new Map();
      for (let func = 0; func < this.#facts.functions; func++) {
        this.#indexOfFunction.set(this.#reference(func), func);
      }
    }
    const index = this.#indexOfFunction.get(ref);
    if (index === undefined) {
      throw new HostError(
        'ERR_NOT_CAPTURABLE',
        'the guest holds a reference to a function of the host',
      );
    }
    return index;
  }

  #export(name: string): EngineExport {
    return this.#instance.exports[EXPORT_PREFIX + name]!;
  }

  #ownGlobal(index: number): EngineGlobal {
    return this.#export(`global:${this.#layout.firstGlobal + index}`) as EngineGlobal;
  }

  #memories(): EngineMemory[] {
    return this.#facts.module.memories.map(
      (_, index) => this.#export(`memory:${index}`) as EngineMemory,
    );
  }

  #tables(): EngineTable[] {
    return this.#facts.module.tables.map(
      (_, index) => this.#export(`table:${index}`) as EngineTable,
    );
  }
}

interface TaggedException {
  is(tag: EngineTag): boolean;
}

function mismatch(part: string): HostError {
  return new HostError('ERR_MALFORMED_IMAGE', `the image's ${part} do not fit the module`);
}
