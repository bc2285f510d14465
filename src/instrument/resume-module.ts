/**
 * The module that puts frames of a captured stack back: a twin for each of its places, a function and a
 * site.
 *
 * It imports everything that guest code may name, in the guest's own order, so that bodies can be copied:
 * memories, tables, globals and the tag have the same indices as in the instrumented module, and types
 * too. Only functions have others; they are imported as far as the twins call them.
 *
 * Twins call each other through a table that the host fills, because which frame comes next is the host's
 * to say: a function that stands on the stack ten thousand times needs one twin, and one that is captured
 * at the same place every second keeps its twin and the engine's code for it.
 *
 * | import | name |
 * |---|---|
 * | `m` | `m0` …, `t0` …, `g0` …, `e0` …: memories, tables, globals, tags of the guest's instance |
 * | `h` | `word`, `ref`, `next`, `complete`: the host; `twins`: the table |
 * | `f` | a function of the guest's module, by its index |
 *
 * | export | what |
 * |---|---|
 * | `t0` … | by place, `[] → results of the function`: puts the frame up, calls `twins[next()]`, goes on |
 * | `c0` … | by place, the host's function as a wasm function, `[] → results of the site`: ends the chain |
 */
import { HostError } from '../fault/host-error.ts';
import {
  BRANCH_HINT_SECTION,
  encodeBranchHints,
  type FunctionBranchHints,
} from '../wasm/branch-hints.ts';
import { ByteWriter } from '../wasm/byte-writer.ts';
import { BODY_BYTES_MAX } from '../wasm/limits.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';
import { type ModuleEdits, writeNewModule } from '../wasm/writer.ts';
import { BodyEmitter, type TwinTarget } from './body-emitter.ts';
import { FunctionScanner } from './function-scan.ts';
import type { FuncType, Layout } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';
import { Origins } from './origins.ts';
import { isCaptured, type ModulePlan } from './plan.ts';
import { importSection, typeSection } from './resume-sections.ts';
import { type Place, SitePositions } from './site-positions.ts';

export interface ResumeModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Functions of the guest's module to import as `f`, by index. */
  readonly functions: readonly number[];
  /** In the order of the exports. */
  readonly places: readonly Place[];
  /** In these bytes. */
  readonly sites: SitePositions;
}

/** The body of a twin, and where it comes from. */
interface TracedBody {
  readonly func: number;
  /** In the code section. */
  readonly start: number;
  readonly origins: Origins;
}

/** A place in the guest's own module. */
export interface Origin {
  readonly func: number;
  /** Of an opcode, in bytes from the start of the module. */
  readonly offset: number;
  /** The code is that opcode's own, and not of something that was put in there. */
  readonly isCopy: boolean;
}

/** Functions of the host come first, the guest's behind them, then a completion for each place. */
const HOST = { word: 0, ref: 1, next: 2 } as const;
const FIRST_GUEST_FUNCTION = 3;
/** Subsection of the name section. */
const MODULE_NAME = 0;

/**
 * Makes twins of the functions of one guest's module.
 */
export class ResumeModuleMaker {
  readonly #facts: ModuleFacts;
  readonly #plan: ModulePlan;
  readonly #layout: Layout;
  readonly #scan: FunctionScanner;
  readonly #body = new ByteWriter(65_536);
  readonly #emitter: BodyEmitter;

  constructor(facts: ModuleFacts, plan: ModulePlan, layout: Layout) {
    this.#facts = facts;
    this.#plan = plan;
    this.#layout = layout;
    this.#scan = new FunctionScanner(facts, plan);
    this.#emitter = new BodyEmitter(facts, plan, layout, this.#scan, this.#body);
  }

  /**
   * A module called `name` with a twin for each of `places`.
   *
   * - ERR_MALFORMED_IMAGE: the module has no such place.
   * - ERR_NOT_CAPTURABLE: a twin would be larger than the engine takes.
   */
  make(places: readonly Place[], name: string): ResumeModule {
    return this.#make(places, name, null);
  }

  /** Where the code at `position` of the module for these places comes from; null for what is no twin's. */
  originOf(places: readonly Place[], name: string, position: number): Origin | null {
    const bodies: TracedBody[] = [];
    const at = position - this.#make(places, name, bodies).sites.base;
    const body = bodies.findLast(({ start }) => start <= at + 1);
    return body === undefined
      ? null
      : { func: body.func, ...body.origins.find(Math.max(0, at - body.start)) };
  }

