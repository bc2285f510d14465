/**
 * Finds what stands where in the instrumented module: the sites of a guest's functions, and what code
 * comes from.
 *
 * Nothing of that is kept when a module is instrumented: a function that is asked about is written again,
 * which comes out the same.
 */
import { bodyAt } from '../wasm/body-at.ts';
import { ByteWriter } from '../wasm/byte-writer.ts';
import { BodyEmitter } from './body-emitter.ts';
import { FunctionScanner } from './function-scan.ts';
import type { Layout } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';
import { Origins } from './origins.ts';
import { isCaptured, type ModulePlan } from './plan.ts';
import type { Origin } from './resume-module.ts';
import { type Place, SitePositions } from './site-positions.ts';

export class GuestSites {
  readonly #facts: ModuleFacts;
  readonly #plan: ModulePlan;
  /** Where bodies begin in the instrumented module, by defined function, those of the pass included. */
  readonly #bodyStart: Uint32Array;
  readonly #scan: FunctionScanner;
  readonly #emitter: BodyEmitter;
  readonly #body = new ByteWriter(65_536);
  readonly #known = new Map<number, SitePositions>();
  readonly #origins = new Map<number, Origins>();

  constructor(facts: ModuleFacts, plan: ModulePlan, layout: Layout, bodyStart: Uint32Array) {
    this.#facts = facts;
    this.#plan = plan;
    this.#bodyStart = bodyStart;
    this.#scan = new FunctionScanner(facts, plan);
    this.#emitter = new BodyEmitter(facts, plan, layout, this.#scan, this.#body);
  }

  /** The place whose call stands at `position` of the instrumented module; null where no site's does. */
  find(position: number): Place | null {
    const func = this.#functionAt(position);
    if (func < this.#facts.importedFunctions || func >= this.#facts.functions) return null;
    if (!isCaptured(this.#plan, func)) return null;
    let sites = this.#known.get(func);
    if (sites === undefined) {
      sites = this.#sitesOf(func);
      this.#known.set(func, sites);
    }
    return sites.find(position);
  }

  /** Where the code at `position` comes from; null for what the pass added. */
  originOf(position: number): Origin | null {
    // Where the engine knows the function alone, it names the byte before the body, which is of its length.
    const func = this.#functionAt(position + 1);
    const { importedFunctions, functions } = this.#facts;
    if (func < importedFunctions || func >= functions) return null;
    let origins = this.#origins.get(func);
    if (origins === undefined) {
      origins = new Origins();
      this.#origins.set(func, origins);
      this.#write(func, origins);
    }
    const start = this.#bodyStart[func - importedFunctions]!;
    return { func, ...origins.find(Math.max(0, position - start)) };
  }

  #write(func: number, origins: Origins | null): void {
    this.#body.clear();
    this.#emitter.origins = origins;
    if (isCaptured(this.#plan, func)) {
      this.#scan.scan(func);
      this.#emitter.captured();
    } else this.#emitter.plain(func);
  }

  #sitesOf(func: number): SitePositions {
    this.#write(func, null);
    const sites = new SitePositions();
    sites.add(func, this.#bodyStart[func - this.#facts.importedFunctions]!, this.#emitter);
    return sites;
  }

  /** The function whose body is the last that begins at or before `position`. */
  #functionAt(position: number): number {
    return bodyAt(this.#bodyStart, position) + this.#facts.importedFunctions;
  }
}
