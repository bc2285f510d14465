/**
 * Puts a captured stack up again: makes the resume module for its places, or takes one made before.
 *
 * A guest that is captured every second mostly stands in one of a few shapes of stack, so the modules
 * made last are kept.
 */
import type { Layout } from '../instrument/layout.ts';
import type { ModuleFacts } from '../instrument/module-facts.ts';
import type { ModulePlan } from '../instrument/plan.ts';
import { type Place, type ResumeModule, ResumeModuleMaker } from '../instrument/resume-module.ts';
import { type EngineModule, engine, type WasmFunction } from '../wasm/engine.ts';
import type { FrameStack } from './frame-stack.ts';
import type { GuestExports } from './guest-exports.ts';

const RESUME_MODULES_KEPT = 32;
/** More sites than any function has. */
const SITES_MAX = 2 ** 24;

interface Kept {
  readonly made: ResumeModule;
  readonly compiled: EngineModule;
}

export class TwinStack {
  readonly #maker: ResumeModuleMaker;
  readonly #exports: GuestExports;
  /** The module's function imports: twins call them without a detour. */
  readonly #imports: readonly WasmFunction[];
  readonly #kept = new Map<string, Kept>();

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
    const { places, slots } = placesOf(frames);
    const { made, compiled } = this.#moduleFor(places, slots[slots.length - 1]!);
    const functions = made.functions.map((func) => [
      func,
      this.#imports[func] ?? this.#exports.reference(func),
    ]);
    const instance = new engine.Instance(compiled, {
      m: this.#exports.shared(),
      h: {
        word: frames.word,
        ref: frames.ref,
        next: () => slots[frames.stepIn()] ?? made.completion,
        complete,
      },
      f: Object.fromEntries(functions) as Record<string, WasmFunction>,
    });
    return instance.exports['run'] as () => unknown;
  }

  #moduleFor(places: readonly Place[], outermost: number): Kept {
    const key = `${outermost};${places.map(({ func, site }) => `${func},${site}`).join(';')}`;
    let kept = this.#kept.get(key);
    if (kept === undefined) {
      const made = this.#maker.make(places, outermost);
      kept = { made, compiled: new engine.Module(made.bytes) };
      if (this.#kept.size >= RESUME_MODULES_KEPT) {
        this.#kept.delete(this.#kept.keys().next().value!);
      }
    }
    // The one used last comes last, and is dropped last.
    this.#kept.delete(key);
    this.#kept.set(key, kept);
    return kept;
  }
}

/** The different places of a stack, the innermost frame's first, and which of them each frame stands at. */
function placesOf(frames: FrameStack): { places: Place[]; slots: Int32Array } {
  const places: Place[] = [];
  const numbers = new Map<number, number>();
  const slots = new Int32Array(frames.depth);
  for (let frame = 0; frame < frames.depth; frame++) {
    const { func, site } = frames.place(frame);
    const key = func * SITES_MAX + site;
    let number = numbers.get(key);
    if (number === undefined) {
      number = places.length;
      numbers.set(key, number);
      places.push({ func, site });
    }
    slots[frame] = number;
  }
  return { places, slots };
}
