import { execFileSync } from 'node:child_process';
import { mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { HOST_VERSION } from '../../src/host/version.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn, ROOT } from './run-cli.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const cli = cliIn(home);
const COMMANDS = [
  'run',
  'ps',
  'logs',
  'checkpoint',
  'checkpoints',
  'restore',
  'grant',
  'grants',
  'kill',
  'rm',
];

function file(name: string, content: string): string {
  const path = join(scratch, name);
  writeFileSync(path, content, 'latin1');
  return path;
}

const empty = file('empty.wasm', '\0asm\u0001\0\0\0');

describe('help', () => {
  test('without a command is shown on stderr, and is a failure', async () => {
    const { status, stdout, stderr } = await cli([]);
    expect({ status, stdout }).toEqual({ status: 125, stdout: '' });
    for (const command of COMMANDS) expect(stderr).toContain(`\n  ${command} `);
  });

  test.each(COMMANDS)('of %s shows an example and knows --json', async (command) => {
    const { status, stdout } = await cli([command, '--help']);
    expect(status).toBe(0);
    expect(stdout).toMatch(/Example:\n {2}\$ stasis /);
    expect(stdout).toContain('--json');
  });

  test('the version is that of the package', async () => {
    const { version } = JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8'));
    expect(HOST_VERSION).toBe(version);
    expect(await cli(['--version'])).toEqual({ status: 0, stdout: `${version}\n`, stderr: '' });
    const launched = execFileSync(process.execPath, [join(ROOT, 'bin', 'stasis.mjs'), '--version']);
    expect(String(launched)).toBe(`${version}\n`);
  });
});

describe('a wrong use is one sentence with its code', () => {
  test.each<[string, readonly string[], number, string]>([
    ['an unknown command', ['frob'], 125, 'ERR_USAGE'],
    ['an unknown option', ['ps', '--frob'], 125, 'ERR_USAGE'],
    ['a missing argument', ['run'], 125, 'ERR_USAGE'],
    ['an argument too many', ['ps', 'x'], 125, 'ERR_USAGE'],
    ['a duration without a unit', ['run', '--timeout', '5', empty], 125, 'ERR_USAGE'],
    ['a grant of nothing', ['run', '--dir', '::/x', empty], 125, 'ERR_USAGE'],
    ['a grant with a star', ['run', '--dir', '/tmp/*', empty], 125, 'ERR_USAGE'],
    ['a variable without a name', ['run', '--env', '=x', empty], 125, 'ERR_USAGE'],
    ['a variable that is not set', ['run', '--env', 'NO_SUCH_VARIABLE', empty], 125, 'ERR_USAGE'],
    ['a name with an escape sequence', ['run', '--name', '\u001b[2J', empty], 125, 'ERR_USAGE'],
    ['too much memory', ['run', '--max-memory', '5GiB', empty], 125, 'ERR_USAGE'],
    ['a stamp that is none', ['restore', '--at', 'noon'], 125, 'ERR_USAGE'],
    ['an id that is none', ['restore', '--id', '../x'], 125, 'ERR_USAGE'],
    ['a signal that is none', ['kill', '--signal', 'WINCH', 'x'], 125, 'ERR_USAGE'],
    ['a missing directory', ['run', '--dir', '/no/such/dir', empty], 125, 'ERR_NO_SUCH_DIRECTORY'],
    ['a file as a directory', ['run', '--dir', empty, empty], 125, 'ERR_NO_SUCH_DIRECTORY'],
    ['a missing module', ['run', '/no/such.wasm'], 127, 'ERR_NO_SUCH_FILE'],
    ['a directory as a module', ['run', scratch], 126, 'ERR_MODULE_UNREADABLE'],
    ['text as a module', ['run', file('text.wasm', 'hello')], 126, 'ERR_NOT_WASM'],
    ['a component', ['run', file('c.wasm', '\0asm\u000d\0\u0001\0')], 126, 'ERR_COMPONENT'],
    ['a cut module', ['run', file('cut.wasm', '\0asm\u0001')], 126, 'ERR_MALFORMED_MODULE'],
    ['a missing module, detached', ['run', '-d', '/no/such.wasm'], 127, 'ERR_NO_SUCH_FILE'],
    ['an unknown job to log', ['logs', 'x'], 125, 'ERR_NO_SUCH_JOB'],
    ['an unknown job to checkpoint', ['checkpoint', 'x'], 125, 'ERR_NO_SUCH_JOB'],
    ['an unknown job to list', ['checkpoints', 'x'], 125, 'ERR_NO_SUCH_JOB'],
    ['an unknown job to restore', ['restore', 'x'], 125, 'ERR_NO_SUCH_JOB'],
    ['an unknown job to kill', ['kill', 'x\u001b[2J'], 125, 'ERR_NO_SUCH_JOB'],
    ['an unknown job to remove', ['rm', 'x'], 125, 'ERR_NO_SUCH_JOB'],
    ['a restore of nothing', ['restore'], 125, 'ERR_NO_SUCH_CHECKPOINT'],
    ['an id of nobody', ['restore', '--id', '0'.repeat(32)], 125, 'ERR_NO_SUCH_CHECKPOINT'],
    ['a stamp before all', ['restore', '--at', '1970-01-01'], 125, 'ERR_NO_SUCH_CHECKPOINT'],
  ])('%s', async (_, words, status, code) => {
    const result = await cli(words);
    expect(result).toMatchObject({ status, stdout: '' });
    expect(result.stderr).toMatch(new RegExp(`^error: .+\\. \\(${code}\\)\n`));
    expect(result.stderr).not.toMatch(/\n\s+at |node:internal/);
    expect(result.stderr).not.toContain('\u001b');
    const [command, ...others] = words;
    const json = await cli([command!, '--json', ...others]);
    expect(json).toMatchObject({ status, stdout: '' });
    const { error } = JSON.parse(json.stderr);
    expect(Object.keys(error).sort()).toEqual(['code', 'facts', 'hint', 'message']);
    expect(error.code).toBe(code);
  });

  test('leaves no job behind', async () => {
    const { stdout } = await cli(['ps', '--all', '--json']);
    expect(JSON.parse(stdout)).toEqual({ jobs: [] });
  });

  test('shows a stack with --debug only', async () => {
    const { stderr } = await cli(['--debug', 'logs', 'x']);
    expect(stderr).toMatch(/\n\s+at /);
  });
});

describe('lists of nothing', () => {
  test('have a head, or are empty in JSON', async () => {
    expect(await cli(['ps'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^NAME +STATE/),
    });
    expect(await cli(['checkpoints'])).toMatchObject({
      status: 0,
      stdout: expect.stringMatching(/^# +JOB/),
    });
    const { stdout } = await cli(['checkpoints', '--json']);
    expect(JSON.parse(stdout)).toEqual({ checkpoints: [] });
  });
});

describe('the state directory', () => {
  test('is private, with the key outside the vault', async () => {
    await cli(['checkpoints']);
    for (const name of ['', 'jobs', 'run', 'modules', 'cache', 'vault', 'keys']) {
      expect(statSync(join(home, name)).mode & 0o777, name).toBe(0o700);
    }
    for (const name of ['jobs.db', 'keys/master.key']) {
      expect(statSync(join(home, name)).mode & 0o777, name).toBe(0o600);
    }
  });

  test('that a file stands in the place of is refused by name', async () => {
    const result = await cliIn(file('not-a-directory', ''))(['ps']);
    expect(result).toMatchObject({ status: 125, stdout: '' });
    expect(result.stderr).toContain('(ERR_STATE_ACCESS)');
  });

  test('is the XDG state directory unless STASIS_HOME says otherwise', async () => {
    const xdg = join(scratch, 'xdg');
    mkdirSync(xdg);
    const home = join(scratch, 'unused');
    const env = { XDG_STATE_HOME: xdg, HOME: scratch };
    await cliIn(home)(['ps'], { env: { ...env, STASIS_HOME: home } });
    expect(() => statSync(join(xdg, 'stasis'))).toThrow();
    const without = { ...process.env, ...env, STASIS_HOME: undefined };
    const main = join(ROOT, 'src', 'cli', 'main.ts');
    execFileSync(process.execPath, [main, 'ps'], { env: without });
    expect(statSync(join(xdg, 'stasis', 'jobs.db')).isFile()).toBe(true);
  });
});
