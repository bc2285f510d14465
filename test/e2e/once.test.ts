/**
 * A checkpoint is restored once: what counts as once, what does not, and how to say otherwise. THREATS, case 11.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { type CommandResult, ROOT, stasisIn } from './stasis-command.ts';

const GENERATION = join(ROOT, 'guests', 'build', 'examples', 'generation.wasm');
const HEAP = join(ROOT, 'guests', 'build', 'nqueens.wasm');
const stasis = stasisIn(join(scratchDirectory(), 'home'));

const codeOf = ({ stderr }: CommandResult) => /\((ERR_\w+)\)/.exec(String(stderr))?.[1] ?? null;
const checkpoints = async (job: string) => {
  const { stdout } = await stasis(['checkpoints', job, '--json']);
  return (JSON.parse(String(stdout)) as { checkpoints: { sequence: number; use: unknown }[] })
    .checkpoints;
};

test('used by a run that ends well; not by one that fails, is bounded or killed', async () => {
  const stop = ['--checkpoint-at-fuel', '20000:stop'];
  const made = await stasis(['run', '--name', 'job', ...stop, HEAP, '8']);
  expect(String(made.stderr)).toContain('stopped after its checkpoint');
  // Out of fuel, and a host that could not start the guest: the work is still to be done.
  expect((await stasis(['restore', 'job', '--fuel', '20010'])).status).toBe(121);
  expect((await stasis(['restore', 'job', '--max-memory', '64KiB'])).status).toBe(125);
  expect((await checkpoints('job'))[0]?.use).toBeNull();
  expect((await stasis(['restore', 'job', '--fuel', '100000000'])).status).toBe(0);
  expect((await checkpoints('job'))[0]?.use).toMatchObject({ state: 'used' });
  for (const words of [[], ['--dry-run']]) {
    const refused = await stasis(['restore', 'job', ...words]);
    expect([refused.status, codeOf(refused)]).toEqual([125, 'ERR_CHECKPOINT_USED']);
    expect(String(refused.stderr)).toMatch(/--again.*--clone/);
  }
  expect((await stasis(['restore', 'job', '--again', '--fuel', '100000000'])).status).toBe(0);
});

test('used by a run that made a newer one, which is restored then', async () => {
  await stasis(['run', '--name', 'two', '--checkpoint-at-call', '5:stop', GENERATION, '12']);
  await stasis(['restore', 'two', '--checkpoint-at-call', '15:stop']);
  const [newer, older] = await checkpoints('two');
  expect([newer?.use, older?.use]).toEqual([null, expect.objectContaining({ state: 'used' })]);
  const { stdout } = await stasis(['checkpoints', 'two', '--json']);
  const first = (JSON.parse(String(stdout)) as { checkpoints: { id: string }[] }).checkpoints[1]!
    .id;
  expect(codeOf(await stasis(['restore', '--id', first]))).toBe('ERR_CHECKPOINT_USED');
  expect((await stasis(['restore', 'two'])).status).toBe(0);
});

test('of several restores at once exactly one goes on, and twins are told apart', async () => {
  await stasis(['run', '--name', 'race', '--checkpoint-at-call', '5:stop', GENERATION, '12']);
  const racers = await Promise.all([1, 2, 3].map(() => stasis(['restore', 'race'])));
  const won = racers.filter(({ status }) => status === 0);
  expect(won).toHaveLength(1);
  for (const lost of racers.filter(({ status }) => status !== 0)) {
    expect(['ERR_JOB_RUNNING', 'ERR_CHECKPOINT_USED']).toContain(codeOf(lost));
  }
  const twins = await Promise.all(
    ['one', 'two-too'].map((name) => stasis(['restore', 'race', '--clone', '--name', name])),
  );
  const generations = [...won, ...twins].map(({ status, stdout }) => {
    expect(status).toBe(0);
    return String(stdout).trim().split('\n')[1]!.split(' ')[0];
  });
  expect(new Set(generations).size).toBe(3);
  const { stdout } = await stasis(['ps', '--all', '--json']);
  const jobs = (JSON.parse(String(stdout)) as { jobs: { job: string; run: number }[] }).jobs;
  expect(jobs.filter(({ job }) => ['one', 'two-too'].includes(job))).toHaveLength(2);
  expect(codeOf(await stasis(['restore', 'race', '--clone', '--name', 'one']))).toBe(
    'ERR_JOB_EXISTS',
  );
  expect(codeOf(await stasis(['restore', 'race', '--name', 'one']))).toBe('ERR_USAGE');
  // What a twin makes is its own.
  await stasis(['restore', 'race', '--clone', '--name', 'maker', '--checkpoint-at-call', '9:stop']);
  expect(await checkpoints('maker')).toHaveLength(1);
  expect((await stasis(['restore', 'maker'])).status).toBe(0);
});

test('operators: nobody restores for somebody else who has not granted it', async () => {
  const words = ['--owner', 'uid:4711', 'job'];
  expect(codeOf(await stasis(['restore', ...words]))).toBe('ERR_NO_SUCH_JOB');
  expect(codeOf(await stasis(['restore', '--owner', 'uid:4711']))).toBe('ERR_NO_SUCH_CHECKPOINT');
  expect((await stasis(['grant', 'uid:4711'])).status).toBe(0);
  expect(String((await stasis(['grants'])).stdout)).toBe('uid:4711\n');
  expect((await stasis(['grant', '--revoke', 'uid:4711'])).status).toBe(0);
  expect(codeOf(await stasis(['grant', '--revoke', 'uid:4711']))).toBe('ERR_USAGE');
  expect(codeOf(await stasis(['grant', 'bob']))).toBe('ERR_USAGE');
});
