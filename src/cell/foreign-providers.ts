/**
 * The user's own providers: loads their files, takes what they export, and has them watched.
 *
 * Invariants:
 * 1. A file is loaded only if its digest is the one that the host sealed into the software's identity.
 * 2. `stasis/provider` is this program's own, wherever the file lies and whatever is installed there.
 * 3. The code of a provider is the user's and is trusted like the host: it runs beside the guest, with
 *    the cell's permissions. It is kept from hanging, and from failing without a name; not from harm.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';
import { HostError } from '../fault/host-error.ts';
import { accessHint, reasonOf } from '../fault/reason.ts';
import { withinDeadline } from '../resource/deadline.ts';
import { DEADLINE_MS_DEFAULT, isProvider, type Provider } from '../resource/provider.ts';
import { watchProvider } from '../resource/turns.ts';
import type { ForeignProvider } from './protocol.ts';
import { createTurns } from './provider-turns.ts';
import type { SharedControl } from './shared-control.ts';

/** Import modules that begin so are the host's: `stasis_kv` and its like. */
const HOST_PREFIX = 'stasis';

/** Providers in the order of `wanted`. Rejects with ERR_PROVIDER or ERR_TIMEOUT. */
export async function loadForeignProviders(
  wanted: readonly ForeignProvider[],
  shared: SharedControl,
): Promise<Provider[]> {
  if (wanted.length === 0) return [];
  offerOwnModule();
  const providers: Provider[] = [];
  for (const [index, one] of wanted.entries()) {
    const turns = createTurns(shared, index);
    const end = turns.begin('to be loaded', DEADLINE_MS_DEFAULT);
    try {
      const what = `The provider in ${one.module}, being loaded,`;
      const provider = await withinDeadline(what, DEADLINE_MS_DEFAULT, () => loadOne(one));
      checkImportModules(provider);
      providers.push(watchProvider(provider, turns));
    } finally {
      end();
    }
  }
  return providers;
}

let isOffered = false;

/** `stasis/provider` as an import of any file that is loaded from now on. */
function offerOwnModule(): void {
  if (isOffered) return;
  isOffered = true;
  const name = import.meta.url.endsWith('.ts') ? '../provider.ts' : '../provider.js';
  const url = new URL(name, import.meta.url).href;
  registerHooks({
    resolve: (specifier, context, next) =>
      specifier === 'stasis/provider' ? { url, shortCircuit: true } : next(specifier, context),
  });
}

async function loadOne(wanted: ForeignProvider): Promise<Provider> {
  const { module, export: name, options, digest } = wanted;
  const bytes = readFileSync(module);
  if (createHash('sha256').update(bytes).digest('hex') !== digest) {
    throw refusal(wanted, 'was changed just now', 'run it again');
  }
  let exported: unknown;
  try {
    const all = (await import(pathToFileURL(module).href)) as Readonly<Record<string, unknown>>;
    if (!Object.hasOwn(all, name)) {
      const offered = Object.keys(all).join(', ');
      throw refusal(
        wanted,
        `exports no ${name}`,
        offered === ''
          ? 'write: export default defineProvider({ … })'
          : `it exports ${offered}: write FILE#NAME`,
      );
    }
    exported = all[name];
    if (typeof exported === 'function') exported = await exported(options);
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw new HostError(
      'ERR_PROVIDER',
      `The provider ${module} could not be loaded: ${kindOf(error)}${reasonOf(error)}.`,
      { cause: error, facts: { file: module, export: name }, hint: hintOf(error, module) },
    );
  }
  if (isProvider(exported)) return exported;
  throw refusal(
    wanted,
    `exports something else than a provider as ${name}`,
    'export what defineProvider of stasis/provider gives, or a function of the options that gives it',
  );
}

function checkImportModules({ kind, imports = {} }: Provider): void {
  for (const module of Object.keys(imports)) {
    if (!module.startsWith(HOST_PREFIX)) continue;
    throw new HostError(
      'ERR_PROVIDER',
      `The provider ${kind} offers the import module ${module}, whose name is kept for the host.`,
      { facts: { provider: kind }, hint: 'give its import module a name of its own' },
    );
  }
}

function refusal({ module, export: name }: ForeignProvider, what: string, hint: string): HostError {
  return new HostError('ERR_PROVIDER', `The file ${module} ${what}.`, {
    facts: { file: module, export: name },
    hint,
  });
}

function kindOf(error: unknown): string {
  return error instanceof SyntaxError ? 'a syntax error: ' : '';
}

function hintOf(error: unknown, module: string): string {
  const { hint } = accessHint(error);
  if (hint !== undefined) return hint;
  return error instanceof SyntaxError ? `node --check ${module} shows the place` : 'mend the file';
}
