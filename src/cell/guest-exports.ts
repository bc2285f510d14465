/**
 * What an instance of an instrumented module gives the host: see `instrument/layout.ts`.
 */
import { HostError } from '../fault/host-error.ts';
import { EXPORT_PREFIX, type Layout } from '../instrument/layout.ts';
import type { ModuleFacts } from '../instrument/module-facts.ts';
import type {
  EngineExport,
  EngineGlobal,
  EngineInstance,
  EngineMemory,
  EngineTable,
  EngineTag,
  WasmFunction,
} from '../wasm/engine.ts';

/** Kinds of export that a resume module imports, and the letter of their names there. */
const SHARED_KINDS = [
  ['memory:', 'm'],
  ['table:', 't'],
  ['global:', 'g'],
  ['tag:', 'e'],
] as const;

export class GuestExports {
  /** Everything that a resume module imports from `m`. */
  readonly shared: Readonly<Record<string, EngineExport>>;
  readonly #instance: EngineInstance;
  readonly #facts: ModuleFacts;
  readonly #layout: Layout;
  #indexOfFunction: Map<WasmFunction, number> | null = null;

  constructor(instance: EngineInstance, facts: ModuleFacts, layout: Layout) {
    this.#instance = instance;
    this.shared = sharedExports(instance);
    this.#facts = facts;
    this.#layout = layout;
  }

  /** An export of the guest's own. */
  own(name: string): EngineExport {
    return this.#instance.exports[name]!;
  }

  get memories(): EngineMemory[] {
    const { memories } = this.#facts.module;
    return memories.map((_, index) => this.#private(`memory:${index}`) as EngineMemory);
  }

  get tables(): EngineTable[] {
    const { tables } = this.#facts.module;
    return tables.map((_, index) => this.#private(`table:${index}`) as EngineTable);
  }

  get hostTable(): EngineTable {
    return this.#private(`table:${this.#layout.table}`) as EngineTable;
  }

  get unwindTag(): EngineTag {
    return this.#private(`tag:${this.#layout.tag}`) as EngineTag;
  }

  /** One of the appended globals, by `GLOBAL`. */
  global(index: number): EngineGlobal {
    return this.#private(`global:${this.#layout.firstGlobal + index}`) as EngineGlobal;
  }

  get startFunction(): WasmFunction {
    return this.#private('start') as WasmFunction;
  }

  dumpGlobals(): void {
    (this.#private('dump') as () => void)();
  }

  loadGlobals(): void {
    (this.#private('load') as () => void)();
  }

  /** The reference of any function of the instrumented module. */
  reference(func: number): WasmFunction {
    return (this.#private('reference') as (func: number) => WasmFunction)(func);
  }

  /** A reference that an image names: to a function of the guest, not to one of ours. */
  guestReference(func: number): WasmFunction {
    const known = Number.isInteger(func) && func >= 0 && func < this.#facts.functions;
    if (!known) throw imageMismatch('references');
    return this.reference(func);
  }

  /** The index of a function, by its reference: every function is asked for once, when first needed. */
  indexOf(ref: WasmFunction): number {
    if (this.#indexOfFunction === null) {
      this.#indexOfFunction = new Map();
      for (let func = 0; func < this.#facts.functions; func++) {
        this.#indexOfFunction.set(this.reference(func), func);
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

  #private(name: string): EngineExport {
    return this.#instance.exports[EXPORT_PREFIX + name]!;
  }
}

function sharedExports({ exports }: EngineInstance): Record<string, EngineExport> {
  const shared: Record<string, EngineExport> = {};
  for (const [name, value] of Object.entries(exports)) {
    for (const [kind, letter] of SHARED_KINDS) {
      const prefix = EXPORT_PREFIX + kind;
      if (name.startsWith(prefix)) shared[letter + name.slice(prefix.length)] = value;
    }
  }
  return shared;
}

/** An image that is whole and authentic, and still not one of this module. */
export function imageMismatch(part: string): HostError {
  return new HostError('ERR_MALFORMED_IMAGE', `the image's ${part} do not fit the module`);
}
