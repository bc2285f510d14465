import { createHash } from 'node:crypto';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { cliIn } from '../cli/run-cli.ts';
import { scratchDirectory } from '../host/scratch.ts';

/** The whole number runs at night; the few of every day go through the same code. */
const ROUNDS = process.env['STASIS_NIGHTLY'] === undefined ? 12 : 200;
const LIFE_MS_MAX = 400;

const cli = cliIn(join(scratchDirectory(), 'home'));
const EVERY = ['--checkpoint-every', '5ms'];

interface Listed {
  readonly job: string;
  readonly state: string;
  readonly hostPid: number;
  readonly cellPid: number | null;
  readonly checkpoint: { readonly sequence: number } | null;
}

async function stateOf(name: string): Promise<Listed> {
  const { stdout } = await cli(['ps', '--all', '--json']);
  return JSON.parse(stdout).jobs.find(({ job }: Listed) => job === name);
}

async function sequences(name: string): Promise<number[]> {
  const { stdout } = await cli(['checkpoints', name, '--json']);
  return JSON.parse(stdout).checkpoints.map(({ sequence }: { sequence: number }) => sequence);
}

/** A moment that looks random and is the same in every run of the test. */
function lifeMs(round: number): number {
  return createHash('sha256').update(`round ${round}`).digest().readUInt32LE() % LIFE_MS_MAX;
}

function kill(pid: number | null): void {
  if (pid === null) return;
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // It ended by itself in the meantime.
  }
}

/** One job, killed up to `rounds` times, until it has ended; how often it was killed. */
async function killedJob(name: string, rounds: number): Promise<number> {
  const run = ['run', '-d', '--name', name, ...EVERY, 'guests/build/nqueens.wasm', '12'];
  expect((await cli(run)).status).toBe(0);
  while ((await stateOf(name)).checkpoint === null) await sleep(10);

  let acknowledged = 0;
  let round = 0;
  for (; round < rounds; round += 1) {
    await sleep(lifeMs(round));
    const { hostPid, cellPid, checkpoint } = await stateOf(name);
    // One made by this run was told only after it was sealed.
    acknowledged = Math.max(acknowledged, checkpoint?.sequence ?? 0);
    for (const pid of round % 2 === 0 ? [hostPid, cellPid] : [cellPid, hostPid]) kill(pid);
    while ((await stateOf(name)).state === 'running') await sleep(5);

    const offered = await sequences(name);
    expect(offered[0]).toBeGreaterThanOrEqual(acknowledged);
    expect(offered).toEqual(offered.map((_, at) => offered[0]! - at));
    // It was quicker than the kill.
    if ((await stateOf(name)).state === 'exited') break;
    const again = await cli(['restore', name, '--detach', ...EVERY]);
    expect(again).toMatchObject({ status: 0, stderr: '' });
  }

  const { stdout } = await cli(['logs', '--follow', name]);
  const lines = stdout.trimEnd().split('\n');
  expect(lines.map((line) => line.split(':')[0])).toEqual([
    ...Array.from({ length: 12 }, (_, at) => `first queen in column ${at + 1}`),
    '12 queens',
    'ok nqueens',
  ]);
  while ((await stateOf(name)).state === 'running') await sleep(5);
  expect(await stateOf(name)).toMatchObject({ state: 'exited', status: 0 });
  return round;
}

test(`killed ${ROUNDS} times while checkpoints are written, a job loses none that was acknowledged`, async () => {
  let kills = 0;
  let jobs = 0;
  while (kills < ROUNDS) {
    kills += await killedJob(`job-${jobs}`, ROUNDS - kills);
    jobs += 1;
  }
  process.stdout.write(`kill loop: ${kills} kills of ${jobs} jobs\n`);
});
