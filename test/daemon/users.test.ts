/** THREATS cases 15 and 22, and "user → other owner's checkpoints": what one user can do about another. */
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { DoorAsk } from '../../src/cli/door-protocol.ts';
import { ALICE, BOB, DaemonUnderTest, IS_ROOT } from './daemon-under-test.ts';

type RestoreWork = Extract<DoorAsk, { ask: 'explain' }>['work'];

const QUEENS = 'guests/build/nqueens.wasm';
/** Sleeps for 100 s, eight times. */
const LONG = ['guests/build/sleeping-poll.wasm', '100000'];
const daemon = new DaemonUnderTest();

if (!IS_ROOT) console.log('not root: there is one user, and what needs two is tried with one');

beforeAll(() => daemon.start());

async function jobs(user: typeof ALICE): Promise<Record<string, unknown>[]> {
  const { stdout } = await daemon.ask(user, ['ps', '--all', '--json']);
  return JSON.parse(stdout).jobs;
}

describe('a job of one user', () => {
  beforeAll(async () => {
    const { status, stderr } = await daemon.ask(ALICE, [
      'run',
      '--detach',
      '--name',
      'hers',
      '--checkpoint-every',
      '300ms',
      ...LONG,
    ]);
    expect([status, stderr]).toEqual([0, '']);
    const made = await daemon.ask(ALICE, ['checkpoint', 'hers']);
    expect(made).toMatchObject({ status: 0, stderr: '' });
  });

  test('runs as that user, with that group and no other', async () => {
    const [job] = await jobs(ALICE);
    const status = readFileSync(`/proc/${job!['cellPid']}/status`, 'latin1');
    const line = (name: string) =>
      new RegExp(`^${name}:(.*)$`, 'm').exec(status)![1]!.trim().split(/\s+/);
    const four = (id: number) => Array(4).fill(String(id));
    expect(line('Uid')).toEqual(four(ALICE.uid));
    expect(line('Gid')).toEqual(four(ALICE.gid));
    if (IS_ROOT) expect(line('Groups')).toEqual(['']);
    const host = readFileSync(`/proc/${job!['hostPid']}/status`, 'latin1');
    expect(/^Uid:\s*(\d+)/m.exec(host)![1]).toBe(String(process.getuid?.()));
    // Nobody of that user's may look into its memory.
    expect(statSync(`/proc/${job!['cellPid']}/mem`).uid).toBe(0);
  });

  test('is to another user as one that does not exist, for every command', async () => {
    if (!IS_ROOT) return expect(await jobs(BOB)).toHaveLength(1);
    const [{ id } = { id: '' }] = await jobs(ALICE);
    const { stdout } = await daemon.ask(ALICE, ['checkpoints', '--json']);
    const [{ id: checkpoint }] = JSON.parse(stdout).checkpoints;
    expect(await jobs(BOB)).toEqual([]);
    const { stdout: listed } = await daemon.ask(BOB, ['checkpoints', '--json']);
    expect(JSON.parse(listed)).toEqual({ checkpoints: [] });
    const restoreOf = (job: string | null, at: string | null): RestoreWork => ({
      kind: 'restore',
      selector: { job, id: at, at: null },
      changes: {},
    });
    const start = {
      ask: 'start',
      triggers: [],
      digestMemory: false,
      secrets: [],
      detach: true,
    } as const;
    const questions = (job: string, checkpoint: string): DoorAsk[] => [
      { ask: 'logs', job, follow: false },
      { ask: 'logs', job, follow: true },
      { ask: 'checkpoint', job, stop: true },
      { ask: 'checkpoints', job },
      { ask: 'kill', job, signal: 'SIGKILL' },
      { ask: 'remove', job, force: false },
      { ask: 'remove', job, force: true },
      { ask: 'tryRestore', work: restoreOf(job, null), secrets: [] },
      { ask: 'tryRestore', work: restoreOf(null, checkpoint), secrets: [] },
      { ask: 'explain', work: restoreOf(job, null) },
      { ask: 'explain', work: restoreOf(null, checkpoint) },
      { ...start, work: restoreOf(job, null) },
      { ...start, work: restoreOf(null, checkpoint) },
      { ...start, work: restoreOf(job, checkpoint) },
    ];
    const noId = 'f'.repeat(32);
    const found = await daemon.askAll(BOB, [
      ...questions('hers', checkpoint),
      ...questions(String(id), checkpoint),
    ]);
    const missing = await daemon.askAll(BOB, [
      ...questions('none', noId),
      ...questions('0123456789abcdef', noId),
    ]);
    const names = /hers|none|[0-9a-f]{16,32}/g;
    const plain = (answer: unknown) => JSON.stringify(answer).replaceAll(names, 'NAME');
    expect(found.map(plain)).toEqual(missing.map(plain));
    for (const answer of found) expect(plain(answer)).toMatch(/ERR_NO_SUCH_(JOB|CHECKPOINT)/);
    console.log(
      `${found.length} questions of another user, each answered as if there were nothing`,
    );
    expect((await jobs(ALICE))[0]).toMatchObject({ job: 'hers', state: 'running' });
  });

  test('takes no name from another user', async () => {
    const { status } = await daemon.ask(BOB, ['run', '--detach', '--name', 'hers', ...LONG]);
    expect(status).toBe(IS_ROOT ? 0 : 125);
    if (IS_ROOT) expect(await jobs(BOB)).toHaveLength(1);
    expect((await jobs(ALICE)).filter(({ job }) => job === 'hers')).toHaveLength(1);
    if (IS_ROOT) await daemon.ask(BOB, ['rm', '--force', 'hers']);
  });

  test("leaves nothing of the host's where a user can read it", async () => {
    const { status, stdout, stderr } = await daemon.ask(BOB, ['ps'], { env: { STASIS_HOST: '' } });
    expect([status, stderr]).toEqual([0, '']);
    expect(stdout).not.toContain('hers');
    expect(statSync(daemon.state).mode & 0o777).toBe(IS_ROOT ? 0o711 : 0o700);
    for (const name of ['jobs', 'vault', 'keys', 'modules', 'cache', 'run']) {
      expect(statSync(join(daemon.state, name)).mode & 0o077, name).toBe(0);
    }
    if (IS_ROOT) {
      expect(statSync(join(daemon.state, 'files')).mode & 0o777).toBe(0o711);
      expect(existsSync(join(daemon.state, 'cache', `uid-${ALICE.uid}`))).toBe(true);
    }
  });
});

