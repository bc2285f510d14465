/** Runs one of the benchmark's programs in a process of its own, and reads the JSON that it prints. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** Holds what Node makes of our sources, so that a fresh process measures the guest and not Node. */
export function makeScratch(): { readonly folder: string; readonly remove: () => void } {
  const folder = mkdtempSync(join(tmpdir(), 'stasis-bench-'));
  return { folder, remove: () => rmSync(folder, { recursive: true }) };
}

/** `script`: a file beside this one. Its errors go to the terminal. `flags`: the engine's. */
export function measureApart<T>(
  folder: string,
  script: string,
  args: readonly string[],
  flags: readonly string[] = [],
): T {
  const command = [
    '--disable-warning=ExperimentalWarning',
    ...flags,
    join(import.meta.dirname, script),
    ...args,
  ];
  const output = execFileSync(process.execPath, command, {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, NODE_COMPILE_CACHE: folder },
  });
  return JSON.parse(output) as T;
}
