/** Directories as the crash model has them: read from a disk, and put down on one. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { DiskState } from './crash-model.ts';

/** All that is below `root`, each directory before what is in it. */
export function readDown(root: string): DiskState {
  const state = new Map<string, Uint8Array | null>();
  const visit = (below: string): void => {
    for (const entry of readdirSync(join(root, below), { withFileTypes: true })) {
      const path = join(below, entry.name);
      state.set(path, entry.isDirectory() ? null : readFileSync(join(root, path)));
      if (entry.isDirectory()) visit(path);
    }
  };
  visit('');
  return state;
}

export function putDown(root: string, state: DiskState): void {
  for (const [path, content] of state) {
    const at = join(root, path);
    if (content === null) mkdirSync(at, { mode: 0o700 });
    else writeFileSync(at, content, { mode: 0o600 });
  }
}
