/**
 * What the pass asks about a module again and again, flattened into typed arrays.
 *
 * Function, table, memory, global and type indices are the module's own: everything that the pass adds
 * is appended behind them, so no index in guest code ever changes.
 */
import { HostError } from '../fault/host-error.ts';
import { readU32At, skipLeb } from '../wasm/leb.ts';
import type { WasmModule } from '../wasm/module.ts';
import { OP } from '../wasm/opcodes.ts';
import type { ValueType } from '../wasm/read-value-type.ts';
import { REF, REF_NULL, valueTypeName } from '../wasm/value-type.ts';
import { isCarried } from './frame-words.ts';

export interface ModuleFacts {
  readonly module: WasmModule;
  readonly importedFunctions: number;
  /** Imported and defined. */
  readonly functions: number;
  /** Type index by function. */
  readonly functionType: Uint32Array;
  /** Value types by type; empty for a type that is no function type. */
  readonly typeParams: readonly Uint8Array[];
  readonly typeResults: readonly Uint8Array[];
  /** By type: 1 where it is a function type all of whose values can be carried over a capture. */
  readonly typeCarried: Uint8Array;
  /** The first type that is equal, by type: calls through tables compare types by shape. */
  readonly canonicalType: Uint32Array;
  /** Functions whose references segments and globals hold. */
  readonly referencedFunctions: readonly number[];
  /** Value type by global. */
  readonly globalType: Uint8Array;
  readonly globalMutable: Uint8Array;
  /** Element type by table. */
  readonly tableType: Uint8Array;
  /** 1 where addresses are i64. */
  readonly memory64: Uint8Array;
  readonly table64: Uint8Array;
  readonly tags: number;
}

const NO_TYPES = new Uint8Array(0);

/** Flattens `module`; refuses by name what the pass can't carry. */
export function readFacts(module: WasmModule): ModuleFacts {
  const imported: number[] = [];
  for (const entry of module.imports) {
    if (entry.kind === 'func') imported.push(entry.typeIndex);
    else {
      throw new HostError(
        'ERR_UNKNOWN_IMPORT',
        `the module imports a ${entry.kind} that no WASI host provides: ${JSON.stringify(`${entry.module}.${entry.name}`)}`,
        {
          facts: { module: entry.module, name: entry.name, kind: entry.kind },
          hint: 'build the program as a WASI command, which defines its own memory and tables',
        },
      );
    }
  }
  const functionType = new Uint32Array(imported.length + module.functions.length);
  functionType.set(imported);
  functionType.set(module.functions, imported.length);
  for (const memory of module.memories) {
    if (memory.shared) throw unsupported('threads (a shared memory)', 0);
    if (memory.pageLog2 !== undefined && memory.pageLog2 !== 16) {
      throw unsupported('custom page sizes', 0);
    }
  }
  return {
    module,
    importedFunctions: imported.length,
    functions: functionType.length,
    functionType,
    ...flattenTypes(module, functionType),
    referencedFunctions: referencedFunctions(module),
    globalType: Uint8Array.from(module.globals, ({ type }) => carried(type, 'a global')),
    globalMutable: Uint8Array.from(module.globals, ({ mutable }) => (mutable ? 1 : 0)),
    tableType: Uint8Array.from(module.tables, ({ type }) => carried(type, 'a table')),
    memory64: Uint8Array.from(module.memories, ({ is64 }) => (is64 ? 1 : 0)),
    table64: Uint8Array.from(module.tables, ({ is64 }) => (is64 ? 1 : 0)),
    tags: module.tags.length,
  };
}

function flattenTypes(
  module: WasmModule,
  functionType: Uint32Array,
): Pick<ModuleFacts, 'typeParams' | 'typeResults' | 'typeCarried' | 'canonicalType'> {
  for (const type of new Set(functionType)) {
    const entry = module.types[type]!;
    if (entry.kind === 'unsupported') throw unsupported(entry.feature, entry.offset);
    for (const value of [...entry.params, ...entry.results]) carried(value, `type ${type}`);
  }
  const seen = new Map<string, number>();
  return {
    typeParams: module.types.map((entry) => (entry.kind === 'func' ? entry.params : NO_TYPES)),
    typeResults: module.types.map((entry) => (entry.kind === 'func' ? entry.results : NO_TYPES)),
    typeCarried: Uint8Array.from(module.types, (entry) =>
      entry.kind === 'func' && entry.params.every(isCarried) && entry.results.every(isCarried)
        ? 1
        : 0,
    ),
    canonicalType: Uint32Array.from(module.types, (entry, type) => {
      const key = entry.kind === 'func' ? `${entry.params}>${entry.results}` : `#${type}`;
      const first = seen.get(key) ?? type;
      seen.set(key, first);
      return first;
    }),
  };
}

function referencedFunctions(module: WasmModule): number[] {
  const { bytes } = module;
  const found = new Set<number>();
  const noteExpression = (start: number): void => {
    if (bytes[start] === OP.ref_func) found.add(readU32At(bytes, start + 1));
  };
  for (const { functions, expressions } of module.elements) {
    for (const func of functions ?? []) found.add(func);
    for (let i = 0; expressions !== undefined && i < expressions.length; i += 2) {
      noteExpression(expressions[i]!);
    }
  }
  for (const { init } of module.globals) noteExpression(init.start);
  for (const { init } of module.tables) if (init !== undefined) noteExpression(init.start);
  return [...found];
}

function carried(type: ValueType, where: string): number {
  if (typeof type === 'number' && isCarried(type)) return type;
  const name = typeof type === 'number' ? valueTypeName(type) : 'typed function references';
  throw unsupported(`${name} in ${where}`, typeof type === 'number' ? 0 : type.offset);
}

function unsupported(feature: string, offset: number): HostError {
  return new HostError(
    'ERR_UNSUPPORTED_FEATURE',
    `the module uses ${feature}, which can't be carried through a checkpoint yet`,
    { facts: { feature, offset }, hint: 'build the program without this feature' },
  );
}

/** The offset behind the local declarations that begin at `start`. */
export function skipLocals(bytes: Uint8Array, start: number): number {
  let at = skipLeb(bytes, start);
  for (let groups = readU32At(bytes, start); groups > 0 && at < bytes.length; groups--) {
    at = skipLeb(bytes, at);
    const type = bytes[at++];
    if (type === REF || type === REF_NULL) at = skipLeb(bytes, at);
  }
  return at;
}
