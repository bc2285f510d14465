/** A guest that is restored several times from one checkpoint can tell its runs apart. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { ROOT, stasisIn } from './stasis-command.ts';

const MODULE = join(ROOT, 'guests', 'build', 'examples', 'generation.wasm');
const NAMES = 20;
const stasis = stasisIn(join(scratchDirectory(), 'home'));

test('each run has a generation of its own, and keeps it across a checkpoint', async () => {
  // Calls: two a name, after the first; a checkpoint that it goes on from, and one that it stops at.
  const triggers = ['--checkpoint-at-call', '11', '--checkpoint-at-call', '21:stop'];
  const first = await stasis(['run', '--name', 'names', ...triggers, MODULE, String(NAMES)]);
  const runs = [first];
  for (const words of [[], ['--again'], ['--clone', '--name', 'twin']]) {
    runs.push(await stasis(['restore', 'names', ...words]));
  }
  const names = runs.flatMap(({ status, stdout }) => {
    expect(status).toBe(0);
    const lines = String(stdout).trimEnd().split('\n');
    expect(lines.length).toBeGreaterThan(5);
    const generations = new Set(lines.map((line) => line.split(' ')[0]));
    expect(generations.size).toBe(1);
    return lines;
  });
  expect(new Set(names).size).toBe(names.length);
  expect(new Set(names.map((name) => name.split(' ')[0])).size).toBe(4);
});
