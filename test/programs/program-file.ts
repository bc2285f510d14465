/** The real programs as their packages bring them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** The bytes of a file in a package that is installed for development. */
export function programFile(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(require.resolve(path)));
}
