/**
 * Puts captured stacks up again: one twin a place, ordered when the place first occurs, and kept.
 *
 * A guest that is captured every second stands in much the same functions each time. A kept twin is in
 * the shared table already, and the engine has its code; so what a pause costs is what is new on the stack.
 *
 * Invariants:
 * 1. A twin that is in `#twins` stands in the table, at its slot.
 * 2. Twins are dropped only all at once, and the source is told so with the next order. An optimised twin
 *    takes the slot of the one that was there.
 */
import { HostError } from '../fault/host-error.ts';
import { type Place, placeKey } from '../instrument/site-positions.ts';
import { type EngineTable, engine, type WasmFunction } from '../wasm/engine.ts';
import type { FrameStack } from './frame-stack.ts';
import type { GuestExports } from './guest-exports.ts';
import type { CompiledTwins, TracedCall, TwinBatch, TwinSource } from './twin-orders.ts';

/** Twins kept at once, and the size of their modules; beyond that, all are dropped and ordered anew. */
const TWINS_MAX = 512;
const BYTES_MAX = 2 ** 24;

/** As many as the workshop knows. */
const BATCHES_KNOWN_MAX = 256;

/** Calls that are remembered; beyond that, all are forgotten and found anew. */
const CALLS_MAX = 65_536;
const POSITIONS_MAX = 2 ** 32;

interface Twin {
  readonly run: () => unknown;
  readonly optimised: boolean;
  /** Where it stands in the table; its completion stands in the slot behind. */
  readonly slot: number;
}

