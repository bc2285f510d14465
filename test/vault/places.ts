import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import { type Places, placesIn } from './test-vault.ts';

/** A directory that goes when the test is over. */
export function makePlaces(): Places {
  const root = mkdtempSync(join(tmpdir(), 'stasis-vault-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
  return placesIn(root);
}