describe("what a request names is opened with the asking user's rights", () => {
  const secret = join(daemon.scratch, 'secret');

  beforeAll(() => {
    writeFileSync(secret, 'of root', { mode: 0o600 });
    chmodSync(secret, 0o600);
  });

  test.each([
    ['a module', ['run', 'SECRET']],
    ['a provider', ['run', '--provider', 'SECRET', QUEENS, '4']],
    ['a page file', ['run', '--pool', 'p=SECRET', QUEENS, '4']],
    ...(IS_ROOT
      ? [['a page file to be made', ['run', '--pool', 'p=DIRECTORY/pages', QUEENS, '4']] as const]
      : []),
    ['a port for root', ['run', '--listen', '127.0.0.1:79', QUEENS, '4']],
  ] as const)('%s', async (_, words) => {
    const named = words.map((word) =>
      word.replace('SECRET', secret).replace('DIRECTORY', daemon.state),
    );
    const { status, stdout, stderr } = await daemon.ask(BOB, named);
    expect(status).toBeGreaterThanOrEqual(125);
    // Whoever is not root owns all of these here, except the port, and is told what else is wrong with them.
    const expected = IS_ROOT
      ? /ERR_(MODULE_UNREADABLE|IO|CANNOT_LISTEN)/
      : /ERR_(NOT_WASM|PROVIDER|POOL_UNUSABLE|CANNOT_LISTEN)/;
    expect(stderr).toMatch(expected);
    expect(stdout + stderr).not.toContain('of root');
    expect(existsSync(join(daemon.state, 'pages'))).toBe(false);
  });

  test('a directory that only its owner may use, with files kept for a rollback', async () => {
    const own = join(daemon.homeOf(ALICE), 'own');
    mkdirSync(own, { mode: 0o700 });
    if (IS_ROOT) chownSync(own, ALICE.uid, ALICE.gid);
    const records = 'guests/build/append-records.wasm';
    const words = ['--dir', `${own}::/data::rollback`, records, '50'];
    const hers = await daemon.ask(ALICE, ['run', '--name', 'kept', ...words]);
    expect(hers).toMatchObject({ status: 0, stderr: '' });
    const written = statSync(join(own, 'status'));
    expect([written.uid, written.gid]).toEqual([ALICE.uid, ALICE.gid]);
    expect(await daemon.ask(ALICE, ['rm', 'kept'])).toMatchObject({ status: 0, stderr: '' });
    if (!IS_ROOT) return;
    expect(readdirSync(join(daemon.state, 'files'))).toEqual([]);
    rmSync(join(own, 'status'));
    const his = await daemon.ask(BOB, ['run', ...words]);
    expect(his.status).not.toBe(0);
    expect(readdirSync(own)).not.toContain('status');
  });
});

