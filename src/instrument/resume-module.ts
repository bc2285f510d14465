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
import { readU32At, skipLeb } from '../wasm/leb.ts';
import { BODY_BYTES_MAX } from '../wasm/limits.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';
import { FUNCREF, I32, I64 } from '../wasm/value-type.ts';
import { type ModuleEdits, writeNewModule } from '../wasm/writer.ts';
import { BodyEmitter, type TwinTarget } from './body-emitter.ts';
import { FunctionScanner } from './function-scan.ts';
import { BASE_TYPE, type FuncType, GLOBAL, type Layout } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';
import type { ModulePlan } from './plan.ts';
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

/** Functions of the host come first, the guest's behind them, then a completion for each place. */
const HOST = { word: 0, ref: 1, next: 2 } as const;
const FIRST_GUEST_FUNCTION = 3;
/** Subsection of the name section. */
const MODULE_NAME = 0;

/**
 * Makes twins of the functions of one guest's module.
 *
 * The caller has checked with `siteCount` that the places exist.
 */
export class ResumeModuleMaker {
  readonly #facts: ModuleFacts;
  readonly #layout: Layout;
  readonly #scan: FunctionScanner;
  readonly #body = new ByteWriter(65_536);
  readonly #emitter: BodyEmitter;

  constructor(facts: ModuleFacts, plan: ModulePlan, layout: Layout) {
    this.#facts = facts;
    this.#layout = layout;
    this.#scan = new FunctionScanner(facts, plan);
    this.#emitter = new BodyEmitter(facts, plan, layout, this.#scan, this.#body);
  }

  /**
   * A module called `name` with a twin for each of `places`.
   *
   * ERR_NOT_CAPTURABLE: a twin would be larger than the engine takes.
   */
  make(places: readonly Place[], name: string): ResumeModule {
    const types = new ExtraTypes(this.#layout.firstType + this.#layout.types.length);
    const imported = new Map<number, number>();
    const target = this.#target(types, imported);
    const code = new ByteWriter(65_536);
    code.u32(places.length);
    const sites = new SitePositions();
    const twins = places.map((place) => this.#writeTwin(place, target, code, sites));
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
      [SECTION.type, this.#types(types)],
      [SECTION.import, this.#imports(functions, completes)],
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
  ): { readonly results: Uint8Array; readonly cold: readonly number[] } {
    const body = this.#body;
    this.#scan.scan(func, site);
    const snapshot = this.#scan.snapshot!;
    body.clear();
    this.#emitter.twin(snapshot, target);
    if (body.length > BODY_BYTES_MAX) throw tooLarge(func);
    code.u32(body.length);
    sites.add(func, code.length, this.#emitter);
    code.bytes(body.view());
    return { results: snapshot.results, cold: [...this.#emitter.coldBranches] };
  }

  #resultsOf(func: number): Uint8Array {
    return this.#facts.typeResults[this.#facts.functionType[func]!]!;
  }

  #types(extra: ExtraTypes): readonly Uint8Array[] {
    const { bytes, sections } = this.#facts.module;
    const section = sections.find(({ id }) => id === SECTION.type);
    const head = new ByteWriter();
    const own = section === undefined ? 0 : readU32At(bytes, section.offset);
    const appended = [...this.#layout.types, ...extra.types];
    head.u32(own + appended.length);
    const tail = new ByteWriter();
    for (const { params, results } of appended) {
      tail.u8(0x60);
      tail.u32(params.length);
      tail.bytes(params);
      tail.u32(results.length);
      tail.bytes(results);
    }
    const entries =
      section === undefined
        ? new Uint8Array(0)
        : bytes.subarray(skipLeb(bytes, section.offset), section.offset + section.size);
    return [head.finish(), entries, tail.finish()];
  }

  #imports(functions: readonly number[], completes: readonly number[]): Uint8Array {
    const facts = this.#facts;
    const layout = this.#layout;
    const out = new ByteWriter();
    let count = 0;
    const add = (module: string, name: string, kind: number): void => {
      count++;
      out.name(module);
      out.name(name);
      out.u8(kind);
    };
    const func = (module: string, name: string, type: number): void => {
      add(module, name, 0);
      out.u32(type);
    };
    facts.memory64.forEach((wide, index) => {
      add('m', `m${index}`, 2);
      out.u8(wide ? 4 : 0);
      out.u32(0);
    });
    for (let index = 0; index <= layout.table; index++) {
      add('m', `t${index}`, 1);
      out.u8(facts.tableType[index] ?? FUNCREF);
      out.u8(facts.table64[index] ? 4 : 0);
      out.u32(0);
    }
    add('h', 'twins', 1);
    out.u8(FUNCREF);
    out.u8(0);
    out.u32(0);
    const ours = [I32, I64, I64, I32, ...layout.droppers.map(() => I32)];
    for (
      let index = 0;
      index < layout.firstGlobal + GLOBAL.dropped + layout.droppers.length;
      index++
    ) {
      add('m', `g${index}`, 3);
      out.u8(facts.globalType[index] ?? ours[index - layout.firstGlobal]!);
      out.u8(index < layout.firstGlobal ? facts.globalMutable[index]! : 1);
    }
    for (let tag = 0; tag <= layout.tag; tag++) {
      add('m', `e${tag}`, 4);
      out.u8(0);
      out.u32(tag === layout.tag ? layout.firstType + BASE_TYPE.none : facts.module.tags[tag]!);
    }
    func('h', 'word', layout.firstType + BASE_TYPE.word);
    func('h', 'ref', layout.firstType + BASE_TYPE.ref);
    func('h', 'next', layout.firstType + BASE_TYPE.word);
    for (const index of functions) func('f', String(index), functionType(facts, layout, index));
    for (const type of completes) func('h', 'complete', type);
    const head = new ByteWriter();
    head.u32(count);
    head.bytes(out.view());
    return head.finish();
  }
}

function functionType(facts: ModuleFacts, layout: Layout, func: number): number {
  return func < facts.functions
    ? facts.functionType[func]!
    : layout.functionTypes[func - layout.firstFunction]!;
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

function tooLarge(func: number): HostError {
  return new HostError('ERR_NOT_CAPTURABLE', `function ${func} is too large to be put up again`, {
    facts: { function: func },
    hint: 'build the program with less inlining',
  });
}
