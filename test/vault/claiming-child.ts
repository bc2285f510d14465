/**
 * Claims checkpoints as soon as it is told to. Arguments: the root of the places, the number of the run, ids.
 * Writes `ready`, waits for a line, and writes `won ID` or `lost ID CODE` for each.
 */
import { readSync, writeSync } from 'node:fs';
import type { HostError } from '../../src/fault/host-error.ts';
import { ALICE, open, placesIn } from './test-vault.ts';

const [root, run, ...ids] = process.argv.slice(2);
const vault = await open(placesIn(root!));
writeSync(1, 'ready\n');
readSync(0, new Uint8Array(1));
for (const id of ids) {
  try {
    const request = { job: 'job-1', run: Number(run), how: 'once', fateOf: () => 'running' };
    await vault.claim(ALICE, id, request as Parameters<typeof vault.claim>[2]);
    writeSync(1, `won ${id}\n`);
  } catch (error) {
    writeSync(1, `lost ${id} ${(error as HostError).code}\n`);
  }
}
await vault.close();
