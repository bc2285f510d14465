/**
 * Two guests of the real command keep one B-tree; host, cell or both of one of them are killed with SIGKILL
 * at random moments, while it makes checkpoints. After each kill the keys that it said were flushed are in
 * the tree, which is whole, while the other guest goes on. It is restored, or begins anew; at the end every
 * key is there once.
 */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { isAlive, killProcess } from '../../src/host/process-identity.ts';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { type OpenState, openState } from '../e2e/open-state.ts';
import { newChance } from '../e2e/random-source.ts';
import { stasisIn } from '../e2e/stasis-command.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { MODULE, type PoolJob, startJob } from './pool-job.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const KILLS = NIGHTLY ? 60 : 3;
const COUNT = NIGHTLY ? 20_000 : 1500;
const RUNNING_MS_MAX = 800;
const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));
const pool = ['--pool', `tree=${join(scratch, 'tree')},frames=32`];
const chance = newChance();
const done = { kills: 0, restores: 0, anew: 0 };

const way = () => (poolCalls() !== null && chance.below(2) === 0 ? 'window' : 'copy');
const words = (writer: number) => [MODULE, `${writer}`, '2', `${COUNT}`, way()];

interface Lane {
  readonly writer: number;
  job: PoolJob;
  /** Keys that it ever said were flushed. */
  flushed: number;
  begun: number;
}

function begin(lane: Pick<Lane, 'writer' | 'begun'>): PoolJob {
  const name = `w${lane.writer}-${lane.begun}`;
  return startJob(stasis, [
    'run',
    '--name',
    name,
    '--checkpoint-every',
    '150ms',
    ...pool,
    ...words(lane.writer),
  ]);
}

const nameOf = ({ writer, begun }: Lane): string => `w${writer}-${begun}`;

async function kill(state: OpenState, lane: Lane): Promise<void> {
  const victims = (['host', 'cell', 'both'] as const)[chance.below(3)]!;
  const { cell } = state.table.find(state.owner, nameOf(lane)).run;
  if (victims !== 'host' && cell !== null) killProcess(cell);
  if (victims !== 'cell') killProcess({ pid: lane.job.pid(), stamp: null });
  await lane.job.ended;
  while (cell !== null && isAlive(cell)) await sleep(5);
  done.kills++;
}

async function goOn(state: OpenState, lane: Lane): Promise<void> {
  const checkpoints = await state.checkpoints(nameOf(lane));
  if (checkpoints.length > 0) {
    lane.job = startJob(stasis, ['restore', nameOf(lane), '--checkpoint-every', '150ms']);
    done.restores++;
  } else {
    lane.begun++;
    lane.job = begin(lane);
    done.anew++;
  }
}

test('every flushed key is there after each kill, and every key at the end', async () => {
  const lanes = [0, 1].map((writer): Lane => {
    const first = { writer, begun: 0 };
    return { ...first, job: begin(first), flushed: 0 };
  });
  let state: OpenState | null = null;
  while (done.kills < KILLS && lanes.some(({ job }) => !job.isOver())) {
    const lane = lanes[chance.below(2)]!;
    if (!(await lane.job.until(() => lane.job.keys() > 0))) continue;
    state ??= await openState(stasis.home);
    await sleep(chance.below(RUNNING_MS_MAX));
    if (lane.job.isOver()) continue;
    await kill(state, lane);
    lane.flushed = Math.max(lane.flushed, lane.job.keys());
    const check = ['flushed', '2', `${lane.flushed}`, `${lane.writer}`];
    const checked = await stasis(['run', ...pool, MODULE, ...check]);
    expect(checked.stdout.toString(), `seed ${chance.seed}`).toMatch(/^ok pool-btree$/m);
    await goOn(state, lane);
  }
  for (const { job } of lanes) {
    const { status, stderr } = await job.ended;
    expect(status, `${stderr} ${job.stdout()} seed ${chance.seed}`).toBe(0);
  }
  const check = await stasis(['run', ...pool, MODULE, 'check', '2', `${COUNT}`]);
  expect(check.stdout.toString()).toMatch(new RegExp(`^${2 * COUNT} keys in \\d+ nodes`));
  await state?.close();
  console.log(
    `pool: ${done.kills} kills, ${done.restores} restored, ${done.anew} anew; ` +
      `${check.stdout.toString().split('\n')[0]}; seed ${chance.seed}`,
  );
  expect(done.kills).toBeGreaterThan(0);
});
