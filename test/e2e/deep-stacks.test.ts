/**
 * Guests that are captured deep in their calls: they go on, and what was captured is restored. One of them
 * recursed so often before that its functions are optimised, with smaller frames than those of twins.
 */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cliIn } from '../cli/run-cli.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { assemble } from '../instrument/assemble.ts';

/** Goes `depth` calls deep after `before` rounds of a hundred, asks there, and exits with a digest of its way back. */
const guest = (depth: number, before: number): string => `(module
  (import "stasis" "checkpoint" (func $checkpoint (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1)
  (func $down (param $n i32) (param $a i64) (param $ask i32) (result i64) (local $x i64) (local $y i64)
    (local.set $x (i64.mul (local.get $a) (i64.const 31)))
    (local.set $y (i64.add (local.get $x) (i64.extend_i32_u (local.get $n))))
    (if (result i64) (i32.eqz (local.get $n))
      (then (if (local.get $ask) (then (drop (call $checkpoint)))) (local.get $y))
      (else (i64.add (local.get $y) (i64.xor (local.get $x)
        (call $down (i32.sub (local.get $n) (i32.const 1)) (local.get $y) (local.get $ask)))))))
  (func (export "_start") (local $left i32)
    (local.set $left (i32.const ${before}))
    (block $done (loop $more
      (br_if $done (i32.eqz (local.get $left)))
      (drop (call $down (i32.const 100) (i64.const 1) (i32.const 0)))
      (local.set $left (i32.sub (local.get $left) (i32.const 1)))
      (br $more)))
    (call $exit (i32.and (i32.const 63)
      (i32.wrap_i64 (call $down (i32.const ${depth}) (i64.const 1) (i32.const 1)))))))`;

/** What the guest computes. */
function exitOf(depth: number): number {
  const way: [bigint, bigint][] = [];
  let a = 1n;
  for (let n = depth; n >= 0; n--) {
    const x = BigInt.asUintN(64, a * 31n);
    const y = BigInt.asUintN(64, x + BigInt(n));
    way.push([x, y]);
    a = y;
  }
  let result = way.pop()![1];
  for (const [x, y] of way.reverse()) result = BigInt.asUintN(64, y + (x ^ result));
  return Number(result & 63n);
}

const scratch = scratchDirectory();
const cli = cliIn(join(scratch, 'home'));

test.each([
  ['shallow', 10, 0],
  ['a thousand deep', 1000, 0],
  ['ten thousand deep', 10_000, 0],
  ['a hundred thousand deep', 100_000, 0],
  ['a hundred thousand deep, optimised', 100_000, 100_000],
])('%s', async (name, depth, before) => {
  const module = join(scratch, `${depth}-${before}.wasm`);
  const job = `d${depth}-${before}`;
  writeFileSync(module, assemble(guest(depth, before)));
  const run = await cli(['run', '--name', job, module]);
  expect([run.stderr, run.status]).toEqual(['', exitOf(depth)]);
  const restored = await cli(['restore', '--again', job]);
  expect(restored.status).toBe(exitOf(depth));
  const { checkpoints } = JSON.parse((await cli(['checkpoints', job, '--json'])).stdout);
  console.log(`${name}: image of ${checkpoints[checkpoints.length - 1].imageBytes} bytes`);
});
