/**
 * What a guest may import: WASI preview1 and the snapshot before it, our own calls, and what providers
 * offer. Everything else is refused by name, or traps when it is called, if the user asked for that.
 */
import { SIGNATURES } from '../abi/signatures.ts';
import { HostError } from '../fault/host-error.ts';
import type { ProvidedImports } from '../resource/registry.ts';
import { PREVIEW1_MODULE, SNAPSHOT0_MODULE } from '../wasi/preview1.ts';
import { engine } from '../wasm/engine.ts';
import type { ModuleImport } from '../wasm/section-import.ts';
import type { ModuleType } from '../wasm/section-type.ts';
import { I32, I64 } from '../wasm/value-type.ts';
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

/**
 * Throws ERR_UNKNOWN_IMPORT when `find` lacks any of `imports`, or one of the host's own is declared with
 * another type than it has.
 */
export function checkImports(
  imports: readonly ModuleImport[],
  types: readonly ModuleType[],
  find: ImportFinder,
): void {
  checkTypes(imports, types);
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

const STASIS_SIGNATURES: Readonly<Record<string, string>> = {
  checkpoint: ':i',
  generation: 'i:i',
  secret: 'ii:i',
  secret_end: 'ii:i',
  secret_read: 'iiii:i',
};

const EXPECTED: ReadonlyMap<string, Readonly<Record<string, string>>> = new Map([
  [PREVIEW1_MODULE, SIGNATURES],
  [SNAPSHOT0_MODULE, SIGNATURES],
  [STASIS, STASIS_SIGNATURES],
]);

function checkTypes(imports: readonly ModuleImport[], types: readonly ModuleType[]): void {
  for (const wanted of imports) {
    const signatures = EXPECTED.get(wanted.module);
    if (wanted.kind !== 'func' || signatures === undefined) continue;
    if (!Object.hasOwn(signatures, wanted.name)) continue;
    const declared = signatureOf(types[wanted.typeIndex]);
    if (declared === signatures[wanted.name]) continue;
    const shown = `${wanted.module}.${wanted.name}`;
    throw new HostError(
      'ERR_UNKNOWN_IMPORT',
      `The module imports ${shown} with another type than that function has.`,
      {
        facts: { import: shown },
        hint: 'build it again with the headers of WASI preview1, such as those of wasi-libc',
      },
    );
  }
}

/** As in `SIGNATURES`; `?` for any other type. */
function signatureOf(type: ModuleType | undefined): string | null {
  if (type?.kind !== 'func') return null;
  const letters = (values: Uint8Array): string =>
    Array.from(values, (value) => (value === I32 ? 'i' : value === I64 ? 'I' : '?')).join('');
  return `${letters(type.params)}:${letters(type.results)}`;
}
