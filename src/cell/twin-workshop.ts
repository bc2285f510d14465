/**
 * Makes twins for one guest: finds the places that a stack trace names, writes resume modules, compiles them.
 *
 * It needs nothing of the guest's instance, so it can work in another thread while the guest runs.
 */
import { HostError } from '../fault/host-error.ts';
import { GuestSites } from '../instrument/guest-sites.ts';
import { type Layout, layOut } from '../instrument/layout.ts';
import { type ModuleFacts, readFacts } from '../instrument/module-facts.ts';
import { decodePlan } from '../instrument/plan.ts';
import { ResumeModuleMaker } from '../instrument/resume-module.ts';
import { makeStandIn } from '../instrument/resume-sections.ts';
import { type Place, placeKey, type SitePositions } from '../instrument/site-positions.ts';
import {
  type EngineInstance,
  type EngineModule,
  engine,
  type WasmFunction,
} from '../wasm/engine.ts';
import { readModule, type WasmModule } from '../wasm/module.ts';
import { V128 } from '../wasm/value-type.ts';
import { compileOptimised, OPTIMISED_FUNCTIONS_MAX } from './optimised-compile.ts';
import type { Introduction } from './remote-twins.ts';
import {
  batchName,
  type CompiledTwins,
  GUEST_MODULE,
  type TracedCall,
  type TwinBatch,
  type TwinOrder,
  type TwinSource,
} from './twin-orders.ts';

/** Batches whose calls can still be found; older ones are hardly on any stack. */
const BATCHES_KNOWN_MAX = 256;

/** Optimised twins of a batch are compiled in some tens of milliseconds: a checkpoint may wait for them. */
const OPTIMISED_BYTES_MAX = 32_768;

export interface WorkshopOptions {
  /** The guest's own. */
  readonly module: WasmModule;
  readonly plan: Uint8Array;
  /** Where bodies begin in the instrumented module; empty when no calls will be traced. */
  readonly bodyStart: Uint32Array;
  /** Whether to have the engine compile twins at once instead of at their first call. */
  readonly compiles: boolean;
}

export class TwinWorkshop {
  readonly #facts: ModuleFacts;
  readonly #layout: Layout;
  readonly #maker: ResumeModuleMaker;
  readonly #sites: GuestSites;
  readonly #compiles: boolean;
  readonly #made = new Set<number>();
  readonly #optimised = new Set<number>();
  readonly #batches = new Map<number, SitePositions>();
  #standIn: EngineInstance | null = null;

  constructor({ module, plan, bodyStart, compiles }: WorkshopOptions) {
    const facts = readFacts(module);
    const decoded = decodePlan(plan, facts.functions, facts.tableType.length);
    const layout = layOut(facts, decoded);
    this.#facts = facts;
    this.#layout = layout;
    this.#maker = new ResumeModuleMaker(facts, decoded, layout);
    this.#sites = new GuestSites(facts, decoded, layout, bodyStart);
    this.#compiles = compiles;
  }

  /** Carries out an order. What can't be made is a failure in the batch. */
  make(order: TwinOrder): TwinBatch {
    const { number, optimised } = order;
    if (order.forget) {
      this.#made.clear();
      this.#optimised.clear();
    }
    const there = optimised ? this.#optimised : this.#made;
    const found = order.traced.map((call) => ({ call, place: this.#find(call) }));
    const wanted = new Map<number, Place>();
    for (const place of [...order.places, ...found.map(({ place }) => place)]) {
      if (place !== null && !there.has(placeKey(place))) wanted.set(placeKey(place), place);
    }
    try {
      const twins = wanted.size === 0 ? null : this.#write([...wanted.values()], number, optimised);
      for (const key of wanted.keys()) {
        this.#made.add(key);
        if (optimised) this.#optimised.add(key);
      }
      return { number, found, twins, failure: null };
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      const { code, message } = error;
      return { number, found, twins: null, failure: { code, message, hint: error.hint ?? null } };
    }
  }

  #find({ batch, position }: TracedCall): Place | null {
    if (batch === GUEST_MODULE) return this.#sites.find(position);
    return this.#batches.get(batch)?.find(position) ?? null;
  }

  #write(places: readonly Place[], number: number, optimised: boolean): CompiledTwins {
    const { bytes, functions, sites } = this.#maker.make(places, batchName(number));
    if (optimised) checkWorth(bytes, places);
    const module = optimised ? compileOptimised(bytes) : new engine.Module(bytes);
    if (this.#compiles && !optimised) this.#compile(module, functions, places);
    this.#batches.set(number, sites);
    for (const known of this.#batches.keys()) {
      if (this.#batches.size <= BATCHES_KNOWN_MAX) break;
      this.#batches.delete(known);
    }
    return { module, sizeBytes: bytes.length, functions, places, optimised };
  }

  /**
   * The engine compiles a function when it is first called: calls each twin, and ends it at its first step.
   * One that returns a vector can't be called from here, and is compiled when the guest needs it.
   */
  #compile(module: EngineModule, functions: readonly number[], places: readonly Place[]): void {
    const stop = (): never => {
      throw STOP;
    };
    this.#standIn ??= new engine.Instance(
      new engine.Module(makeStandIn(this.#facts, this.#layout)),
    );
    const { exports } = new engine.Instance(module, {
      m: this.#standIn.exports,
      h: {
        word: stop,
        ref: stop,
        next: stop,
        complete: stop,
        twins: new engine.Table({ element: 'anyfunc', initial: 0 }),
      },
      f: Object.fromEntries(functions.map((callee) => [callee, stop])),
    });
    const { functionType, typeResults } = this.#facts;
    for (const [index, { func }] of places.entries()) {
      if (typeResults[functionType[func]!]!.includes(V128)) continue;
      try {
        (exports[`t${index}`] as WasmFunction)();
      } catch (error) {
        if (error !== STOP) throw error;
      }
    }
  }
}

/** A workshop for the guest whose module is `bytes`, in another thread than the guest's. */
export function openWorkshop({
  bytes,
  plan,
  bodyStart,
}: Introduction & { readonly bytes: Uint8Array }): TwinWorkshop {
  return new TwinWorkshop({ module: readModule(bytes), plan, bodyStart, compiles: true });
}

/** Refuses to optimise what would take too long. */
function checkWorth(bytes: Uint8Array, places: readonly Place[]): void {
  if (places.length <= OPTIMISED_FUNCTIONS_MAX && bytes.length <= OPTIMISED_BYTES_MAX) return;
  throw new HostError('ERR_NOT_CAPTURABLE', 'these twins are too large to be optimised at once', {
    facts: { places: places.length, bytes: bytes.length },
  });
}

const STOP = { stop: 'a twin was called to be compiled' };

/** A workshop in the guest's own thread: what is ordered is made while the guest waits. */
export class LocalTwins implements TwinSource {
  readonly makesAhead = false;
  readonly #options: WorkshopOptions;
  #workshop: TwinWorkshop | null = null;
  readonly #batches: TwinBatch[] = [];

  constructor(options: WorkshopOptions) {
    this.#options = options;
  }

  send(order: TwinOrder): void {
    this.#workshop ??= new TwinWorkshop(this.#options);
    this.#batches.push(this.#workshop.make(order));
  }

  arrived(): TwinBatch | null {
    return this.#batches.shift() ?? null;
  }

  receive(): TwinBatch {
    return this.#batches.shift()!;
  }
}
