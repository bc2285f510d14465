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
/** A machine may be so fast that the guests are over before they are killed; then they get so many times more to do. */
const MORE = 4;
const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));
const chance = newChance();
const done = { kills: 0, restores: 0, anew: 0 };

const way = () => (poolCalls() !== null && chance.below(2) === 0 ? 'window' : 'copy');

/** One tree and how many keys each of its two writers puts into it. */
interface Tree {
  readonly count: number;
  readonly pool: readonly string[];
}

interface Lane {
  readonly tree: Tree;
  readonly writer: number;
  job: PoolJob;
  /** Keys that it ever said were flushed. */
  flushed: number;
  begun: number;
}

type Place = Pick<Lane, 'tree' | 'writer' | 'begun'>;

function begin(lane: Place): PoolJob {
  const { count, pool } = lane.tree;
  const run = ['run', '--name', nameOf(lane), '--checkpoint-every', '150ms', ...pool];
  return startJob(stasis, [...run, MODULE, `${lane.writer}`, '2', `${count}`, way()]);
}

const nameOf = ({ tree, writer, begun }: Place): string => `of${tree.count}-w${writer}-${begun}`;

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

async function killWhileTheyWrite(tree: Tree): Promise<string> {
  const { count, pool } = tree;
  const lanes = [0, 1].map((writer): Lane => {
    const first = { tree, writer, begun: 0 };
    return { ...first, job: begin(first), flushed: 0 };
  });
  let state: OpenState | null = null;
  while (done.kills < KILLS && lanes.some(({ job }) => !job.isOver())) {
    const lane = lanes[chance.below(2)]!;
    // A restored one says no more of what it said before; some keys are always left to be written.
    const due = 1 + chance.below(count >> 2);
    if (!(await lane.job.until(() => lane.job.keys() >= due))) continue;
    state ??= await openState(stasis.home);
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
  const check = await stasis(['run', ...pool, MODULE, 'check', '2', `${count}`]);
  expect(check.stdout.toString()).toMatch(new RegExp(`^${2 * count} keys in \\d+ nodes`));
  await state?.close();
  return check.stdout.toString().split('\n')[0]!;
}

test('every flushed key is there after each kill, and every key at the end', async () => {
  for (let count = COUNT; done.kills === 0; count *= MORE) {
    const pool = ['--pool', `tree=${join(scratch, `tree-${count}`)},frames=32`];
    const found = await killWhileTheyWrite({ count, pool });
    console.log(
      `pool: ${done.kills} kills, ${done.restores} restored, ${done.anew} anew; ` +
        `${found}; seed ${chance.seed}`,
    );
  }
});