  #make(places: readonly Place[], name: string, bodies: TracedBody[] | null): ResumeModule {
    const types = new ExtraTypes(this.#layout.firstType + this.#layout.types.length);
    const imported = new Map<number, number>();
    const target = this.#target(types, imported);
    const code = new ByteWriter(65_536);
    code.u32(places.length);
    const sites = new SitePositions();
    const twins = places.map((place) => this.#writeTwin(place, target, code, sites, bodies));
    const functions = [...imported.keys()];
    const completes = twins.map(({ results }) => types.of(results));
    const twinTypes = places.map(({ func }) => types.of(this.#resultsOf(func)));
    const first = FIRST_GUEST_FUNCTION + functions.length + places.length;
    const hints = twins
      .map(({ cold }, index) => ({
        functionIndex: first + index,
        offsets: cold,
        likely: new Uint8Array(cold.length),
      }))
      .filter(({ offsets }) => offsets.length > 0);
    const sections = new Map<SectionId, Uint8Array | readonly Uint8Array[]>([
      [SECTION.type, typeSection(this.#facts, this.#layout, types.types)],
      [SECTION.import, importSection(this.#facts, this.#layout, functions, completes)],
      [SECTION.function, listOf(twinTypes)],
      [SECTION.export, exportsOf(places.length, first)],
      [SECTION.code, code.view()],
    ]);
    const bytes = writeNewModule({ sections, addCustom: customSections(name, hints) });
    // The code section is the last one.
    sites.base = bytes.length - code.length;
    return { bytes, functions, places, sites };
  }

  /** How many sites a function has; 0 when it can't stand on a captured stack. */
  siteCount(func: number): number {
    this.#scan.scan(func);
    return this.#scan.siteAt.length;
  }

  #target(types: ExtraTypes, imported: Map<number, number>): TwinTarget {
    return {
      mapFunction: (callee) => {
        let index = imported.get(callee);
        if (index === undefined) {
          index = FIRST_GUEST_FUNCTION + imported.size;
          imported.set(callee, index);
        }
        return index;
      },
      word: HOST.word,
      ref: HOST.ref,
      next: HOST.next,
      twins: this.#layout.table + 1,
      resultType: (results) => types.of(results),
    };
  }

  #writeTwin(
    { func, site }: Place,
    target: TwinTarget,
    code: ByteWriter,
    sites: SitePositions,
    bodies: TracedBody[] | null,
  ): { readonly results: Uint8Array; readonly cold: readonly number[] } {
    const body = this.#body;
    const { importedFunctions, functions } = this.#facts;
    const exists = func >= importedFunctions && func < functions && isCaptured(this.#plan, func);
    if (exists) this.#scan.scan(func, site);
    const snapshot = exists ? this.#scan.snapshot : null;
    if (snapshot === null) throw noSuchPlace(func, site);
    body.clear();
    const origins = bodies === null ? null : new Origins();
    this.#emitter.origins = origins;
    this.#emitter.twin(snapshot, target);
    if (body.length > BODY_BYTES_MAX) throw tooLarge(func);
    code.u32(body.length);
    sites.add(func, code.length, this.#emitter);
    if (origins !== null) bodies?.push({ func, start: code.length, origins });
    code.bytes(body.view());
    return { results: snapshot.results, cold: [...this.#emitter.coldBranches] };
  }

  #resultsOf(func: number): Uint8Array {
    return this.#facts.typeResults[this.#facts.functionType[func]!]!;
  }
}

/** Types `[] → results` behind those of the module. */
class ExtraTypes {
  readonly types: FuncType[] = [];
  readonly #first: number;
  readonly #known = new Map<string, number>();

  constructor(first: number) {
    this.#first = first;
  }

  of(results: Uint8Array): number {
    const key = results.join();
    let type = this.#known.get(key);
    if (type === undefined) {
      type = this.#first + this.types.length;
      this.types.push({ params: new Uint8Array(0), results });
      this.#known.set(key, type);
    }
    return type;
  }
}

function listOf(values: readonly number[]): Uint8Array {
  const out = new ByteWriter();
  out.u32(values.length);
  for (const value of values) out.u32(value);
  return out.finish();
}

function exportsOf(places: number, firstTwin: number): Uint8Array {
  const out = new ByteWriter();
  out.u32(places * 2);
  for (let place = 0; place < places; place++) {
    out.name(`t${place}`);
    out.u8(0);
    out.u32(firstTwin + place);
    out.name(`c${place}`);
    out.u8(0);
    out.u32(firstTwin - places + place);
  }
  return out.finish();
}

function customSections(
  name: string,
  hints: readonly FunctionBranchHints[],
): NonNullable<ModuleEdits['addCustom']> {
  const names = new ByteWriter();
  const module = new ByteWriter();
  module.name(name);
  names.u8(MODULE_NAME);
  names.u32(module.length);
  names.bytes(module.view());
  const added = [{ name: 'name', content: names.finish(), before: SECTION.code }];
  if (hints.length === 0) return added;
  const content = encodeBranchHints(hints);
  return [...added, { name: BRANCH_HINT_SECTION, content, before: SECTION.code }];
}

function noSuchPlace(func: number, site: number): HostError {
  return new HostError('ERR_MALFORMED_IMAGE', "the image's stack does not fit the module", {
    facts: { function: func, site },
  });
}

function tooLarge(func: number): HostError {
  return new HostError('ERR_NOT_CAPTURABLE', `function ${func} is too large to be put up again`, {
    facts: { function: func },
    hint: 'build the program with less inlining',
  });
}
