import {
  cpSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import wabt from 'wabt';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn } from './run-cli.ts';

const scratch = scratchDirectory();
const good = join(scratch, 'good');
const home = join(scratch, 'home');
const cli = cliIn(home);
const data = join(scratch, 'data');
const FILES = 'guests/build/open-files.wasm';

/** Says what was refused and how, and that nothing was started or shown of the guest. */
async function refused(code: string, words: readonly string[] = ['restore', 'files']) {
  const result = await cli(words);
  expect(result).toMatchObject({ status: 125, stdout: '' });
  expect(result.stderr).toMatch(new RegExp(`^error: .+\\.? \\(${code}\\)\n`));
  return result.stderr;
}

/** A job that stopped with files open; each test works on a copy of the state it left. */
beforeAll(async () => {
  mkdirSync(data);
  const grant = `${data}::/data`;
  const stop = ['--checkpoint-at-call', '40:stop'];
  const run = await cliIn(good)(['run', '--name', 'files', '--dir', grant, ...stop, FILES]);
  expect(run).toMatchObject({ status: 0, stderr: expect.stringContaining('stopped after') });
  cpSync(data, join(scratch, 'data-then'), { recursive: true });
});

beforeEach(() => {
  rmSync(home, { recursive: true, force: true });
  cpSync(good, home, { recursive: true });
});

function restoreData(): void {
  // Inode numbers stay, as they are part of what is checked.
  for (const name of readdirSync(join(scratch, 'data-then'))) {
    writeFileSync(join(data, name), readFileSync(join(scratch, 'data-then', name)));
  }
}

describe('a restore is refused', () => {
  test('without its key, and makes no new one', async () => {
    rmSync(join(home, 'keys'), { recursive: true });
    await refused('ERR_VAULT_KEY');
    expect(readdirSync(join(home, 'keys'))).toEqual([]);
  });

  test('with the key of another vault, which stays as it is', async () => {
    await cliIn(join(scratch, 'other'))(['checkpoints']);
    const other = readFileSync(join(scratch, 'other', 'keys', 'master.key'));
    writeFileSync(join(home, 'keys', 'master.key'), other);
    await refused('ERR_VAULT_KEY');
    expect(readFileSync(join(home, 'keys', 'master.key')).equals(other)).toBe(true);
  });

  test('from a vault that a newer version wrote', async () => {
    const database = new DatabaseSync(join(home, 'vault', 'index.sqlite'));
    database.exec('PRAGMA user_version = 1000');
    database.close();
    expect(await refused('ERR_VAULT_VERSION')).toContain('1000');
  });

  test('from a state directory that a newer version wrote', async () => {
    const database = new DatabaseSync(join(home, 'jobs.db'));
    database.exec('PRAGMA user_version = 1000');
    database.close();
    expect(await refused('ERR_STATE_VERSION')).toContain('1000');
  });

  test('when a byte of it was changed', async () => {
    const packs = join(home, 'vault', 'packs');
    for (const name of readdirSync(packs)) {
      const bytes = readFileSync(join(packs, name));
      bytes[bytes.length - 1]! ^= 1;
      writeFileSync(join(packs, name), bytes);
    }
    await refused('ERR_VAULT_DAMAGED');
  });

  test('when the kept copy of its module was changed', async () => {
    const [name] = readdirSync(join(home, 'modules'));
    writeFileSync(join(home, 'modules', name!), 'something else');
    await refused('ERR_STATE_DAMAGED');
  });

  test('when the job is said to be of another module', async () => {
    const database = new DatabaseSync(join(home, 'jobs.db'));
    database.exec(`UPDATE jobs SET module = '${'0'.repeat(64)}'`);
    database.close();
    expect(await refused('ERR_SOFTWARE_MISMATCH')).toContain('module');
  });

  test('when a file that the guest had open is gone or was replaced, by its name in the guest', async () => {
    const name = readdirSync(data)[0]!;
    const aside = join(scratch, 'aside');
    renameSync(join(data, name), aside);
    expect(await refused('ERR_RESOURCE_CHANGED')).toMatch(/\/?data\/|file/);
    writeFileSync(join(data, name), readFileSync(aside));
    await refused('ERR_RESOURCE_CHANGED');
    rmSync(join(data, name));
    renameSync(aside, join(data, name));
  });

  test('when its directory is gone, or another is granted, or less of it', async () => {
    const elsewhere = join(scratch, 'elsewhere');
    mkdirSync(elsewhere, { recursive: true });
    renameSync(data, `${data}-aside`);
    await refused('ERR_NO_SUCH_DIRECTORY');
    renameSync(`${data}-aside`, data);
    await refused('ERR_RESOURCE_NOT_GRANTED', [
      'restore',
      'files',
      '--dir',
      `${elsewhere}::/other`,
    ]);
    await refused('ERR_RESOURCE_NOT_GRANTED', ['restore', 'files', '--dir-ro', `${data}::/data`]);
    await refused('ERR_RESOURCE_CHANGED', ['restore', 'files', '--dir', `${elsewhere}::/data`]);
    // A refusal leaves the recorded request as it was.
    const { stdout } = await cli(['restore', 'files', '--dry-run', '--json']);
    expect(JSON.parse(stdout).directories).toMatchObject([{ guestPath: '/data', readOnly: false }]);
    expect(JSON.parse(stdout).directories[0].hostPath).not.toContain('elsewhere');
  });

  test('and succeeds once everything is in its place', async () => {
    restoreData();
    // It ended well, so the second time has to be asked for.
    for (const words of [[], ['--again']]) {
      const restored = await cli(['restore', 'files', ...words]);
      expect(restored).toMatchObject({ status: 0, stderr: '' });
      expect(restored.stdout).toContain('ok open-files');
      restoreData();
    }
  });
});

test('a restore does not depend on the file of the module', async () => {
  const path = join(scratch, 'own.wasm');
  cpSync('guests/build/interpreter.wasm', path);
  await cli(['run', '--name', 'own', '--checkpoint-at-fuel', '1000:stop', path]);
  writeFileSync(path, 'rebuilt');
  const { stdout } = await cli(['restore', 'own', '--dry-run']);
  expect(stdout).toContain('is different now; the kept copy is used');
  expect((await cli(['restore', 'own'])).stdout).toContain('ok interpreter');
});

test('a checkpoint that fails does not end the job, and ps tells why', async () => {
  const { parseWat } = await wabt();
  const endless = join(scratch, 'endless.wasm');
  const text = '(module (memory (export "memory") 1) (func (export "_start") (loop $l (br $l))))';
  writeFileSync(endless, parseWat('endless.wat', text).toBinary({}).buffer);
  await cli(['run', '-d', '--name', 'job', '--checkpoint-every', '50ms', endless]);
  const job = async () => {
    const { stdout } = await cli(['ps', '--json']);
    return JSON.parse(stdout).jobs.find((one: { job: string }) => one.job === 'job');
  };
  const until = async (wanted: (trouble: string | null) => boolean) => {
    for (;;) {
      const now = await job();
      expect(now.state).toBe('running');
      if (now.checkpoint !== null && wanted(now.trouble)) return;
      await sleep(20);
    }
  };
  await until((trouble) => trouble === null);
  const packs = join(home, 'vault', 'packs');
  renameSync(packs, `${packs}-aside`);
  await until((trouble) => trouble !== null);
  expect((await cli(['ps'])).stdout).toMatch(/\njob .* failed /);
  await refused('ERR_IO', ['checkpoint', 'job']);
  renameSync(`${packs}-aside`, packs);
  await until((trouble) => trouble === null);
  expect((await cli(['rm', '--force', 'job'])).status).toBe(0);
});
