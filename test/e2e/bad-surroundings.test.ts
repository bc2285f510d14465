/**
 * What can be wrong around a guest: its module, the disk, the vault, the key, another user. Each gives
 * one sentence with its code, and loses nothing.
 */
import { execFileSync } from 'node:child_process';
import { chmodSync, cpSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { type CommandResult, ROOT, stasisIn } from './stasis-command.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const stasis = stasisIn(home);
const nqueens = join(ROOT, 'guests', 'build', 'nqueens.wasm');
const NOBODY = 65_534;
const isRoot = process.getuid!() === 0;

/** One sentence, its code, no stack, nothing on stdout. */
function expectRefusal({ status, stdout, stderr }: CommandResult, code: string, exit = 125): void {
  expect({ stderr: String(stderr), status, stdout: String(stdout) }).toEqual({
    stderr: expect.stringMatching(new RegExp(`^error: [^\\n]+\\. \\(${code}\\)\\n`)),
    status: exit,
    stdout: '',
  });
  expect(String(stderr)).not.toMatch(/\n\s+at /);
}

/** Writes the bytes, given in hexadecimal digits, as a module. */
function hexModule(name: string, hex: string): string {
  const path = join(scratch, `${name}.wasm`);
  writeFileSync(path, Buffer.from(hex.replaceAll(' ', ''), 'hex'));
  return path;
}

const HEAD = '0061736d 01000000';
/** One type `() -> ()`, an import `no.where` of it, a function that calls it, exported as `_start`. */
const UNKNOWN_IMPORT =
  `${HEAD} 01 04 01 60 00 00  02 0c 01 02 6e6f 05 7768657265 00 00  03 02 01 00` +
  '07 0a 01 06 5f7374617274 00 01  0a 06 01 04 00 10 00 0b';
/** A function `() -> i32` without a value. */
const INVALID = `${HEAD} 01 05 01 60 00 01 7f  03 02 01 00  07 0a 01 06 5f7374617274 00 00  0a 04 01 02 00 0b`;

beforeAll(async () => {
  const kept = await stasis([
    'run',
    '--name',
    'kept',
    '--checkpoint-at-fuel',
    '1000:stop',
    nqueens,
    '6',
  ]);
  expect(String(kept.stderr)).toContain('stopped after its checkpoint');
});

afterAll(async () => {
  const { status, stdout } = await stasis(['restore', 'kept']);
  expect(status, 'nothing of all this lost the checkpoint that was there').toBe(0);
  expect(String(stdout)).toMatch(/ok nqueens\n$/);
});

describe('a module', () => {
  test('with an unknown import is refused by its name, and runs until it calls it', async () => {
    const module = hexModule('unknown-import', UNKNOWN_IMPORT);
    const refused = await stasis(['run', module]);
    expectRefusal(refused, 'ERR_UNKNOWN_IMPORT', 126);
    expect(String(refused.stderr)).toContain('no.where');
    expect(String(refused.stderr)).toContain('--trap-unknown-imports');
    const run = await stasis(['run', '--trap-unknown-imports', module]);
    expect({ status: run.status, stderr: String(run.stderr) }).toEqual({
      status: 123,
      stderr: expect.stringMatching(/trapped: .*where/),
    });
  });

  test('that does not validate is refused', async () => {
    const refused = await stasis(['run', hexModule('invalid', INVALID)]);
    expect(refused.status).toBe(126);
    expect(String(refused.stderr)).toMatch(/^error: [^\n]+ \(ERR_[A-Z_]+\)\n/);
  });

  test('that was cut short anywhere is refused', async () => {
    const whole = readFileSync(nqueens);
    for (const part of [9, 100, 0.5 * whole.length, whole.length - 1]) {
      const module = hexModule('cut', whole.subarray(0, part).toString('hex'));
      const refused = await stasis(['run', module]);
      expect({ part, status: refused.status }).toEqual({ part, status: 126 });
      expect(String(refused.stderr)).toMatch(/^error: [^\n]+ \(ERR_[A-Z_]+\)\n/);
    }
  });
});

/** A copy of the state directory for a test to spoil. */
function copyOfHome(name: string): string {
  const copy = join(scratch, name);
  cpSync(home, copy, { recursive: true, filter: (path) => !path.endsWith('.sock') });
  chmodSync(copy, 0o700);
  return copy;
}

describe('a vault', () => {
  test('written by a newer version is refused, and left as it is', async () => {
    const copy = copyOfHome('newer');
    const index = join(copy, 'vault', 'index.sqlite');
    expect(statSync(index).isFile()).toBe(true);
    const database = new DatabaseSync(index);
    database.exec('PRAGMA user_version = 1000');
    database.close();
    const before = readFileSync(index);
    expectRefusal(await stasisIn(copy)(['restore', 'kept']), 'ERR_VAULT_VERSION');
    expect(readFileSync(index).equals(before)).toBe(true);
  });

  test('with another key is refused, and opens again with its own', async () => {
    const copy = copyOfHome('key');
    const other = join(scratch, 'other');
    const keyFile = join('keys', 'master.key');
    await stasisIn(other)(['checkpoints']);
    const own = readFileSync(join(copy, keyFile));
    writeFileSync(join(copy, keyFile), readFileSync(join(other, keyFile)));
    expectRefusal(await stasisIn(copy)(['restore', 'kept']), 'ERR_VAULT_KEY');
    writeFileSync(join(copy, keyFile), own);
    expect((await stasisIn(copy)(['restore', '--dry-run', 'kept'])).status).toBe(0);
  });
});

describe('another user', () => {
  test('does not even see whether there are checkpoints', async () => {
    for (const name of ['', 'vault', 'keys', 'jobs', 'run']) {
      expect(statSync(join(home, name)).mode & 0o777).toBe(0o700);
    }
    if (!isRoot) return;
    chmodSync(scratch, 0o755);
    const commands = [['checkpoints'], ['restore', 'kept'], ['restore'], ['logs', 'kept'], ['ps']];
    for (const words of commands) {
      expectRefusal(await stasis(words, { uid: NOBODY }), 'ERR_STATE_ACCESS');
    }
    const elsewhere = join(scratch, 'nobody');
    mkdirSync(elsewhere, { mode: 0o777 });
    chmodSync(elsewhere, 0o777);
    const nothing = await stasisIn(join(elsewhere, 'home'))(['checkpoints', '--json'], {
      uid: NOBODY,
    });
    expect(JSON.parse(String(nothing.stdout))).toEqual({ checkpoints: [] });
  });
});

/** A file system of its own, so small that checkpoints fill it; null where this user can't make one. */
function mountSmall(path: string): (() => void) | null {
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=2m,mode=700', 'tmpfs', path], {
      stdio: 'ignore',
    });
  } catch {
    return null;
  }
  return () => execFileSync('umount', [path]);
}

