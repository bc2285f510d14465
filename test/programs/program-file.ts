/** The real programs as their packages bring them. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

const require = createRequire(import.meta.url);

/** Where a file of a package that is installed for development stands. */
export function programPath(path: string): string {
  return require.resolve(path);
}

export function programFile(path: string): Uint8Array<ArrayBuffer> {
  return new Uint8Array(readFileSync(programPath(path)));
}
