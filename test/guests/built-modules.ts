/** The committed modules of `guests/build/`: their names, digests and bytes. */

import { readdirSync, readFileSync } from 'node:fs';

export const GUESTS = new URL('../../guests/', import.meta.url);
const BUILD = new URL('build/', GUESTS);

/** Names as in SHA256SUMS: `nqueens`, `kernels/fib`. */
export function moduleBytes(name: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(readFileSync(new URL(`${name}.wasm`, BUILD)));
}

/** What SHA256SUMS says: digest by name of the module. */
export function listedDigests(): ReadonlyMap<string, string> {
  const lines = readFileSync(new URL('SHA256SUMS', BUILD), 'utf8').trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [digest, file] = line.split('  ') as [string, string];
      return [file.replace(/\.wasm$/, ''), digest];
    }),
  );
}

/**
 * Guests that call what no other host offers, by name: what the command needs to run them, relative to
 * the repository.
 */
export const NEED_PROVIDERS: Readonly<Record<string, readonly string[]>> = {
  'provider-calls': ['--provider', 'test/e2e/providers/probe.mjs#probe'],
};

/** The modules that are there, by name. */
export function presentModules(): readonly string[] {
  return readdirSync(BUILD, { recursive: true, encoding: 'utf8' })
    .filter((file) => file.endsWith('.wasm'))
    .map((file) => file.replace(/\.wasm$/, ''))
    .sort();
}

/** The modules that the sources say should be there, by name. */
export function modulesOfSources(): readonly string[] {
  return readdirSync(GUESTS, { recursive: true, encoding: 'utf8' })
    .filter((file) => /^(examples\/|kernels\/|kv\/|pools\/|rust\/)?[^/]+\.(c|wat|rs)$/.test(file))
    .map((file) => file.replace(/^rust\//, '').replace(/\.[a-z]+$/, ''))
    .sort();
}
