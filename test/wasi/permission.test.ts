/** The flags that a cell's process needs: see `src/handle/anchor.ts` and `native-calls.ts`. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';

let dir: string;

beforeEach(() => {
  dir = realpathSync(mkdtempSync(join(tmpdir(), 'stasis-permission-')));
});

afterEach(() => rmSync(dir, { recursive: true, force: true }));

function run(...further: string[]): Record<string, unknown> {
  const here = import.meta.dirname;
  const output = execFileSync(
    process.execPath,
    [
      '--permission',
      `--allow-fs-read=${join(here, '../..')}`,
      `--allow-fs-read=${dir}`,
      `--allow-fs-write=${dir}`,
      '--allow-fs-read=/proc/self/fd',
      '--allow-fs-write=/proc/self/fd',
      ...further,
      join(here, 'permission-child.ts'),
      dir,
    ],
    { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'], env: {} },
  );
  return JSON.parse(output) as Record<string, unknown>;
}

const fine = {
  open: 4,
  write: 3,
  sync: 0,
  syncDirectory: 0,
  flags: 0,
  times: 0,
  timesByPath: 0,
  link: 0,
  unlink: 0,
  symlink: 0,
  mkdir: 0,
  rmdir: 0,
  readdir: 0,
  stat: 0,
  size: 0,
  allocate: 0,
  up: true,
  afterResume: 3,
};

test('with native calls allowed, everything works under the permission model', () => {
  expect(run('--allow-ffi')).toEqual(fine);
  expect(readFileSync(join(dir, 'a'), 'utf8')).toBe(`abc${'\0'.repeat(17)}def`);
});

test('without them, only syncing and making links do not', () => {
  const { NOTSUP } = ERRNO;
  expect(run()).toEqual({ ...fine, sync: NOTSUP, syncDirectory: NOTSUP, symlink: NOTSUP });
});
