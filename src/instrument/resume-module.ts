/**
 * The module that puts a captured stack back: one twin for each (function, site) that occurs on it.
 *
 * It imports everything that guest code may name, in the guest's own order, so that bodies can be copied:
 * memories, tables, globals and the tag have the same indices as in the instrumented module, and types
 * too. Only functions have others; they are imported as far as a twin calls them.
 *
 * Twins call each other through a table of their own, because which frame comes next is the host's to
 * say: a function that stands on the stack ten thousand times needs one twin. The last slot holds the
 * host's completion of the call that the innermost frame was waiting in.
 *
 * | import | name |
 * |---|---|
 * | `m` | `m0` …, `t0` …, `g0` …, `e0` …: memories, tables, globals, tags of the guest's instance |
 * | `h` | `word`, `ref`, `next`, `complete`: the host |
 * | `f` | a function of the guest's module, by its index |
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
import { OP } from '../wasm/opcodes.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';
import { FUNCREF, I32, I64 } from '../wasm/value-type.ts';
import { writeNewModule } from '../wasm/writer.ts';
import { BodyEmitter, type TwinTarget } from './body-emitter.ts';
import { FunctionScanner } from './function-scan.ts';
import { BASE_TYPE, type FuncType, GLOBAL, type Layout } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';
import type { ModulePlan } from './plan.ts';

/** A function and the number of a site in it. */
export interface Place {
  readonly func: number;
  readonly site: number;
}

export interface ResumeModule {
  readonly bytes: Uint8Array<ArrayBuffer>;
  /** Functions of the guest's module to import as `f`, by index. */
  readonly functions: readonly number[];
  /** Slot in the twins' table of each place, in the order given. */
  readonly slots: readonly number[];
  /** Slot of the completion. */
  readonly completion: number;
}

/** Host functions come first among the functions. */
const HOST = { word: 0, ref: 1, next: 2, complete: 3 } as const;
const FIRST_GUEST_FUNCTION = 4;

/**
 * Makes modules for captured stacks of one guest's module.
 *
 * The caller has checked with `siteCount` that every place exists.
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
   * `places`: without repetition, the innermost frame's first. `outermost`: index of the one to begin with.
   *
   * ERR_NOT_CAPTURABLE: a twin would be larger than the engine takes.
   */
  make(places: readonly Place[], outermost: number): ResumeModule {
    const facts = this.#facts;
    const layout = this.#layout;
    const types = new ExtraTypes(layout.firstType + layout.types.length);
    const imported = new Map<number, number>();
    const target: TwinTarget = {
      mapFunction: (func) => {
        let index = imported.get(func);
        if (index === undefined) {
          index = FIRST_GUEST_FUNCTION + imported.size;
          imported.set(func, index);
        }
        return index;
      },
      word: HOST.word,
      ref: HOST.ref,
      next: HOST.next,
      twins: layout.table + 1,
      resultType: (results) => types.of(results),
    };
    const bodies = new ByteWriter(65_536);
    bodies.u32(places.length);
    const twinTypes: number[] = [];
    const hints: { offsets: number[] }[] = [];
    let completeType = 0;
    places.forEach((place, index) => {
      this.#scan.scan(place.func, place.site);
      const site = this.#scan.snapshot!;
      if (index === 0) completeType = types.of(site.results);
      twinTypes.push(types.of(facts.typeResults[facts.functionType[place.func]!]!));
      this.#body.clear();
      this.#emitter.twin(site, target);
      if (this.#body.length > BODY_BYTES_MAX) throw tooLarge(place.func);
      bodies.u32(this.#body.length);
      bodies.bytes(this.#body.view());
      hints.push({ offsets: this.#emitter.coldBranches.slice() });
    });
    const functions = [...imported.keys()];
    const firstTwin = FIRST_GUEST_FUNCTION + functions.length;
    const sections = new Map<SectionId, Uint8Array | readonly Uint8Array[]>([
      [SECTION.type, this.#types(types)],
      [SECTION.import, this.#imports(functions, completeType)],
      [SECTION.function, vector(twinTypes, (out, type) => out.u32(type))],
      [SECTION.table, twinsTable(places.length + 1)],
      [SECTION.export, runExport(firstTwin + outermost)],
      [SECTION.element, twinsElement(layout.table + 1, firstTwin, places.length)],
      [SECTION.code, bodies.view()],
    ]);
    const withHints: FunctionBranchHints[] = hints.flatMap(({ offsets }, index) =>
      offsets.length === 0
        ? []
        : [{ functionIndex: firstTwin + index, offsets, likely: new Uint8Array(offsets.length) }],
    );
    return {
      bytes: writeNewModule({
        sections,
        addCustom:
          withHints.length === 0
            ? []
            : [
                {
                  name: BRANCH_HINT_SECTION,
                  content: encodeBranchHints(withHints),
                  before: SECTION.code,
                },
              ],
      }),
      functions,
      slots: places.map((_, index) => index),
      completion: places.length,
    };
  }

  /** How many sites a function has; 0 when it can't stand on a captured stack. */
  siteCount(func: number): number {
    this.#scan.scan(func);
    return this.#scan.siteAt.length;
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

  #imports(functions: readonly number[], completeType: number): Uint8Array {
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
    func('h', 'complete', completeType);
    for (const index of functions) func('f', String(index), functionType(facts, layout, index));
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

function vector<T>(items: readonly T[], write: (out: ByteWriter, item: T) => void): Uint8Array {
  const out = new ByteWriter();
  out.u32(items.length);
  for (const item of items) write(out, item);
  return out.finish();
}

function twinsTable(slots: number): Uint8Array {
  return vector([slots], (out) => {
    out.u8(FUNCREF);
    out.u8(1);
    out.u32(slots);
    out.u32(slots);
  });
}

function runExport(func: number): Uint8Array {
  return vector(['run'], (out, name) => {
    out.name(name);
    out.u8(0);
    out.u32(func);
  });
}

/** An active segment: all twins, then the completion. */
function twinsElement(table: number, firstTwin: number, twins: number): Uint8Array {
  return vector([table], (out) => {
    out.u32(2);
    out.u32(table);
    out.u8(OP.i32_const);
    out.u8(0);
    out.u8(OP.end);
    out.u8(0);
    out.u32(twins + 1);
    for (let twin = 0; twin < twins; twin++) out.u32(firstTwin + twin);
    out.u32(HOST.complete);
  });
}

function tooLarge(func: number): HostError {
  return new HostError('ERR_NOT_CAPTURABLE', `function ${func} is too large to be put up again`, {
    facts: { function: func },
    hint: 'build the program with less inlining',
  });
}
