/** What becomes of jobs when the daemon stops, is killed, or dies with everything that it started. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { ALICE, BOB, DaemonUnderTest } from './daemon-under-test.ts';

const LONG = ['guests/build/sleeping-poll.wasm', '100000'];
const AGAIN_MS = 100;
const daemon = new DaemonUnderTest();

interface Shown {
  readonly job: string;
  readonly state: string;
  readonly run: number;
  readonly hostPid: number;
  readonly cellPid: number;
  readonly restoredFrom: string | null;
  readonly restorable: { readonly sequence: number } | null;
}

async function shown(user: typeof ALICE, name: string): Promise<Shown> {
  const { stdout } = await daemon.ask(user, ['ps', '--all', '--json']);
  const { jobs } = JSON.parse(stdout) as { jobs: Shown[] };
  return jobs.find(({ job }) => job === name)!;
}

async function until(user: typeof ALICE, name: string, right: (job: Shown) => boolean) {
  for (;;) {
    const job = await shown(user, name);
    if (right(job)) return job;
    await sleep(AGAIN_MS);
  }
}

function start(user: typeof ALICE, name: string, ...options: string[]) {
  return daemon.ask(user, ['run', '--detach', '--name', name, ...options, ...LONG]);
}

test('a job goes on when its daemon is killed, and the next one finds it', async () => {
  await daemon.start();
  expect((await start(ALICE, 'goes-on')).status).toBe(0);
  const before = await shown(ALICE, 'goes-on');
  await daemon.stop('SIGKILL');
  expect((await daemon.ask(ALICE, ['ps'])).stderr).toContain('ERR_HOST_UNREACHABLE');
  await daemon.start();
  expect(await shown(ALICE, 'goes-on')).toEqual(before);
  expect((await daemon.ask(ALICE, ['checkpoint', 'goes-on'])).status).toBe(0);
  expect((await daemon.ask(ALICE, ['rm', '--force', 'goes-on'])).status).toBe(0);
});

test('of jobs that die with everything, those with --restart are restored', async () => {
  expect((await start(ALICE, 'comes-back', '--restart')).status).toBe(0);
  expect((await start(BOB, 'stays-lost')).status).toBe(0);
  expect((await start(BOB, 'never-captured', '--restart')).status).toBe(0);
  for (const [user, name] of [
    [ALICE, 'comes-back'],
    [BOB, 'stays-lost'],
  ] as const) {
    expect((await daemon.ask(user, ['checkpoint', name])).status).toBe(0);
  }
  const all = await Promise.all([
    shown(ALICE, 'comes-back'),
    shown(BOB, 'stays-lost'),
    shown(BOB, 'never-captured'),
  ]);
  await daemon.stop('SIGKILL');
  for (const { hostPid, cellPid } of all) {
    for (const pid of [hostPid, cellPid]) process.kill(pid, 'SIGKILL');
  }
  await daemon.start();
  const back = await until(
    ALICE,
    'comes-back',
    ({ state, run }) => state === 'running' && run === 2,
  );
  expect(back.restoredFrom).not.toBeNull();
  const stays = await shown(BOB, 'stays-lost');
  expect(stays).toMatchObject({ state: 'restorable', run: 1 });
  expect(stays.restorable).not.toBeNull();
  const never = await shown(BOB, 'never-captured');
  expect(never).toMatchObject({ state: 'lost', run: 1, restorable: null });
  while (!daemon.told.some((line) => line.includes('ERR_NO_SUCH_CHECKPOINT')))
    await sleep(AGAIN_MS);
  const restored = await daemon.ask(BOB, ['restore', '--detach', 'stays-lost']);
  expect(restored).toMatchObject({ status: 0, stderr: '' });
  expect((await daemon.ask(BOB, ['rm', '--force', 'stays-lost', 'never-captured'])).status).toBe(0);
});

test('with SIGTERM those with --restart are captured and go on, the others are ended', async () => {
  expect((await start(BOB, 'ended')).status).toBe(0);
  expect(await daemon.stop()).toBe(0);
  await daemon.start();
  const back = await until(
    ALICE,
    'comes-back',
    ({ state, run }) => state === 'running' && run === 3,
  );
  expect(back.restoredFrom).not.toBeNull();
  expect(await shown(BOB, 'ended')).toMatchObject({ state: 'killed', run: 1 });
  // What its user stopped stays stopped.
  expect((await daemon.ask(ALICE, ['checkpoint', '--stop', 'comes-back'])).status).toBe(0);
  await until(ALICE, 'comes-back', ({ state }) => state === 'stopped');
  const told = daemon.told.length;
  expect(await daemon.stop()).toBe(0);
  await daemon.start();
  expect(await shown(ALICE, 'comes-back')).toMatchObject({ state: 'stopped', run: 3 });
  expect(daemon.told.slice(told).filter((line) => line.includes('restoring'))).toEqual([]);
  for (const [user, name] of [
    [ALICE, 'comes-back'],
    [BOB, 'ended'],
  ] as const) {
    expect((await daemon.ask(user, ['rm', name])).status).toBe(0);
  }
});

test('caps hold between starts of one user, and each has his own', async () => {
  const policy = join(daemon.scratch, 'policy.json');
  writeFileSync(policy, JSON.stringify({ version: 1, defaults: { caps: { jobs: 2 } } }), {
    mode: 0o644,
  });
  await daemon.stop();
  await daemon.start(['--policy', policy]);
  const results = await Promise.all(['a', 'b', 'c', 'd', 'e'].map((name) => start(ALICE, name)));
  const refused = results.filter(({ status }) => status !== 0);
  expect(refused).toHaveLength(3);
  for (const { stderr } of refused) expect(stderr).toMatch(/ERR_QUOTA[\s\S]*allowed: 2/);
  if (ALICE !== BOB && ALICE.uid !== BOB.uid) expect((await start(BOB, 'a')).status).toBe(0);
});
