/**
 * A guest with 64 MiB that can't be compressed makes a checkpoint, changes 5 % of its pages, and makes
 * another: the second writes about 5 %.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cliIn } from '../cli/run-cli.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { assemble } from '../instrument/assemble.ts';

const PAGES = 1024;
const CHANGED = 51;

/** Fills pages from `first`, each `step`th, with what an xorshift generator gives. */
const GUEST = `(module
  (import "stasis" "checkpoint" (func $checkpoint (result i32)))
  (memory (export "memory") ${PAGES})
  (global $state (mut i64) (i64.const 88172645463325252))
  (func $next (result i64)
    (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 13))))
    (global.set $state (i64.xor (global.get $state) (i64.shr_u (global.get $state) (i64.const 7))))
    (global.set $state (i64.xor (global.get $state) (i64.shl (global.get $state) (i64.const 17))))
    (global.get $state))
  (func $fill (param $page i32) (local $at i32) (local $end i32)
    (local.set $at (i32.shl (local.get $page) (i32.const 16)))
    (local.set $end (i32.add (local.get $at) (i32.const 65536)))
    (loop $more
      (i64.store (local.get $at) (call $next))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $more (i32.lt_u (local.get $at) (local.get $end)))))
  (func (export "_start") (local $page i32)
    (loop $all
      (call $fill (local.get $page))
      (local.set $page (i32.add (local.get $page) (i32.const 1)))
      (br_if $all (i32.lt_u (local.get $page) (i32.const ${PAGES}))))
    (drop (call $checkpoint))
    (local.set $page (i32.const 0))
    (loop $some
      (call $fill (local.get $page))
      (local.set $page (i32.add (local.get $page) (i32.const ${Math.floor(PAGES / CHANGED)})))
      (br_if $some (i32.lt_u (local.get $page) (i32.const ${CHANGED * Math.floor(PAGES / CHANGED)}))))
    (drop (call $checkpoint))))`;

test('the second checkpoint of a 64 MiB guest with 5 % changed writes about 5 %', async () => {
  const scratch = scratchDirectory();
  const module = join(scratch, 'changing.wasm');
  writeFileSync(module, assemble(GUEST));
  const cli = cliIn(join(scratch, 'home'));
  const run = await cli(['run', '--name', 'job', module]);
  expect(run.stderr).toBe('');
  const { stdout } = await cli(['checkpoints', '--json']);
  const [second, first] = JSON.parse(stdout).checkpoints;
  const share = second.storedBytes / first.storedBytes;
  process.stdout.write(
    `first ${first.storedBytes} bytes, second ${second.storedBytes}: ${(share * 100).toFixed(2)} %, ` +
      `with ${((CHANGED / PAGES) * 100).toFixed(2)} % of the pages changed\n`,
  );
  expect(first.storedBytes).toBeGreaterThan(PAGES * 65_536);
  expect(share).toBeGreaterThan(CHANGED / PAGES);
  expect(share).toBeLessThan(CHANGED / PAGES + 0.002);
  const verified = await cli(['vault', 'verify', '--restore', '--json']);
  expect(JSON.parse(verified.stdout)).toMatchObject({ images: 2, findings: [] });
});
