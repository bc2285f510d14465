/**
 * How fine a guest's clocks are: all of them, and the times of a file that it has just written, by a guest that
 * reads each. Its status says what it saw: 0 for whole milliseconds everywhere, else which was finer.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { scratchDirectory } from '../host/scratch.ts';
import { stasisIn } from './stasis-command.ts';

const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));
const granted = join(scratch, 'granted');
mkdirSync(granted);
const { parseWat } = await wabt();

function module(name: string, text: string): string {
  const path = join(scratch, `${name}.wasm`);
  writeFileSync(path, parseWat(name, text, { threads: true }).toBinary({}).buffer);
  return path;
}

const CLOCKS = [0, 1, 2, 3];
/** The file is made this often: the system's own times of files may be coarse, and whole by chance. */
const FILES = 50;

const reader = module(
  'reader',
  `(module
    (import "wasi_snapshot_preview1" "clock_time_get" (func $time (param i32 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "clock_res_get" (func $res (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "path_open"
      (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_set_times" (func $touch (param i32 i64 i64 i32) (result i32)))
    (import "wasi_snapshot_preview1" "fd_filestat_get" (func $stat (param i32 i32) (result i32)))
    (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
    (memory (export "memory") 1) (data (i32.const 0) "file")
    (func $whole (param $at i32) (param $status i32)
      (if (i64.ne (i64.rem_u (i64.load (local.get $at)) (i64.const 1000000)) (i64.const 0))
        (then (call $exit (local.get $status)))))
    (func (export "_start") (local $i i32)
      ${CLOCKS.map(
        (id) => `
      (drop (call $res (i32.const ${id}) (i32.const 64)))
      (if (i64.ne (i64.load (i32.const 64)) (i64.const 1000000)) (then (call $exit (i32.const ${10 + id}))))
      (local.set $i (i32.const 0))
      (loop $l
        (drop (call $time (i32.const ${id}) (i64.const 1) (i32.const 64)))
        (call $whole (i32.const 64) (i32.const ${20 + id}))
        (br_if $l (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const 200))))`,
      ).join('')}
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 4) (i32.const 1) (i64.const -1) (i64.const 0) (i32.const 0) (i32.const 32))
        (then (call $exit (i32.const 30))))
      (local.set $i (i32.const 0))
      (loop $f
        (if (call $touch (i32.load (i32.const 32)) (i64.const 0) (i64.const 0) (i32.const 10))
          (then (call $exit (i32.const 31))))
        (if (call $stat (i32.load (i32.const 32)) (i32.const 128)) (then (call $exit (i32.const 32))))
        (call $whole (i32.const 168) (i32.const 33))
        (call $whole (i32.const 176) (i32.const 34))
        (call $whole (i32.const 184) (i32.const 35))
        (br_if $f (i32.lt_u (local.tee $i (i32.add (local.get $i) (i32.const 1))) (i32.const ${FILES}))))))`,
);

const DIRECTORY = ['--dir', `${granted}::/`];

test('clocks and times of files show whole milliseconds', async () => {
  expect(await stasis(['run', ...DIRECTORY, reader])).toMatchObject({ status: 0 });
});

test('fine ones are asked for, and a restore has them too unless it is told otherwise', async () => {
  const stopped = ['--name', 'fine', '--clock', 'fine', '--checkpoint-at-call', '0:stop'];
  expect(await stasis(['run', ...stopped, ...DIRECTORY, reader])).toMatchObject({ status: 0 });
  expect(await stasis(['restore', 'fine'])).toMatchObject({ status: 10 });
  const coarse = ['restore', '--again', '--clock', 'coarse', 'fine'];
  expect(await stasis(coarse)).toMatchObject({ status: 0 });
});

test('there is no shared memory in which something could count', async () => {
  const shared = module(
    'shared',
    '(module (memory (export "memory") 1 1 shared) (func (export "_start")))',
  );
  const { status, stderr } = await stasis(['run', shared]);
  expect(status).toBe(126);
  expect(stderr.toString()).toMatch('ERR_UNSUPPORTED_FEATURE');
});
