/** How much the logs of an owner may take up together, and what becomes of a guest that writes more. */
import { closeSync, openSync, statSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { watchLog } from '../../src/host/log-usage.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn } from './run-cli.ts';

const CAP = 100_000;
/** With its header. */
const RECORD_BYTES = 16 + 16;
const home = scratchDirectory();
const cli = cliIn(join(home, 'state'));
const policy = join(home, 'policy.json');
writeFileSync(policy, JSON.stringify({ version: 1, defaults: { caps: { logBytes: CAP } } }), {
  mode: 0o600,
});

/** Writes 15 letters and a newline for ever, and sleeps a millisecond after every eight. */
const chatter = join(home, 'chatter.wasm');
const { parseWat } = await wabt();
writeFileSync(
  chatter,
  parseWat(
    'chatter.wat',
    `(module
      (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
      (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
      (memory (export "memory") 1)
      (data (i32.const 64) "\\40\\00\\00\\00")
      (data (i32.const 128) "fifteen letters\\n")
      (data (i32.const 0) "\\80\\00\\00\\00\\10\\00\\00\\00")
      (func (export "_start") (local $n i32)
        (i64.store (i32.const 216) (i64.const 1000000))
        (i32.store (i32.const 208) (i32.const 1))
        (loop $again
          (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 32)))
          (local.set $n (i32.add (local.get $n) (i32.const 1)))
          (if (i32.eqz (i32.and (local.get $n) (i32.const 7)))
            (then (drop (call $poll (i32.const 192) (i32.const 256) (i32.const 1) (i32.const 300)))))
          (br $again))))`,
  ).toBinary({}).buffer,
);

const capped = ['--policy', policy];

test('a guest ends when the logs of its owner are as large as they may be, and nothing starts until there is room', async () => {
  const first = await cli(['run', '--name', 'one', '--json', ...capped, chatter]);
  expect(first.stderr).toContain('"limit":"output"');
  // Its own count is exact for the text; what the headers take is seen by its host a little later.
  expect(first.stdout.length).toBeGreaterThan(0);
  expect(first.stdout.length).toBeLessThanOrEqual(CAP);
  const { stdout: log } = await cli(['logs', 'one']);
  // The log comes first, and it may be killed in between.
  expect(log.startsWith(first.stdout)).toBe(true);
  const lines = log.split('\n').length - 1;
  console.log(`${lines * RECORD_BYTES} bytes of logs, of ${CAP}`);
  expect(lines * RECORD_BYTES).toBeGreaterThanOrEqual(CAP / 2);

  const refused = await cli(['run', ...capped, chatter]);
  expect(refused.status).toBe(125);
  expect(refused.stderr).toMatch(/\(ERR_QUOTA\)[\s\S]*cap: logBytes[\s\S]*stasis rm/);
  const unlogged = await cli(['run', ...capped, '--no-log', '--max-output', '160B', chatter]);
  expect(unlogged.stdout).toBe('fifteen letters\n'.repeat(10));
  expect((await cli(['rm', 'one'])).status).toBe(0);
  const room = await cli(['run', ...capped, '--max-output', '160B', chatter]);
  expect(room.stdout).toBe('fifteen letters\n'.repeat(10));
});

test('a run is told once that several together have written too much', async () => {
  const path = join(home, 'run-1.log');
  const fd = openSync(path, 'a');
  let others = 50;
  const full: number[] = [];
  const isFull = Promise.withResolvers<void>();
  const watch = watchLog(
    fd,
    () => others + statSync(path).size,
    100,
    (used) => {
      full.push(used);
      isFull.resolve();
    },
    5,
  );
  writeSync(fd, 'x'.repeat(50));
  await sleep(50);
  expect(full).toEqual([]);
  others = 60;
  // As long as this run writes nothing, it is not the one to end.
  await sleep(50);
  expect(full).toEqual([]);
  writeSync(fd, 'x');
  await isFull.promise;
  writeSync(fd, 'x');
  await sleep(50);
  expect(full).toEqual([111]);
  watch.stop();
  closeSync(fd);
});
