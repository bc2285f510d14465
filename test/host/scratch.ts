import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll } from 'vitest';

/** A directory for one test file, removed after its last test. */
export function scratchDirectory(): string {
  const path = mkdtempSync(join(tmpdir(), 'stasis-test-'));
  afterAll(() => rmSync(path, { recursive: true, force: true }));
  return path;
}