export class TwinStack {
  readonly #source: TwinSource;
  readonly #exports: GuestExports;
  /** The module's function imports: twins call them without a detour. */
  readonly #imports: readonly WasmFunction[];
  readonly #twins = new Map<number, Twin>();
  /** By call: the place that waits there, or null for a call that is no site's. */
  readonly #calls = new Map<number, Place | null>();
  readonly #table: EngineTable = new engine.Table({
    element: 'anyfunc',
    initial: TWINS_MAX * 2,
  });
  /** Which twins are in the module of a batch; of the newest batches, as older ones are hardly on any stack. */
  readonly #batches = new Map<number, readonly Place[]>();
  /** Batches whose twins are optimised. */
  readonly #optimised = new Set<number>();
  #sizeBytes = 0;
  #forget = false;
  /** Numbers of the order placed last and of the batch received last. */
  #ordered = 0;
  #received = 0;
  /** The stack that is being put up, and each frame's slot in the table. */
  #frames: FrameStack | null = null;
  #slots = new Int32Array(0);
  #complete: () => unknown = () => undefined;

  constructor(options: {
    readonly source: TwinSource;
    readonly exports: GuestExports;
    readonly imports: readonly WasmFunction[];
  }) {
    this.#source = options.source;
    this.#exports = options.exports;
    this.#imports = options.imports;
  }

  /**
   * The outermost twin for the stack in `frames`. Called after `frames.rewind()`, it puts up frame after
   * frame, and then calls `complete` in place of what the innermost one was waiting in.
   *
   * - ERR_MALFORMED_IMAGE: the module has no such place.
   * - ERR_NOT_CAPTURABLE: a twin would be larger than the engine takes.
   */
  prepare(frames: FrameStack, complete: () => unknown): () => unknown {
    const places = Array.from({ length: frames.depth }, (_, frame) => frames.place(frame));
    this.need(places);
    const twins = places.map((place) => this.#twins.get(placeKey(place))!);
    this.#frames = frames;
    this.#slots = Int32Array.from(twins, ({ slot }) => slot);
    this.#complete = complete;
    return twins[twins.length - 1]!.run;
  }

  has(place: Place): boolean {
    return this.#twins.has(placeKey(place));
  }

  hasOptimised(place: Place): boolean {
    return this.#twins.get(placeKey(place))?.optimised === true;
  }

  /** The places of the twins in a batch's module, in their order; undefined for one long ago. */
  placesOf(batch: number): readonly Place[] | undefined {
    return this.#batches.get(batch);
  }

  /** Whether the twins of that batch are optimised. */
  isOptimised(batch: number): boolean {
    return this.#optimised.has(batch);
  }

  /** The place of a call; null for one that is no site's, undefined for one that was not ordered yet. */
  placeOf(call: TracedCall): Place | null | undefined {
    return this.#calls.get(callKey(call));
  }

  /** Whether it helps to order before the twins are needed. */
  get makesAhead(): boolean {
    return this.#source.makesAhead;
  }

  /** Whether an order is still to be answered. */
  get isWaiting(): boolean {
    return this.#received < this.#ordered;
  }

  /** Orders twins for places, and for calls that a trace found; they come while the guest runs on. */
  order(places: readonly Place[], traced: readonly TracedCall[], optimised = false): void {
    this.#makeRoom(places.length + traced.length);
    this.#send(places, traced, optimised);
  }

  /** Takes in a batch that has come; null when there is none. */
  takeArrived(): TwinBatch | null {
    const batch = this.#source.arrived();
    if (batch !== null) this.#takeIn(batch);
    return batch;
  }

  /** Has a twin for each place, or throws as `prepare` does. */
  need(places: readonly Place[]): void {
    const missing = (): Place[] => places.filter((place) => !this.has(place));
    if (missing().length === 0) return;
    while (this.isWaiting) this.#takeIn(this.#source.receive());
    this.#makeRoom(places.length);
    const wanted = missing();
    if (wanted.length === 0) return;
    this.#send(wanted, [], false);
    const { failure } = this.#takeIn(this.#source.receive());
    if (failure === null) return;
    const { code, message, hint } = failure;
    throw new HostError(code, message, hint === null ? {} : { hint });
  }

  #send(places: readonly Place[], traced: readonly TracedCall[], optimised: boolean): void {
    const forget = this.#forget;
    this.#forget = false;
    this.#source.send({ number: ++this.#ordered, places, traced, optimised, forget });
  }

  #makeRoom(places: number): void {
    if (this.#twins.size + places <= TWINS_MAX && this.#sizeBytes <= BYTES_MAX) return;
    this.#twins.clear();
    this.#sizeBytes = 0;
    this.#forget = true;
  }

  #takeIn(batch: TwinBatch): TwinBatch {
    this.#received = batch.number;
    if (this.#calls.size > CALLS_MAX) this.#calls.clear();
    for (const { call, place } of batch.found) this.#calls.set(callKey(call), place);
    if (batch.twins !== null) {
      this.#instantiate(batch.twins);
      // Nothing of a captured frame but its place is to stay.
      const places = batch.twins.places.map(({ func, site }) => ({ func, site }));
      this.#batches.set(batch.number, places);
      if (this.#batches.size > BATCHES_KNOWN_MAX) {
        this.#batches.delete(this.#batches.keys().next().value!);
      }
      if (batch.twins.optimised) this.#optimised.add(batch.number);
    }
    return batch;
  }

  #instantiate({ module, sizeBytes, functions, places, optimised }: CompiledTwins): void {
    const { exports } = new engine.Instance(module, {
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
    const needed = (this.#twins.size + places.length) * 2 - Number(this.#table.length);
    if (needed > 0) this.#table.grow(needed);
    for (const [index, place] of places.entries()) {
      const key = placeKey(place);
      const slot = this.#twins.get(key)?.slot ?? this.#twins.size * 2;
      const run = exports[`t${index}`] as WasmFunction;
      this.#table.set(slot, run);
      this.#table.set(slot + 1, exports[`c${index}`] as WasmFunction);
      this.#twins.set(key, { run: run as () => unknown, slot, optimised });
    }
    this.#sizeBytes += sizeBytes;
  }

  /** Slot of the next frame inside; of the completion of the innermost one's call beyond it. */
  #next(): number {
    const frame = this.#frames!.stepIn();
    return frame < 0 ? this.#slots[0]! + 1 : this.#slots[frame]!;
  }
}

function callKey({ batch, position }: TracedCall): number {
  return batch * POSITIONS_MAX + position;
}
