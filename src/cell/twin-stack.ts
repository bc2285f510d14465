/**
 * Puts captured stacks up again: one twin a place, made when the place first occurs, and kept.
 *
 * A guest that is captured every second stands in much the same functions each time. A kept twin is in
 * the shared table already, and the engine has its code; so what a pause costs is what is new on the stack.
 */
import type { Layout } from '../instrument/layout.ts';
import type { ModuleFacts } from '../instrument/module-facts.ts';
import type { ModulePlan } from '../instrument/plan.ts';
import { ResumeModuleMaker } from '../instrument/resume-module.ts';
import { type EngineTable, engine, type WasmFunction } from '../wasm/engine.ts';
import type { FrameStack } from './frame-stack.ts';
import type { GuestExports } from './guest-exports.ts';

/** Twins kept at once; beyond that, all are dropped and made again as they are needed. */
const TWINS_MAX = 512;
/** More sites than any function has. */
const SITES_MAX = 2 ** 24;

interface Twin {
  readonly run: () => unknown;
  /** Where it stands in the table; its completion stands in the slot behind. */
  readonly slot: number;
}

export class TwinStack {
  readonly #maker: ResumeModuleMaker;
  readonly #exports: GuestExports;
  /** The module's function imports: twins call them without a detour. */
  readonly #imports: readonly WasmFunction[];
  readonly #twins = new Map<number, Twin>();
  readonly #table: EngineTable = new engine.Table({
    element: 'anyfunc',
    initial: TWINS_MAX * 2,
  });
  /** The stack that is being put up, and each frame's slot in the table. */
  #frames: FrameStack | null = null;
  #slots = new Int32Array(0);
  #complete: () => unknown = () => undefined;

  constructor(options: {
    readonly facts: ModuleFacts;
    readonly plan: ModulePlan;
    readonly layout: Layout;
    readonly exports: GuestExports;
    readonly imports: readonly WasmFunction[];
  }) {
    this.#maker = new ResumeModuleMaker(options.facts, options.plan, options.layout);
    this.#exports = options.exports;
    this.#imports = options.imports;
  }

  /** How many sites a function has; 0 when it can't stand on a captured stack. */
  siteCount(func: number): number {
    return this.#maker.siteCount(func);
  }

  /**
   * The outermost twin for the stack in `frames`. Called after `frames.rewind()`, it puts up frame after
   * frame, and then calls `complete` in place of what the innermost one was waiting in.
   */
  prepare(frames: FrameStack, complete: () => unknown): () => unknown {
    const twins = this.#twinsOf(frames);
    this.#frames = frames;
    this.#slots = Int32Array.from(twins, ({ slot }) => slot);
    this.#complete = complete;
    return twins[twins.length - 1]!.run;
  }

  /** The twin of each frame, the innermost one's first. */
  #twinsOf(frames: FrameStack): Twin[] {
    const places = Array.from({ length: frames.depth }, (_, frame) => {
      const { func, site } = frames.place(frame);
      return func * SITES_MAX + site;
    });
    const missing = new Set(places.filter((place) => !this.#twins.has(place)));
    if (this.#twins.size + missing.size > TWINS_MAX) {
      this.#twins.clear();
      for (const place of places) missing.add(place);
    }
    if (missing.size > 0) this.#makeTwins([...missing]);
    return places.map((place) => this.#twins.get(place)!);
  }

  #makeTwins(keys: readonly number[]): void {
    const places = keys.map((key) => ({
      func: Math.floor(key / SITES_MAX),
      site: key % SITES_MAX,
    }));
    const { bytes, functions } = this.#maker.make(places, 'twins');
    const { exports } = new engine.Instance(new engine.Module(bytes), {
      m: this.#exports.shared,
      h: {
        word: (): number => this.#frames!.word(),
        ref: (): WasmFunction | null => this.#frames!.ref(),
        next: (): number => this.#next(),
        complete: (): unknown => this.#complete(),
        twins: this.#table,
      },
      f: Object.fromEntries(
        functions.map((callee) => [
          callee,
          this.#imports[callee] ?? this.#exports.reference(callee),
        ]),
      ),
    });
    const needed = (this.#twins.size + keys.length) * 2 - Number(this.#table.length);
    if (needed > 0) this.#table.grow(needed);
    for (const [index, key] of keys.entries()) {
      const slot = this.#twins.size * 2;
      this.#table.set(slot, exports[`t${index}`] as WasmFunction);
      this.#table.set(slot + 1, exports[`c${index}`] as WasmFunction);
      this.#twins.set(key, { run: exports[`t${index}`] as () => unknown, slot });
    }
  }

  /** Slot of the next frame inside; of the completion of the innermost one's call beyond it. */
  #next(): number {
    const frame = this.#frames!.stepIn();
    return frame < 0 ? this.#slots[0]! + 1 : this.#slots[frame]!;
  }
}
