/**
 * Two guests of the real command keep one B-tree. One is checkpointed with pages pinned and killed, host
 * and cell, while the other one goes on changing the file; it is restored, and both come to their ends.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { isAlive, killProcess } from '../../src/host/process-identity.ts';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { openState } from '../e2e/open-state.ts';
import { stasisIn } from '../e2e/stasis-command.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { MODULE, startJob } from './pool-job.ts';

const COUNT = 2000;
/** Keys that the other guest puts in while the first one is gone: more than enough to change every leaf. */
const MEANWHILE = 500;
const scratch = scratchDirectory();

const ways = poolCalls() === null ? ['copy'] : ['copy', 'window'];

test.each(ways)('both see one tree, after one of them was killed and restored: %s', async (way) => {
  const stasis = stasisIn(join(scratch, `home-${way}`));
  const file = join(scratch, `tree-${way}`);
  const pool = ['--pool', `tree=${file},frames=32`];
  const tree = (writer: string, ...words: string[]) => [
    MODULE,
    writer,
    '2',
    `${COUNT}`,
    way,
    ...words,
  ];

  const a = startJob(stasis, ['run', '--name', 'a', ...pool, ...tree('0', 'ask')]);
  // The other guest begins when this one is halfway to its checkpoint, so that it has most of its way left.
  await a.until(() => a.keys() > 0);
  const b = startJob(stasis, ['run', '--name', 'b', ...pool, ...tree('1')]);
  expect(await a.until(() => a.stdout().includes('checkpointed'))).toBe(true);
  const wasFaster = b.isOver();

  const state = await openState(stasis.home);
  const cell = state.table.find(state.owner, 'a').run.cell!;
  killProcess({ pid: a.pid(), stamp: null });
  killProcess(cell);
  const killed = await a.ended;
  expect(killed.signal, 'the guest was killed on its way').toBe('SIGKILL');
  while (isAlive(cell)) await new Promise((resolve) => setTimeout(resolve, 5));

  const then = b.keys();
  await b.until(() => b.keys() >= then + MEANWHILE);
  const wentOn = b.isOver() ? 'was over' : 'went on';
  // With another size, which counts only when nobody else has the pool open.
  const again = startJob(stasis, ['restore', 'a', '--pool', `tree=${file},frames=64`]);
  const [restored, other] = await Promise.all([again.ended, b.ended]);
  expect(restored.stderr.toString()).toMatch(/\d+ replaced/);
  // A guest that was slowed down so much saw all of the other one's changes before its checkpoint.
  const changes = wasFaster ? /^restarted, /m : /^restarted, root changed, leaf changed$/m;
  expect(again.stdout()).toMatch(changes);
  expect([restored.status, other.status]).toEqual([0, 0]);

  const check = await stasis(['run', ...pool, ...tree('check')]);
  expect(check.stdout.toString()).toMatch(new RegExp(`^${2 * COUNT} keys in \\d+ nodes`));
  expect(check.status).toBe(0);
  // Nobody has the pool open: what is left is the page file and an empty journal.
  expect(existsSync(`${file}-frames`)).toBe(false);
  console.log(
    `${way}: killed at ${then} keys of the other guest, which ${wentOn} during the restore; ` +
      `${again.stdout().match(/^restarted.*$/m)}; ${restored.stderr.toString().trim().split('\n').at(-1)}; ` +
      check.stdout.toString().split('\n')[0],
  );
});
