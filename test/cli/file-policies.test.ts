/** What a checkpoint means for files, as chosen on the command line. */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn } from './run-cli.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const cli = cliIn(home);
const GUEST = 'guests/build/append-records.wasm';
/** Some calls in: files are open, records are written. */
const STOP = ['--checkpoint-at-call', '60:stop'];

function directory(name: string): string {
  const path = join(scratch, name);
  mkdirSync(path);
  return path;
}

async function refused(words: readonly string[], code: string): Promise<string> {
  const { status, stdout, stderr } = await cli(words);
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
  expect(stderr).toContain(`(${code})`);
  return stderr;
}

async function stopped(name: string, policy: string): Promise<string> {
  const data = directory(name);
  const dir = ['--dir', `${data}::/data::${policy}`];
  const { status, stderr } = await cli(['run', '--name', name, ...dir, ...STOP, GUEST, '100']);
  expect({ status, stderr }).toEqual({
    status: 0,
    stderr: expect.stringContaining('stopped after'),
  });
  return data;
}

describe('a policy', () => {
  test.each([
    ['that is none', '--dir', '::/data::wild', 'reopen, rollback, private, refuse'],
    ['of a directory for reading only that changes', '--dir-ro', '::/data::rollback', 'reading'],
    ['of a directory for reading only that is private', '--dir-ro', '::/data::private', 'reading'],
    ['and more', '--dir', '::/data::refuse::refuse', 'grants no directory'],
  ])('%s is refused', async (_, option, rest, said) => {
    const stderr = await refused(['run', option, `${scratch}${rest}`, GUEST], 'ERR_USAGE');
    expect(stderr).toContain(said);
  });

  test('is asked for again at a restore, shown, and may not be exchanged at will', async () => {
    const data = await stopped('asked', 'rollback');
    const { stdout } = await cli(['restore', 'asked', '--dry-run']);
    expect(stdout).toContain('/data, rollback');
    const other = ['--dir', `${data}::/data::private`];
    const stderr = await refused(['restore', 'asked', ...other], 'ERR_RESOURCE_NOT_GRANTED');
    expect(stderr).toContain('as rollback, and it is granted as private');
  });
});

test('refuse: a checkpoint is refused while files are open, and the guest goes on', async () => {
  const data = directory('refusing');
  const dir = ['--dir', `${data}::/data::refuse`, '--checkpoint-at-call', '60'];
  const { status, stdout } = await cli(['run', '--name', 'refusing', ...dir, GUEST, '100']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('ok append') });
  await refused(['restore', 'refusing'], 'ERR_NO_SUCH_CHECKPOINT');
});

test('rollback: a job restored twice ends the same twice; rm removes what it kept', async () => {
  const data = await stopped('twice', 'rollback');
  for (let time = 0; time < 2; time++) {
    const { status, stdout } = await cli(['restore', 'twice', '--again']);
    expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('ok append') });
    expect(readFileSync(join(data, 'log'), 'latin1').trimEnd().split('\n')).toHaveLength(100);
  }
  const jobs = () => readdirSync(join(home, 'jobs'));
  const kept = jobs().filter((id) => existsSync(join(home, 'jobs', id, 'files', 'undo')));
  expect(kept.length).toBeGreaterThan(0);
  expect((await cli(['rm', 'twice'])).status).toBe(0);
  const left = jobs().filter((id) => existsSync(join(home, 'jobs', id, 'files', 'undo')));
  expect(left.length).toBe(kept.length - 1);
});

test('rollback: what is put back from a backup is refused by name, and goes on with the files as they are', async () => {
  const data = await stopped('moved', 'rollback');
  const content = () => readdirSync(data).map((name) => [name, readFileSync(join(data, name))]);
  const before = content();
  const backup = join(scratch, 'backup');
  const elsewhere = join(scratch, 'elsewhere');
  expect(await cli(['vault', 'backup', backup])).toMatchObject({ status: 0 });
  mkdirSync(join(elsewhere, 'keys'), { recursive: true, mode: 0o700 });
  const key = readFileSync(join(home, 'keys', 'master.key'));
  writeFileSync(join(elsewhere, 'keys', 'master.key'), key, { mode: 0o600 });
  const other = cliIn(elsewhere);
  expect(await other(['vault', 'restore', backup])).toMatchObject({ status: 0 });
  const { status, stdout, stderr } = await other(['restore', 'moved']);
  expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
  expect(stderr).toContain('(ERR_RESOURCE_CHANGED)');
  expect(stderr).toContain('from a backup');
  expect(stderr).toContain('--dir HOST::GUEST::reopen');
  expect(content()).toEqual(before);
  const went = await other(['restore', 'moved', '--dir', `${data}::/data::reopen`]);
  expect(went).toMatchObject({ status: 0, stdout: expect.stringContaining('ok append') });
  expect(readFileSync(join(data, 'log'), 'latin1').trimEnd().split('\n')).toHaveLength(100);
});

test('reopen: the same job, restored, finds its records doubled', async () => {
  await stopped('doubled', 'reopen');
  expect((await cli(['restore', 'doubled'])).status).toBe(0);
  const { status, stdout } = await cli(['restore', 'doubled', '--again']);
  expect(status).not.toBe(0);
  expect(stdout).not.toContain('ok append');
});

test('private: nothing of the directory changes, and --carry-max bounds what is carried', async () => {
  const data = await stopped('own', 'private');
  writeFileSync(join(data, 'theirs'), 'theirs');
  const { status, stdout } = await cli(['restore', 'own']);
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('ok append') });
  expect(readdirSync(data)).toEqual(['theirs']);
  const small = ['--dir', `${data}::/data::private`, '--carry-max', '100', ...STOP];
  const bounded = await cli(['run', '--name', 'bounded', ...small, GUEST, '100']);
  expect(bounded).toMatchObject({ status: 0, stdout: expect.stringContaining('ok append') });
  await refused(['restore', 'bounded'], 'ERR_NO_SUCH_CHECKPOINT');
});
