/**
 * The package `@wasmer/wasi`, loaded so that one guest has a copy of its own: a WebAssembly module
 * (written in Rust, bound to JavaScript by wasm-bindgen) together with its table of JavaScript objects.
 *
 * The package keeps that table, the module's instance and its views of memory in variables of its own
 * file, and hands none of them out. What is needed of them is taken while it makes its instance: for the
 * length of that one call the global `WebAssembly` is a stand-in that notes what goes through it.
 *
 * Invariants:
 * 1. Two copies share nothing: neither memory nor table of objects.
 * 2. Wall clock comes from `world`. The package has no other way to the host:
 * 3. Once sealed, only the imports in NEEDED_BY_CALLS work; none of them reaches the global object,
 *    `require`, randomness or a compiler. A guest that found a fault in the package's module has numbers
 *    of objects to play with, and no way to call one.
 * 4. The module's memory never exceeds `memoryPagesMax`.
 */
import { createHash } from 'node:crypto';
import { createRequire } from 'node:module';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import {
  type EngineImports,
  type EngineInstance,
  type EngineMemory,
  type EngineModule,
  engine,
} from '../wasm/engine.ts';
import { withMemoryMax } from '../wasm/memory-max.ts';
import { WASMER_VERSION } from './layers.ts';

export const WASMER_PACKAGE = '@wasmer/wasi';

/** SHA-256 of the module within the package: another one would have other objects in other places. */
const MODULE_DIGEST = '5410143de81b20061e9750d1cf80aceef56d2938ab949e30dd7b13fa699307ad';

export interface WasmerWorld {
  /** Milliseconds since 1970-01-01T00:00Z. */
  readonly nowMs: () => number;
  readonly memoryPagesMax: number;
}

/** The package's class `WASI`, as far as it is used. */
export interface WasmerWasi {
  readonly fs: WasmerFiles;
  getImports(module: EngineModule): Record<string, Record<string, WasmerCall>>;
  instantiate(instance: EngineInstance): unknown;
  /** Takes out what the guest wrote since the last time. */
  getStdoutBuffer(): Uint8Array;
  getStderrBuffer(): Uint8Array;
  /** Adds to what the guest can read. */
  setStdinBuffer(bytes: Uint8Array): void;
}

/** The package's class `MemFS`. Its methods throw an `Error` for what they can't do. */
export interface WasmerFiles {
  createDir(path: string): void;
  open(path: string, options: Readonly<Record<string, boolean>>): WasmerFile;
  free(): void;
}

export interface WasmerFile {
  write(bytes: Uint8Array): number;
  flush(): void;
  free(): void;
}

export type WasmerCall = (...args: (number | bigint)[]) => number;

export interface WasmerConfig {
  readonly args: readonly string[];
  readonly env: Readonly<Record<string, string>>;
  readonly preopens: Readonly<Record<string, string>>;
}

export interface WasmerPackage {
  readonly create: (config: WasmerConfig) => WasmerWasi;
  readonly memory: EngineMemory;
  /** The module's own stack pointer: the same between any two calls, unless one broke down. */
  readonly stackPointer: () => number;
  /** What lies in the table of objects, a letter a slot: see `describeObjects`. */
  readonly objects: () => string;
  /** From here on only what calls need works. */
  readonly seal: () => void;
}

interface Library {
  readonly WASI: new (config: WasmerConfig) => WasmerWasi;
  init(): Promise<void>;
  initSync(module: EngineModule): unknown;
}

type Import = (...args: never[]) => unknown;
type Bindings = Record<string, Import>;

/** With the digest that wasm-bindgen adds, since the package binds several functions of one name. */
const NEEDED_BY_CALLS: ReadonlySet<string> = new Set([
  '__wbg_buffer_3f3d764d4747d564',
  '__wbg_get_765201544a2b6869',
  '__wbg_length_9e1ae1900cb0fbd5',
  '__wbg_new0_a57059d72c5b7aee',
  '__wbg_new_8c3f0052272a457a',
  '__wbg_new_8d2af00bc1e329ee',
  '__wbg_newwithbyteoffsetandlength_d9aa266703cb98be',
  '__wbg_set_83db9690f9353e79',
  '__wbg_subarray_58ad4efbb5bcb886',
  '__wbg_getTime_cb82adb2556ed13e',
  '__wbg_getTimezoneOffset_89bd4275e1ca8341',
  '__wbindgen_memory',
  '__wbindgen_number_get',
  '__wbindgen_object_clone_ref',
  '__wbindgen_object_drop_ref',
  '__wbindgen_string_new',
  '__wbindgen_throw',
]);

/** Where wasm-bindgen's table of objects begins to hold what was put there. */
const FIRST_SLOT = 36;
/** So many empty slots in a row are the table's end. */
const END_SLOTS = 8;

