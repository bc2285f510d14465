/**
 * Two users on one machine. The second tries every command and every file against the first one's job and its
 * checkpoints, once where each has a state directory and once with a daemon for both, and gets nothing: not even
 * whether they exist. Needs root, to be two users; without it, the modes of all files are looked at, which is what
 * keeps others out.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { COMMAND, ROOT } from './stasis-command.ts';

const FIRST = 64_001;
const SECOND = 64_002;
const GUEST = join(ROOT, 'guests', 'build', 'sleeping-poll.wasm');
const isRoot = process.getuid?.() === 0;
const scratch = scratchDirectory();
chmodSync(scratch, 0o755);

/** What of the first user must show nowhere. */
const NAME = 'fiddlesticks';
const RUN = ['run', '--detach', '--name', NAME, '--checkpoint-every', '200ms', GUEST, '3600000'];

interface Told {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function stasisAs(
  uid: number,
  env: Readonly<Record<string, string>>,
  words: readonly string[],
): Told {
  const as = isRoot ? { uid, gid: uid } : {};
  const { status, stdout, stderr } = spawnSync(process.execPath, [COMMAND, ...words], {
    env: { PATH: process.env['PATH'], ...env },
    cwd: '/',
    encoding: 'utf8',
    input: '',
    ...as,
  });
  return { status, stdout, stderr };
}

/** A directory that belongs to a user. */
function roomOf(uid: number, name: string): string {
  const path = join(scratch, name);
  mkdirSync(path, { mode: 0o700 });
  if (isRoot) chownSync(path, uid, uid);
  return path;
}

/** All that is below, directories too. */
function treeOf(path: string): string[] {
  const below = lstatSync(path).isDirectory()
    ? readdirSync(path).map((name) => join(path, name))
    : [];
  return [path, ...below.flatMap(treeOf)];
}

interface Job {
  readonly id: string;
  readonly state: string;
  readonly hostPid: number;
  readonly cellPid: number;
  readonly checkpoint: { readonly id: string; readonly sequence: number } | null;
}

async function jobWithCheckpoint(
  env: Readonly<Record<string, string>>,
): Promise<{ job: Job; checkpoint: string }> {
  for (;;) {
    const { stdout, stderr } = stasisAs(FIRST, env, ['ps', '--all', '--json']);
    const [job] = (JSON.parse(stdout) as { jobs: Job[] }).jobs;
    expect({ stderr, state: job?.state }).toEqual({ stderr: '', state: 'running' });
    if (job?.state === 'running' && job.checkpoint !== null) {
      const listed = stasisAs(FIRST, env, ['checkpoints', '--json']);
      const [{ id }] = (JSON.parse(listed.stdout) as { checkpoints: [{ id: string }] }).checkpoints;
      return { job, checkpoint: id };
    }
    await pause(50);
  }
}

function pry(targets: {
  readonly paths: readonly string[];
  readonly pids: readonly number[];
  readonly sockets: readonly string[];
}): { readonly tried: number; readonly got: string[] } {
  const room = join(scratch, `prying-${Math.random().toString(36).slice(2)}`);
  mkdirSync(room);
  chownSync(room, SECOND, SECOND);
  const { stdout, stderr } = spawnSync(
    process.execPath,
    ['--no-warnings', join(import.meta.dirname, 'prying-user.ts')],
    {
      cwd: room,
      uid: SECOND,
      gid: SECOND,
      env: {},
      encoding: 'utf8',
      input: JSON.stringify(targets),
    },
  );
  expect(stderr).toBe('');
  return JSON.parse(stdout);
}

/** Every command that names a job or a checkpoint. */
function commandsAbout(job: string, checkpoint: string): string[][] {
  return [
    ['logs', job],
    ['logs', '--follow', job],
    ['checkpoint', job],
    ['checkpoint', '--stop', job],
    ['checkpoints', job],
    ['checkpoints', job, '--json'],
    ['restore', job],
    ['restore', job, '--detach', '--json'],
    ['restore', job, '--dry-run'],
    ['restore', job, '--again'],
    ['restore', job, '--clone'],
    ['restore', job, '--owner', `uid:${FIRST}`],
    ['checkpoints', job, '--owner', `uid:${FIRST}`],
    ['grants'],
    ['restore', job, '--explain'],
    ['restore', job, '--id', checkpoint],
    ['restore', '--id', checkpoint],
    ['restore'],
    ['kill', job],
    ['rm', job],
    ['rm', '--force', job],
    ['ps', '--all', '--json'],
    ['checkpoints', '--json'],
    ['forget', job, '--keep-last', '1'],
    ['forget', '--id', checkpoint],
    ['audit', job],
    ['audit', '--json'],
    ['vault', 'stat'],
    ['vault', 'verify', '--read-data'],
    ['vault', 'gc'],
    ['vault', 'rotate-key'],
    ['vault', 'shred-owner', `uid:${FIRST}`],
    ['--witness', join(scratch, 'witness'), 'vault', 'accept-rollback'],
  ];
}

/** Nothing in memory or on the disk that a crash or a debugger would show. */
function expectSealedProcess(pid: number): void {
  expect(readFileSync(`/proc/${pid}/limits`, 'utf8')).toMatch(/Max core file size +0 /);
  const command = readFileSync(`/proc/${pid}/cmdline`, 'latin1').replaceAll('\0', ' ');
  expect(command).not.toContain(NAME);
  expect(command).not.toMatch(/--inspect/);
}

describe('a state directory each', () => {
  const room = roomOf(FIRST, 'first');
  chmodSync(room, 0o755);
  const home = join(room, 'home');
  const env = { STASIS_HOME: home };

  afterAll(() => {
    stasisAs(FIRST, env, ['kill', NAME]);
  });

  test('every command and every file of the first user is closed to the second', async () => {
    expect(stasisAs(FIRST, env, RUN)).toMatchObject({ status: 0 });
    const { job, checkpoint } = await jobWithCheckpoint(env);
    const paths = treeOf(home);
    expect(paths.length).toBeGreaterThan(15);
    for (const path of paths) {
      if (!lstatSync(path).isSymbolicLink())
        expect([path, lstatSync(path).mode & 0o077]).toEqual([path, 0]);
    }
    if (!isRoot) return;
    let commands = 0;
    for (const words of commandsAbout(NAME, checkpoint)) {
      const about = stasisAs(SECOND, env, words);
      expect(about, words.join(' ')).toMatchObject({ status: 125, stdout: '' });
      expect(about.stderr).toContain('ERR_STATE_ACCESS');
      // The same as for what never was.
      const other = words.map((word) =>
        word === NAME ? 'nonesuch' : word === checkpoint ? '0'.repeat(32) : word,
      );
      expect(stasisAs(SECOND, env, other)).toEqual(about);
      commands++;
    }
    const sockets = paths.filter((path) => lstatSync(path).isSocket());
    expect(sockets.length).toBeGreaterThan(0);
    const { tried, got } = pry({ paths, pids: [job.hostPid, job.cellPid], sockets });
    console.log(
      `second user: ${commands} commands and ${tried} attempts on ${paths.length} files and 2 processes`,
    );
    // That there is a directory may be seen by whoever may look into the one above it.
    expect(got).toEqual([`look at ${home}`]);
    for (const pid of [job.hostPid, job.cellPid]) expectSealedProcess(pid);
    expect(stasisAs(FIRST, env, ['ps', '--json']).stdout).toContain(NAME);
  });
});

describe('a daemon for both', () => {
  const room = roomOf(0, 'daemon');
  chmodSync(room, 0o755);
  const state = join(room, 'state');
  const socket = join(room, 'run', 'stasis.sock');
  const env = { STASIS_HOST: `unix:${socket}`, STASIS_HOME: join(room, 'unused') };
  let daemon: ChildProcess | null = null;

  afterAll(async () => {
    daemon?.kill('SIGTERM');
    if (daemon !== null) await once(daemon, 'exit');
  });

  test('whatever the second user asks is answered as if there were nothing', async () => {
    // A daemon that is not root serves nobody else: the test above is what there is to try.
    if (!isRoot) return;
    mkdirSync(join(room, 'run'), { mode: 0o755 });
    const started = spawn(
      process.execPath,
      [COMMAND, 'daemon', '--state', state, '--socket', socket],
      {
        stdio: ['ignore', 'ignore', 'inherit'],
      },
    );
    daemon = started;
    while (!existsSync(socket)) await pause(20);
    expect(stasisAs(FIRST, env, RUN)).toMatchObject({ status: 0 });
    const { job, checkpoint } = await jobWithCheckpoint(env);
    let commands = 0;
    for (const words of commandsAbout(NAME, checkpoint)) {
      const about = stasisAs(SECOND, env, words);
      const other = words.map((word) =>
        word === NAME ? 'nonesuch' : word === checkpoint ? '0'.repeat(32) : word,
      );
      const nothing = stasisAs(SECOND, env, other);
      const said = (told: Told): Told => ({
        ...told,
        stdout: told.stdout.replaceAll(NAME, 'nonesuch').replaceAll(checkpoint, '0'.repeat(32)),
        stderr: told.stderr.replaceAll(NAME, 'nonesuch').replaceAll(checkpoint, '0'.repeat(32)),
      });
      expect(said(about), words.join(' ')).toEqual(nothing);
      expect(about.stdout).not.toContain(NAME);
      // The command exists, and was asked rightly.
      if (about.stderr.includes('ERR_USAGE'))
        expect(about.stderr).toContain('not for a host behind');
      commands++;
    }
    const paths = treeOf(state).filter((path) => path !== state);
    expect(paths.length).toBeGreaterThan(15);
    const sockets = paths.filter((path) => lstatSync(path).isSocket());
    const pids = [started.pid!, job.hostPid, job.cellPid];
    const { tried, got } = pry({ paths, pids, sockets });
    // The names that every state directory has may be seen; what is in them may not.
    const fixed = new RegExp(
      `^look at ${state}/(jobs|run|modules|cache|vault|keys|files|jobs\\.db|jobs\\.db-wal|jobs\\.db-shm|daemon\\.lock)$`,
    );
    console.log(
      `second user, daemon: ${commands} commands and ${tried} attempts on ${paths.length} files and 3 processes`,
    );
    expect(got.filter((one) => !fixed.test(one))).toEqual([]);
    for (const pid of pids.slice(1)) expectSealedProcess(pid);
    // The first user's own guest is no way to its image either.
    const own = spawnSync('cat', [`/proc/${job.cellPid}/mem`], { uid: FIRST, gid: FIRST });
    expect(own.status).not.toBe(0);
    const after = JSON.parse(stasisAs(FIRST, env, ['ps', '--json']).stdout) as { jobs: Job[] };
    expect(after.jobs.map(({ id, state: now }) => [id, now])).toEqual([[job.id, 'running']]);
    expect(stasisAs(FIRST, env, ['kill', NAME])).toMatchObject({ status: 0 });
  });
});