test('an operator restores with his own rights what its owner granted him, and nothing before', async () => {
  const own = join(daemon.homeOf(BOB), 'operator');
  mkdirSync(own, { mode: 0o700 });
  if (IS_ROOT) chownSync(own, BOB.uid, BOB.gid);
  const grants = (path: string) => ['--dir', `${path}::/data::rollback`];
  const hers = join(daemon.homeOf(ALICE), 'granted');
  mkdirSync(hers, { mode: 0o700 });
  if (IS_ROOT) chownSync(hers, ALICE.uid, ALICE.gid);
  const first = ['run', '--name', 'shared', ...grants(hers), '--checkpoint-at-call', '40:stop'];
  const stopped = await daemon.ask(ALICE, [...first, 'guests/build/append-records.wasm', '50']);
  expect(stopped.status).toBe(0);
  if (!IS_ROOT) return;
  const owner = ['--owner', `uid:${ALICE.uid}`];
  const before = await daemon.ask(BOB, ['restore', ...owner, 'shared']);
  const nobodys = await daemon.ask(BOB, ['restore', '--owner', 'uid:61999', 'shared']);
  expect(before).toEqual(nobodys);
  expect(before.status).toBe(125);
  expect((await daemon.ask(ALICE, ['grant', `uid:${BOB.uid}`])).status).toBe(0);
  // Her directory is not his: the right to it is his to give, and he has none.
  const asHers = await daemon.ask(BOB, ['restore', ...owner, ...grants(hers), 'shared']);
  expect(asHers.status).not.toBe(0);
  const asHis = await daemon.ask(BOB, ['restore', ...owner, ...grants(own), 'shared']);
  console.log(`an operator's restore: ${JSON.stringify([before, asHers, asHis])}`);
  expect(asHis.status).not.toBe(0);
  const back = await daemon.ask(ALICE, ['restore', 'shared']);
  expect(back).toMatchObject({ status: 0 });
  expect(back.stdout).toContain('ok append-records');
  expect((await daemon.ask(ALICE, ['rm', 'shared'])).status).toBe(0);
  expect(readdirSync(join(daemon.state, 'files'))).toEqual([]);
});

test("a job that an operator runs has the id of the operator, and is still its owner's", async () => {
  if (!IS_ROOT) return;
  const start = ['run', '--detach', '--name', 'lent', ...LONG];
  expect((await daemon.ask(ALICE, start)).status).toBe(0);
  expect((await daemon.ask(ALICE, ['checkpoint', '--stop', 'lent'])).status).toBe(0);
  while ((await jobs(ALICE)).find(({ job }) => job === 'lent')!['state'] !== 'stopped');
  expect((await daemon.ask(ALICE, ['grant', `uid:${BOB.uid}`])).status).toBe(0);
  const words = ['restore', '--detach', '--owner', `uid:${ALICE.uid}`, 'lent'];
  expect(await daemon.ask(BOB, words)).toMatchObject({ status: 0, stderr: '' });
  const lent = (await jobs(ALICE)).find(({ job }) => job === 'lent')!;
  expect(lent['state']).toBe('running');
  const status = readFileSync(`/proc/${lent['cellPid']}/status`, 'latin1');
  expect(/^Uid:\s*(\d+)/m.exec(status)![1]).toBe(String(BOB.uid));
  expect((await daemon.ask(BOB, ['kill', 'lent'])).stderr).toContain('ERR_NO_SUCH_JOB');
  expect((await daemon.ask(ALICE, ['rm', '--force', 'lent'])).status).toBe(0);
});
