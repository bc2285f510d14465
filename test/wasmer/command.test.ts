/** `stasis run --wasi wasmer` as a user meets it: what is granted, what is refused, how it ends. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { isAlive, killProcess } from '../../src/host/process-identity.ts';
import { openState } from '../e2e/open-state.ts';
import { ROOT, reported, stasisIn } from '../e2e/stasis-command.ts';
import { scratchDirectory } from '../host/scratch.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const stasis = stasisIn(home);
const built = (name: string) => join(ROOT, 'guests', 'build', `${name}.wasm`);
const assembler = await wabt();

function assemble(name: string, text: string): string {
  const path = join(scratch, `${name}.wasm`);
  writeFileSync(path, assembler.parseWat(name, text).toBinary({}).buffer);
  return path;
}

const IMPORT = '(import "wasi_snapshot_preview1"';
const text = (bytes: Buffer) => bytes.toString();

test('arguments, variables and the exit status are the guest’s', async () => {
  // Writes the list that it is told, NUL after each, and exits with 7.
  const lists = assemble(
    'lists',
    `(module
      ${IMPORT} "args_sizes_get" (func $as (param i32 i32) (result i32)))
      ${IMPORT} "args_get" (func $a (param i32 i32) (result i32)))
      ${IMPORT} "environ_sizes_get" (func $es (param i32 i32) (result i32)))
      ${IMPORT} "environ_get" (func $e (param i32 i32) (result i32)))
      ${IMPORT} "fd_write" (func $w (param i32 i32 i32 i32) (result i32)))
      ${IMPORT} "proc_exit" (func $x (param i32)))
      (memory (export "memory") 1)
      (func $show (param $size i32)
        (i32.store (i32.const 0) (i32.const 1024))
        (i32.store (i32.const 4) (local.get $size))
        (drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8))))
      (func (export "_start")
        (drop (call $as (i32.const 16) (i32.const 20)))
        (drop (call $a (i32.const 512) (i32.const 1024)))
        (call $show (i32.load (i32.const 20)))
        (drop (call $es (i32.const 16) (i32.const 20)))
        (drop (call $e (i32.const 512) (i32.const 1024)))
        (call $show (i32.load (i32.const 20)))
        (call $x (i32.const 7))))`,
  );
  const words = ['--env', 'A=1', '--env', 'EMPTY=', '--env', 'EQ=a=b', lists, 'one', 'zwölf'];
  const run = await stasis(['run', '--wasi', 'wasmer', ...words]);
  expect(run.status).toBe(7);
  expect(text(run.stdout)).toBe('lists.wasm\0one\0zwölf\0A=1\0EMPTY=\0EQ=a=b\0');
});

test('where the package breaks down, the guest traps, and the user is told where', async () => {
  const run = await stasis(['run', '--wasi', 'wasmer', built('sleeping-poll')]);
  expect(run.status).toBe(123);
  expect(text(run.stderr)).toContain('@wasmer/wasi broke down in poll_oneoff');
});

test('a call that the package lacks is refused by name', async () => {
  const accepts = assemble(
    'accepts',
    `(module ${IMPORT} "sock_accept" (func (param i32 i32 i32) (result i32)))
      (memory (export "memory") 1) (func (export "_start")))`,
  );
  expect((await stasis(['run', accepts])).status).toBe(0);
  const run = await stasis(['run', '--wasi', 'wasmer', accepts]);
  expect(run.status).toBe(126);
  expect(text(run.stderr)).toMatch(/wasi_snapshot_preview1\.sock_accept.*ERR_UNKNOWN_IMPORT/s);
});

test('a guest without a memory runs, one with 64-bit addresses is refused by name', async () => {
  const none = assemble(
    'none',
    `(module ${IMPORT} "args_sizes_get" (func $f (param i32 i32) (result i32)))
      ${IMPORT} "proc_exit" (func $x (param i32)))
      (func (export "_start") (call $x (call $f (i32.const 0) (i32.const 4)))))`,
  );
  expect((await stasis(['run', '--wasi', 'wasmer', none])).status).toBe(21);
  const wide = join(scratch, 'wide.wasm');
  // (module (memory (export "memory") i64 1) (func (export "_start")))
  const bytes =
    '0061736d01000000010401600000030201000503010401071302066d656d6f72790200065f737461727400000a040102000b';
  writeFileSync(wide, Buffer.from(bytes, 'hex'));
  expect((await stasis(['run', wide])).status).toBe(0);
  const run = await stasis(['run', '--wasi', 'wasmer', wide]);
  expect(run.status).toBe(126);
  expect(text(run.stderr)).toContain('32-bit addresses');
});

test('a directory to write in is refused; one to read is copied', async () => {
  const data = join(scratch, 'data');
  mkdirSync(data);
  const refused = await stasis(['run', '--wasi', 'wasmer', '--dir', data, built('strings')]);
  expect(refused.status).toBe(125);
  expect(text(refused.stderr)).toMatch(/ERR_USAGE.*--dir-ro/s);
  const chosen = ['--dir-ro', `${data}::/data::refuse`];
  const policy = await stasis(['run', '--wasi', 'wasmer', ...chosen, built('strings')]);
  expect(policy.status).toBe(125);
  expect(text(policy.stderr)).toMatch(/no policy to choose.*ERR_USAGE.*policy: refuse/s);
  const walk = built('directory-walk');
  const run = await stasis(['run', '--wasi', 'wasmer', '--dir-ro', `${data}::/data`, walk, '1']);
  expect(text(run.stderr)).toBe('');
  expect(text(run.stdout)).toMatch(/ok directory-walk\n$/);
});

test('a layer that does not exist is refused', async () => {
  const run = await stasis(['run', '--wasi', 'other', built('strings')]);
  expect(run.status).toBe(125);
  expect(text(run.stderr)).toContain('--wasi');
});

test('a checkpoint belongs to its layer', async () => {
  const data = join(scratch, 'empty');
  mkdirSync(data);
  const words = ['--wasi', 'wasmer', '--dir-ro', `${data}::/data`, '--name', 'kept'];
  const made = await reported(
    stasis([
      'run',
      '--json',
      ...words,
      '--checkpoint-at-call',
      '400:stop',
      built('directory-walk'),
      '1',
    ]),
  );
  expect(made.report.ending).toEqual({ kind: 'checkpointed' });

  const dry = await stasis(['restore', '--dry-run', 'kept']);
  expect(dry.status).toBe(0);
  expect(text(dry.stdout)).toContain('WASI layer is @wasmer/wasi 1.2.2');
  expect(text(dry.stdout)).not.toContain('grants');

  const granted = await stasis(['restore', '--dir-ro', data, 'kept']);
  expect(granted.status).toBe(125);
  expect(text(granted.stderr)).toMatch(/ERR_USAGE.*without --dir/s);

  const change = (layer: string): void => {
    const database = new DatabaseSync(join(home, 'jobs.db'));
    const changed = database
      .prepare(
        "UPDATE runs SET request = json_set(request, '$.wasi', ?) WHERE job = (SELECT id FROM jobs WHERE name = 'kept')",
      )
      .run(layer);
    expect(changed.changes).toBe(1);
    database.close();
  };
  change('stasis');
  const other = await stasis(['restore', 'kept']);
  expect(other.status).toBe(125);
  expect(text(other.stderr)).toMatch(/the WASI layer differs.*ERR_SOFTWARE_MISMATCH/s);
  expect(text(other.stderr)).toContain('WASI layer sealed: @wasmer/wasi 1.2.2');
  change('wasmer');

  // Nothing is read of the host any more: the files are in the image.
  writeFileSync(join(data, 'later'), 'x');
  const run = await stasis(['restore', 'kept']);
  expect(run.status).toBe(0);
  expect(text(run.stdout)).toMatch(/ok directory-walk\n$/);
  expect(readFileSync(join(data, 'later'), 'utf8')).toBe('x');
});

test('a guest that was killed goes on from its checkpoint', async () => {
  const data = join(scratch, 'for-killed');
  mkdirSync(data);
  const options = ['--wasi', 'wasmer', '--dir-ro', `${data}::/data`];
  // Some hundred times as long as it takes to make a checkpoint: it must not be over before it is killed.
  const words = [built('directory-walk'), '250'];
  const whole = await stasis(['run', ...options, ...words]);
  const state = await openState(home);
  try {
    const started = ['run', '--detach', '--name', 'killed', '--checkpoint-every', '20ms'];
    expect((await stasis([...started, ...options, ...words])).status).toBe(0);
    const run = () => state.table.find(state.owner, 'killed').run;
    while (run().checkpoint === null || run().cell === null) {
      expect(run().outcome).toBe(null);
      await sleep(2);
    }
    const { host, cell } = run();
    killProcess(host);
    while (isAlive(cell!)) await sleep(2);
    expect(run().outcome).toBe(null);
    expect((await stasis(['restore', 'killed'])).status).toBe(0);
    expect(text((await stasis(['logs', '--raw', 'killed'])).stdout)).toBe(text(whole.stdout));
  } finally {
    await state.close();
  }
});