describe('a disk', () => {
  test('that is full costs a checkpoint, not the guest and not what is sealed', async () => {
    const small = join(scratch, 'small');
    mkdirSync(small);
    const unmount = mountSmall(small);
    if (unmount === null) {
      // The nearest to it: a state directory that takes nothing.
      chmodSync(small, 0o500);
      const run = stasisIn(small)(['run', '--name', 'x', nqueens], isRoot ? { uid: NOBODY } : {});
      expectRefusal(await run, 'ERR_STATE_ACCESS');
      return;
    }
    try {
      const cramped = stasisIn(small);
      const module = join(ROOT, 'guests', 'build', 'heap.wasm');
      const points = Array.from({ length: 30 }, (_, at) => [
        '--checkpoint-at-fuel',
        `${2e6 * at + 1}`,
      ]);
      const run = await cramped(['run', '--name', 'big', ...points.flat(), module, '8', '3000']);
      expect(String(run.stdout)).toMatch(/ok heap\n$/);
      expect(run.status).toBe(0);
      expect(String(run.stderr)).toMatch(/^error: [^\n]+ \(ERR_DISK_FULL\)\n/);
      const listed = await cramped(['checkpoints', '--json', 'big']);
      const { checkpoints } = JSON.parse(String(listed.stdout)) as {
        checkpoints: { id: string }[];
      };
      expect(checkpoints.length).toBeGreaterThan(0);
      for (const { id } of checkpoints) {
        expect((await cramped(['restore', '--dry-run', '--id', id])).status).toBe(0);
      }
      expect((await cramped(['rm', 'big'])).status).toBe(0);
    } finally {
      unmount();
    }
  });
});
