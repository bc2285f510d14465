/** How a program is run: its directories in all spellings, many at once, and nothing on stderr that is not its own. */
import { existsSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import wabt from 'wabt';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn, ROOT } from './run-cli.ts';

const scratch = scratchDirectory();
const cli = cliIn(join(scratch, 'home'));
const walk = join(ROOT, 'guests/build/directory-walk.wasm');

describe('a granted directory', () => {
  const data = join(scratch, 'data');
  mkdirSync(data);
  symlinkSync('data', join(scratch, 'link'));
  const nested = join(scratch, 'nested/below');
  mkdirSync(nested, { recursive: true });

  test.each([
    ['as it is', [`${data}::/data`], undefined],
    ['with slashes at its end', [`${data}//::/data`], undefined],
    ['through a link', [`${join(scratch, 'link')}::/data`], undefined],
    ['from the working directory', ['data::/data'], scratch],
    ['the working directory itself', ['.::/data'], data],
    ['above another one', [`${nested}::/other`, `${dirname(nested)}::/data`], undefined],
    ['below another one', [`${dirname(nested)}::/other`, `${nested}::/data`], undefined],
    ['above the code of the host', [`${data}::/data`, `${ROOT}::/host`], undefined],
  ])('%s', async (_how, directories, cwd) => {
    const grants = directories.flatMap((directory) => ['--dir', directory]);
    const words = ['run', ...grants, walk, '1', '20'];
    const { status, stdout, stderr } = await cli(words, cwd === undefined ? {} : { cwd });
    expect(stderr).toBe('');
    expect(status).toBe(0);
    expect(stdout).not.toBe('');
  });

  test('was the one that the guest wrote to', () => {
    expect(existsSync(join(data, 'directory-walk'))).toBe(true);
  });
});

test('programs for wasi_unstable run, many at once, each in a state directory of its own or in one', async () => {
  const { parseWat } = await wabt();
  const text = `(module
    (import "wasi_unstable" "proc_exit" (func $exit (param i32)))
    (import "wasi_unstable" "args_sizes_get" (func $sizes (param i32 i32) (result i32)))
    (memory (export "memory") 1)
    (func (export "_start")
      (drop (call $sizes (i32.const 0) (i32.const 4)))
      (call $exit (i32.add (i32.const 40) (i32.load (i32.const 0))))))`;
  const module = join(scratch, 'old.wasm');
  writeFileSync(module, parseWat('old', text).toBinary({}).buffer);
  const runs = Array.from({ length: 8 }, (_, index) => {
    const own = index % 2 === 0 ? cliIn(join(scratch, `home-${index}`)) : cli;
    return own(['run', module, 'one']);
  });
  for (const { status, stderr } of await Promise.all(runs)) {
    expect(stderr).toBe('');
    expect(status).toBe(42);
  }
});
