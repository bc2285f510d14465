/**
 * A guest with a pool, captured at many safepoints, each time with whatever pages it had pinned there. Each
 * of the checkpoints is restored by the command, onto a file that has long gone on, and comes to its end.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { openState } from '../e2e/open-state.ts';
import { newChance, pick } from '../e2e/random-source.ts';
import { stasisIn } from '../e2e/stasis-command.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { MODULE } from './pool-job.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const POINTS = NIGHTLY ? 60 : 4;
const COUNT = 300;
/** The guest makes some more; those where a page is pinned are among the first as well. */
const CALLS_MAX = 8000;
const scratch = scratchDirectory();
const chance = newChance();
const ways = poolCalls() === null ? ['copy'] : ['copy', 'window'];

test.each(ways)('captured anywhere, restored onto what the file is then: %s', async (way) => {
  const stasis = stasisIn(join(scratch, `home-${way}`));
  const pool = ['--pool', `tree=${join(scratch, `tree-${way}`)},frames=16`];
  const tree = [MODULE, '0', '1', `${COUNT}`, way];
  const points = Array.from({ length: POINTS }, () => 10 + chance.below(CALLS_MAX));
  const triggers = points.flatMap((call) => ['--checkpoint-at-call', `${call}`]);
  const run = await stasis(['run', '--name', 'job', ...triggers, ...pool, ...tree]);
  expect(run.stderr.toString(), `seed ${chance.seed}`).toContain('replaced');
  expect(run.status).toBe(0);

  const state = await openState(stasis.home);
  const checkpoints = await state.checkpoints('job');
  await state.close();
  expect(checkpoints.length).toBe(new Set(points).size);
  let changed = 0;
  for (const { id } of pick(chance, checkpoints, POINTS)) {
    const restored = await stasis(['restore', '--id', id]);
    const told = `${restored.stdout} ${restored.stderr} seed ${chance.seed}`;
    expect(restored.status, told).toBe(0);
    expect(restored.stdout.toString(), told).toMatch(/^ok pool-btree$/m);
    const [replaced] = /(\d+) replaced/.exec(restored.stderr.toString())!.slice(1).map(Number);
    if (replaced! > 0) changed++;
    const check = await stasis(['run', ...pool, MODULE, 'check', '1', `${COUNT}`]);
    expect(check.stdout.toString(), told).toMatch(new RegExp(`^${COUNT} keys in `));
  }
  console.log(
    `pool ${way}: ${checkpoints.length} checkpoints restored, ${changed} with pages that had changed; seed ${chance.seed}`,
  );
});
