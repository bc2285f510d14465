/** `--pool` on the command line, and what a restore of a guest with pools is refused for. */
import { copyFileSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { readPool } from '../../src/cli/pool-option.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn } from './run-cli.ts';

const scratch = scratchDirectory();
const cli = cliIn(join(scratch, 'home'));
const MODULE = 'guests/build/pools/pool-btree.wasm';
const file = join(scratch, 'tree');

describe('--pool', () => {
  test('names a pool, a file and what the pool is like', () => {
    const plain = { pageBytes: 4096, frames: 256, pagesMax: 262_144, readOnly: false };
    expect(readPool(`a=${file}`, [])).toEqual({ name: 'a', hostPath: file, ...plain });
    const words = 'page=8192,frames=8,pages=99,ro';
    expect(readPool(`a-1.b_C=${file},${words}`, [])).toEqual({
      ...{ name: 'a-1.b_C', hostPath: file },
      ...{ pageBytes: 8192, frames: 8, pagesMax: 99, readOnly: true },
    });
  });

  test.each([
    'tree',
    'tree=',
    '=file',
    'two words=file',
    `${'n'.repeat(65)}=file`,
    'tree=a*b',
    'tree=file,page=0',
    'tree=file,page=4095',
    'tree=file,page=131072',
    'tree=file,page',
    'tree=file,frames=7',
    'tree=file,frames=1e9',
    'tree=file,page=65536,frames=16385',
    'tree=file,pages=0',
    'tree=file,rw',
    'tree=file,',
    'taken=file',
  ])('%s is refused in a sentence', (text) => {
    const taken = readPool(`taken=${file}`, []);
    expect(() => readPool(text, [taken])).toThrow(HostError);
    try {
      readPool(text, [taken]);
    } catch (error) {
      expect(error).toMatchObject({
        code: 'ERR_USAGE',
        message: expect.stringMatching(/^[^\n]+\.$/),
      });
    }
  });

  test('is told to the guest only by its name', async () => {
    const none = await cli(['run', MODULE, '0', '1', '10']);
    expect([none.status, none.stdout]).toEqual([2, 'pool_open: error 44\n']);
    const other = await cli(['run', '--pool', `other=${file}-other`, MODULE, '0', '1', '10']);
    expect(other.stdout).toBe('pool_open: error 44\n');
  });

  test('refuses a file that is none', async () => {
    const text = join(scratch, 'text');
    writeFileSync(text, 'not a page file');
    const result = await cli(['run', '--pool', `tree=${text}`, MODULE]);
    expect(result).toMatchObject({ status: 125, stdout: '' });
    expect(result.stderr).toMatch(
      /^error: The page file .* can't be used: it is not a page file\. \(ERR_POOL_UNUSABLE\)/,
    );
    expect(readFileSync(text, 'utf8')).toBe('not a page file');
  });
});

describe('a restore of a guest with a pool', () => {
  /** Captured between pinning a page for writing and giving it back. */
  beforeAll(async () => {
    const stop = ['--checkpoint-at-call', '400:stop'];
    const run = await cli([
      'run',
      '--name',
      'job',
      '--pool',
      `tree=${file}`,
      ...stop,
      MODULE,
      '0',
      '1',
      '300',
    ]);
    expect(run).toMatchObject({ status: 0, stderr: expect.stringContaining('stopped after') });
    copyFileSync(file, `${file}-then`);
  });
  beforeEach(() => {
    // The same inode or another one: what counts is what is in the file.
    rmSync(file, { force: true });
    copyFileSync(`${file}-then`, file);
  });

  const restore = async (...words: string[]) => {
    const { status, stdout, stderr } = await cli(['restore', 'job', '--again', ...words]);
    return { status, stdout, first: stderr.split('\n').find((line) => line.startsWith('error: ')) };
  };

  test('goes on where it was, and says what it is granted', async () => {
    const receipt = await cli(['restore', 'job', '--dry-run']);
    expect(receipt.stdout).toMatch(new RegExp(`^  grants       ${file} as pool tree$`, 'm'));
    const { status, stdout } = await restore();
    expect([status, stdout.split('\n').slice(-2, -1)]).toEqual([0, ['ok pool-btree']]);
  });

  test('is refused without the pool', async () => {
    expect(await restore('--pool', `other=${file}`)).toMatchObject({
      status: 125,
      stdout: '',
      first:
        'error: The guest needs what is not granted now: pool tree. (ERR_RESOURCE_NOT_GRANTED)',
    });
  });

  test('is refused with another file, and with none', async () => {
    const made = await cli(['run', '--pool', `tree=${file}-new`, MODULE, '0', '1', '10']);
    expect(made.status).toBe(0);
    renameSync(`${file}-new`, file);
    const other = await restore();
    expect(other).toMatchObject({ status: 125, stdout: '' });
    expect(other.first).toMatch(
      /is not the one that the guest had open\. \(ERR_RESOURCE_CHANGED\)$/,
    );
    rmSync(file);
    expect((await restore()).first).toMatch(/\(ERR_RESOURCE_CHANGED\)$/);
  });

  test('is refused with pages of another size', async () => {
    const result = await restore('--pool', `tree=${file},page=8192`);
    expect(result).toMatchObject({ status: 125, stdout: '' });
    expect(result.first).toMatch(/has pages of another size\. \(ERR_POOL_UNUSABLE\)$/);
  });

  test('is refused when a page that it had pinned is damaged', async () => {
    const bytes = readFileSync(file);
    for (let at = 4096 + 100; at < bytes.length; at += 4112) bytes[at]! ^= 1;
    writeFileSync(file, bytes);
    const result = await restore();
    expect(result).toMatchObject({ status: 125, stdout: '' });
    expect(result.first).toMatch(/page \d+ is damaged\. \(ERR_POOL_UNUSABLE\)$/);
  });
});