/** Loads a copy of the package of its own. Throws ERR_SOFTWARE_MISMATCH when it is another release. */
export function loadWasmer(world: WasmerWorld): WasmerPackage {
  const library = freshLibrary();
  const bytes = embeddedModule(library);
  const digest = createHash('sha256').update(bytes).digest('hex');
  if (digest !== MODULE_DIGEST) {
    throw new HostError(
      'ERR_SOFTWARE_MISMATCH',
      `${WASMER_PACKAGE} is not the release it must be.`,
      {
        facts: { needed: WASMER_VERSION, digest },
        hint: `install ${WASMER_PACKAGE}@${WASMER_VERSION}, or run the guest without --wasi wasmer`,
      },
    );
  }
  const module = new engine.Module(withMemoryMax(bytes, world.memoryPagesMax));
  let sealed = false;
  let bindings: Bindings = {};
  const instance = noteInstance(library, module, (imports) => {
    bindings = imports;
    return guarded(imports, world, () => sealed);
  });
  const moveStackPointer = instance.exports['__wbindgen_add_to_stack_pointer'] as (
    bytes: number,
  ) => number;
  return {
    create: (config) => new library.WASI(config),
    memory: instance.exports['memory'] as EngineMemory,
    stackPointer: () => moveStackPointer(0),
    objects: () => describeObjects(bindings),
    seal: () => {
      sealed = true;
    },
  };
}

/** The package's file run anew, for it keeps its state in variables of its own. */
function freshLibrary(): Library {
  const require = createRequire(import.meta.url);
  // What is built has a copy of the file (`bundle.mjs`).
  const isSource = import.meta.url.endsWith('.ts');
  const path = require.resolve(isSource ? WASMER_PACKAGE : '../packages/wasmer-wasi.cjs');
  delete require.cache[path];
  const library = require(path) as Library;
  delete require.cache[path];
  return library;
}

/** The bytes that the package would compile: it carries them as text and compiles them in `init`. */
function embeddedModule(library: Library): Uint8Array {
  let found: Uint8Array | null = null;
  standIn(
    {
      compile: (bytes: Uint8Array) => {
        found = bytes;
        throw new Error('the bytes were all that was wanted');
      },
    },
    () => {
      library.init().catch(() => undefined);
    },
  );
  assert(found !== null, 'the package compiles its module before anything else');
  return found;
}

function noteInstance(
  library: Library,
  module: EngineModule,
  guard: (imports: Bindings) => Bindings,
): EngineInstance {
  let found: EngineInstance | null = null;
  function Instance(given: EngineModule, imports: { wbg: Bindings }): EngineInstance {
    found = new engine.Instance(given, { wbg: guard(imports.wbg) } as unknown as EngineImports);
    return found;
  }
  standIn({ Instance }, () => library.initSync(module));
  assert(found !== null, 'the package makes its instance at once');
  return found;
}

/** Runs `work` with some members of the global `WebAssembly` replaced. `work` returns before anything else runs. */
function standIn(members: Readonly<Record<string, unknown>>, work: () => void): void {
  const world = globalThis as unknown as { WebAssembly: object };
  const real = world.WebAssembly;
  const properties = Object.entries(members).map(([name, value]) => [name, { value }] as const);
  world.WebAssembly = Object.create(real, Object.fromEntries(properties)) as object;
  try {
    work();
  } finally {
    world.WebAssembly = real;
  }
}

function guarded(bindings: Bindings, world: WasmerWorld, isSealed: () => boolean): Bindings {
  const replaced: Readonly<Record<string, Import>> = {
    getTime: () => world.nowMs(),
    // What the zone of the host is, no guest is told.
    getTimezoneOffset: () => 0,
  };
  const entries = Object.entries(bindings).map(([name, binding]): [string, Import] => {
    const plain = name.replace(/^__wbg_(.*)_[0-9a-f]{16}$/, '$1');
    const chosen = replaced[plain] ?? binding;
    if (NEEDED_BY_CALLS.has(name)) return [name, chosen];
    return [name, (...args) => (isSealed() ? refuse(name) : chosen(...args))];
  });
  return Object.fromEntries(entries);
}

function refuse(name: string): never {
  throw new engine.RuntimeError(`it reached for ${name}`);
}

/**
 * The table of objects from its first slot on: `o` an object, `f` a function, `s` a text, `.` anything
 * else, which is a free slot (a number: the next free one) or a number, truth value or nothing in use.
 */
function describeObjects(bindings: Bindings): string {
  const is = (what: string, slot: number): boolean =>
    Boolean((bindings[`__wbindgen_is_${what}`] as unknown as (slot: number) => unknown)(slot));
  let found = '';
  let end = 0;
  for (let slot = FIRST_SLOT; end < END_SLOTS; slot++) {
    end = is('undefined', slot) ? end + 1 : 0;
    const letter = is('object', slot) ? 'o' : is('function', slot) ? 'f' : '.';
    found += is('string', slot) ? 's' : letter;
  }
  return found.slice(0, -END_SLOTS);
}
