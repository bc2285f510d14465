/**
 * What a guest may import: WASI preview1 and the snapshot before it, our own calls, and what providers
 * offer. Everything else is refused by name, or traps when it is called, if the user asked for that.
 */
import { HostError } from '../fault/host-error.ts';
import type { ProvidedImports } from '../resource/registry.ts';
import { PREVIEW1_MODULE, SNAPSHOT0_MODULE } from '../wasi/preview1.ts';
import { engine } from '../wasm/engine.ts';
import type { ModuleImport } from '../wasm/section-import.ts';
import type { HostFunction } from './host-calls.ts';

const STASIS = 'stasis';
/** A message names this many missing imports; the rest are counted. */
const NAMED_MAX = 5;

export type ImportFinder = (module: string, name: string) => HostFunction | null;

export function importFinder(options: {
  readonly preview1: Readonly<Record<string, HostFunction>>;
  readonly snapshot0: Readonly<Record<string, HostFunction>>;
  readonly stasis: Readonly<Record<string, HostFunction>>;
  readonly provided: ProvidedImports;
  readonly trapUnknown: boolean;
}): ImportFinder {
  const modules = new Map([
    [PREVIEW1_MODULE, options.preview1],
    [SNAPSHOT0_MODULE, options.snapshot0],
    [STASIS, options.stasis],
  ]);
  return (module, name) => {
    const functions = modules.get(module);
    if (functions !== undefined && Object.hasOwn(functions, name)) return functions[name]!;
    const provided = options.provided.get(module)?.get(name);
    if (provided !== undefined) return provided;
    if (!options.trapUnknown) return null;
    return () => {
      throw new engine.RuntimeError(`unknown import called: ${module}.${name}`);
    };
  };
}

/** Throws ERR_UNKNOWN_IMPORT when `find` lacks any of `imports`. */
export function checkImports(imports: readonly ModuleImport[], find: ImportFinder): void {
  const missing = imports.filter(({ module, name }) => find(module, name) === null);
  if (missing.length === 0) return;
  const names = missing.slice(0, NAMED_MAX).map(({ module, name }) => `${module}.${name}`);
  const more = missing.length > NAMED_MAX ? ` and ${missing.length - NAMED_MAX} more` : '';
  throw new HostError(
    'ERR_UNKNOWN_IMPORT',
    `The module imports what this host does not provide: ${names.join(', ')}${more}.`,
    {
      facts: { missing: missing.length },
      hint: 'use --trap-unknown-imports if the program can do without them: it traps when it calls one',
    },
  );
}
