/** A master key from elsewhere: a file, a descriptor, or what a service manager hands over. */
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readSettings, withVaultOptions } from '../../src/cli/settings.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { type CliResult, cliIn, ROOT } from './run-cli.ts';

const scratch = scratchDirectory();
const queens = join(ROOT, 'guests/build/nqueens.wasm');
const KEY = `stasis vault key 1 ${'5a'.repeat(32)}\n`;

describe('where a key is looked for', () => {
  const before = readSettings({ STASIS_HOME: scratch });

  test('the state directory, unless the environment or an option says otherwise', () => {
    expect(before.key).toBeNull();
    const fromFile = readSettings({ STASIS_HOME: scratch, STASIS_KEY_FILE: '/k' });
    expect(fromFile.key).toEqual({ kind: 'file', path: '/k' });
    const fromFd = readSettings({ STASIS_HOME: scratch, STASIS_KEY_FD: '7' });
    expect(fromFd.key).toEqual({ kind: 'descriptor', fd: 7 });
    // A service without such a credential has its key where everybody has it.
    expect(readSettings({ STASIS_HOME: scratch, CREDENTIALS_DIRECTORY: scratch }).key).toBeNull();
    expect(withVaultOptions(fromFd, { keyFile: '/k' }).key).toEqual({ kind: 'file', path: '/k' });
    expect(withVaultOptions(fromFile, { keyFd: '5' }).key).toEqual({ kind: 'descriptor', fd: 5 });
    expect(withVaultOptions(fromFile, {}).key).toEqual(fromFile.key);
    expect(withVaultOptions(before, { witness: '/w' }).witness).toBe('/w');
  });

  test.each(['0', '2', '-1', 'x', '99999', ''])('%j is no descriptor for it', (keyFd) => {
    expect(() => withVaultOptions(before, { keyFd })).toThrow(/no descriptor/);
  });

  test('not two places at once', () => {
    expect(() => withVaultOptions(before, { keyFd: '3', keyFile: '/k' })).toThrow(/not from both/);
  });
});

describe('a key that is not in the state directory', () => {
  const keyFile = join(scratch, 'given.key');
  writeFileSync(keyFile, KEY, { mode: 0o600 });

  /** The key at descriptor 3, as a shell gives it with `3<file`. */
  function withKeyFd(where: string, words: readonly string[], env = {}): Promise<CliResult> {
    const fd = openSync(keyFile, 'r');
    const child = spawn(process.execPath, [join(ROOT, 'src/cli/main.ts'), ...words], {
      cwd: ROOT,
      env: { PATH: process.env['PATH'], STASIS_HOME: where, ...env },
      stdio: ['ignore', 'pipe', 'pipe', fd],
    });
    closeSync(fd);
    const parts = { stdout: '', stderr: '' };
    for (const name of ['stdout', 'stderr'] as const) {
      child[name]!.setEncoding('utf8').on('data', (part) => {
        parts[name] += part;
      });
    }
    return new Promise((resolve) => {
      child.once('close', (status) => resolve({ status, ...parts }));
    });
  }

  test.each([
    ['a file', ['--key-file', keyFile], {}],
    ['a descriptor', [], { STASIS_KEY_FD: '3' }],
    ['a credential', [], { CREDENTIALS_DIRECTORY: join(scratch, 'credentials') }],
  ])('comes by %s', async (name, words, env) => {
    mkdirSync(join(scratch, 'credentials'), { recursive: true });
    writeFileSync(join(scratch, 'credentials', 'stasis.key'), KEY, { mode: 0o400 });
    const where = join(scratch, name.replaceAll(' ', '-'));
    const run = ['run', '--name', 'job', '--checkpoint-at-fuel', '3000:stop', queens, '8'];
    const made = await withKeyFd(where, [...words, ...run], env);
    expect(made.stderr).toContain('stopped after its checkpoint');
    expect(readdirSync(join(where, 'keys'))).toEqual([]);
    const went = await withKeyFd(where, [...words, 'restore', '--detach', 'job'], env);
    expect(went.stderr).toBe('');
    const logs = await cliIn(where)(['logs', '--follow', 'job']);
    expect(logs.stdout).toContain('8 queens: 92 solutions');
    // The state alone opens nothing.
    expect((await cliIn(where)(['checkpoints'])).stderr).toContain('ERR_VAULT_KEY');
    rmSync(join(scratch, 'credentials'), { recursive: true });
  });

  test('is changed for another one that is handed in', async () => {
    const where = join(scratch, 'handed-in');
    const run = ['run', '--name', 'job', '--checkpoint-at-fuel', '3000:stop', queens, '8'];
    await withKeyFd(where, ['--key-fd', '3', ...run]);
    const none = await withKeyFd(where, ['--key-fd', '3', 'vault', 'rotate-key']);
    expect(none.stderr).toMatch(/not in a file of its own.*ERR_VAULT_KEY/);
    const other = join(scratch, 'other.key');
    writeFileSync(other, KEY.replaceAll('5a', '5b'), { mode: 0o600 });
    const words = ['vault', 'rotate-key', '--reencrypt', '--new-key-file', other];
    const done = await withKeyFd(where, ['--key-fd', '3', ...words]);
    expect(done.stderr).toBe('');
    const refused = await withKeyFd(where, ['--key-fd', '3', 'checkpoints']);
    expect(refused.stderr).toContain('ERR_VAULT_KEY');
    const opened = await cliIn(where)(['--key-file', other, 'vault', 'verify', '--restore']);
    expect(opened.stderr).toBe('');
  });
});
