/** Runs Binaryen's Asyncify, as its documentation says: the pass, and optimisation behind it. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

/** What the guests and the polls in them use; all features would bring spellings that engines lack. */
const FEATURES = [
  'mutable-globals',
  'nontrapping-float-to-int',
  'sign-ext',
  'bulk-memory',
  'simd',
  'reference-types',
  'multivalue',
  'exception-handling',
  'tail-call',
];
const FLAGS = [...FEATURES.map((feature) => `--enable-${feature}`), '--asyncify', '-O2'];

/** Asyncifies the module in `from` into `to`: every import may unwind, and every call through a table. */
export function asyncify(from: string, to: string): void {
  const binaryen = dirname(createRequire(import.meta.url).resolve('binaryen/package.json'));
  execFileSync(process.execPath, [join(binaryen, 'bin', 'wasm-opt'), ...FLAGS, from, '-o', to], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
}
