/**
 * The module that puts one frame of a captured stack back: a twin for one place, a function and a site.
 *
 * It imports everything that guest code may name, in the guest's own order, so that bodies can be copied:
 * memories, tables, globals and the tag have the same indices as in the instrumented module, and types
 * too. Only functions have others; they are imported as far as the twin calls them.
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
 * | `twin` | `[] → results of the function`: puts the frame up, calls `twins[next()]`, goes on |
 * | `complete` | the host's function as a wasm function, `[] → results of the site`: ends the chain |
 */
import { HostError } from '../fault/host-error.ts';
import { BRANCH_HINT_SECTION, encodeBranchHints } from '../wasm/branch-hints.ts';
import { ByteWriter } from '../wasm/byte-writer.ts';
import { readU32At, skipLeb } from '../wasm/leb.ts';
import { BODY_BYTES_MAX } from '../wasm/limits.ts';
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
}

/** Host functions come first among the functions. */
const HOST = { word: 0, ref: 1, next: 2, complete: 3 } as const;
const FIRST_GUEST_FUNCTION = 4;

/**
 * Makes twins of the functions of one guest's module.
 *
 * The caller has checked with `siteCount` that the place exists.
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

  /** ERR_NOT_CAPTURABLE: the twin would be larger than the engine takes. */
  make({ func, site }: Place): ResumeModule {
    const facts = this.#facts;
    const layout = this.#layout;
    const types = new ExtraTypes(layout.firstType + layout.types.length);
    const imported = new Map<number, number>();
    const target: TwinTarget = {
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
      twins: layout.table + 1,
      resultType: (results) => types.of(results),
    };
    this.#scan.scan(func, site);
    const snapshot = this.#scan.snapshot!;
    const completeType = types.of(snapshot.results);
    const twinType = types.of(facts.typeResults[facts.functionType[func]!]!);
    const body = this.#body;
    body.clear();
    this.#emitter.twin(snapshot, target);
    if (body.length > BODY_BYTES_MAX) throw tooLarge(func);
    const functions = [...imported.keys()];
    const twin = FIRST_GUEST_FUNCTION + functions.length;
    const code = new ByteWriter(body.length + 16);
    code.u32(1);
    code.u32(body.length);
    code.bytes(body.view());
    const sections = new Map<SectionId, Uint8Array | readonly Uint8Array[]>([
      [SECTION.type, this.#types(types)],
      [SECTION.import, this.#imports(functions, completeType)],
      [SECTION.function, Uint8Array.of(1, ...leb(twinType))],
      [SECTION.export, exportsOf(twin)],
      [SECTION.code, code.view()],
    ]);
    const offsets = this.#emitter.coldBranches;
    const hints = encodeBranchHints([
      { functionIndex: twin, offsets, likely: new Uint8Array(offsets.length) },
    ]);
    const addCustom =
      offsets.length === 0
        ? []
        : [{ name: BRANCH_HINT_SECTION, content: hints, before: SECTION.code }];
    return { bytes: writeNewModule({ sections, addCustom }), functions };
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

function leb(value: number): Uint8Array {
  const out = new ByteWriter();
  out.u32(value);
  return out.finish();
}

function exportsOf(twin: number): Uint8Array {
  const out = new ByteWriter();
  out.u32(2);
  out.name('twin');
  out.u8(0);
  out.u32(twin);
  out.name('complete');
  out.u8(0);
  out.u32(HOST.complete);
  return out.finish();
}

function tooLarge(func: number): HostError {
  return new HostError('ERR_NOT_CAPTURABLE', `function ${func} is too large to be put up again`, {
    facts: { function: func },
    hint: 'build the program with less inlining',
  });
}
