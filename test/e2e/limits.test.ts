/**
 * Every limit by a guest that reaches it: its own ending and status; with `--on-limit checkpoint` the guest is
 * kept where it stood, and with more it goes on to its end as if nothing had been.
 */
import { mkdirSync, readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { EXIT_STATUS } from '../../src/fault/exit-status.ts';
import type { LimitName } from '../../src/resource/limit-reached.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { reported, stasisIn } from './stasis-command.ts';

const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));
const granted = join(scratch, 'granted');
mkdirSync(granted);
const { parseWat } = await wabt();

const IMPORTS = `
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "poll_oneoff" (func $poll (param i32 i32 i32 i32) (result i32)))
  (import "stasis" "checkpoint" (func $checkpoint (result i32)))`;

/** At 0 an iovec of "ok\n", at 8 one of 100 bytes, at 16 a result, at 32 names. */
const DATA = `
  (data (i32.const 0) "\\20\\01\\00\\00\\03\\00\\00\\00" "\\00\\02\\00\\00\\64\\00\\00\\00")
  (data (i32.const 32) "." "file")
  (data (i32.const 288) "ok\\n")`;

/** `step`, `times` times; it leaves whether it was done and goes on to the next. Then `check` has to be so. */
function guest(name: string, times: number, step: string, check = '(i32.const 1)'): string {
  const text = `(module ${IMPORTS}
    (memory (export "memory") 4) (table $t 1 funcref) ${DATA}
    (func (export "_start") (local $i i32)
      (loop $l
        (local.set $i (i32.add (local.get $i) ${step}))
        (br_if $l (i32.lt_u (local.get $i) (i32.const ${times}))))
      (if (i32.eqz ${check}) (then (unreachable)))
      (drop (call $write (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 16)))))`;
  const path = join(scratch, `${name}.wasm`);
  writeFileSync(path, parseWat(name, text, {}).toBinary({}).buffer);
  return path;
}

const opens = (creates: 0 | 1, rights: number): string =>
  `(i32.eqz (call $open (i32.const 3) (i32.const 0) (i32.const ${32 + creates}) (i32.const ${1 + 3 * creates}) (i32.const ${creates}) (i64.const ${rights}) (i64.const 0) (i32.const 0) (i32.const 16)))`;

interface Case {
  readonly module: string;
  readonly status: number;
  readonly grants: readonly string[];
  /** What it has at first, and what it goes on with. */
  readonly first: readonly string[];
  readonly more: readonly string[];
  /** Before it is done, of its output. */
  readonly output?: RegExp;
}

const DIRECTORY = ['--dir', `${granted}::/`];
const PRIVATE = ['--dir', `${granted}::/::private`];

const CASES: Readonly<Record<Exclude<LimitName, 'path' | 'iovecs' | 'subscriptions'>, Case>> = {
  fuel: {
    module: guest('fuel', 1_000_000, '(i32.const 1)'),
    status: EXIT_STATUS.outOfFuel,
    grants: [],
    first: ['--fuel', '20000'],
    more: ['--fuel', '1000000000'],
  },
  memory: {
    module: guest(
      'memory',
      10,
      '(i32.ne (memory.grow (i32.const 10)) (i32.const -1))',
      '(i32.eq (memory.size) (i32.const 104))',
    ),
    status: EXIT_STATUS.memoryLimit,
    grants: [],
    first: ['--max-memory', '4MiB'],
    more: ['--max-memory', '64MiB'],
  },
  table: {
    module: guest(
      'table',
      10,
      '(i32.ne (table.grow $t (ref.null func) (i32.const 10)) (i32.const -1))',
      '(i32.eq (table.size $t) (i32.const 101))',
    ),
    status: EXIT_STATUS.tableLimit,
    grants: [],
    first: ['--max-table', '64'],
    more: ['--max-table', '1000'],
  },
  output: {
    module: guest(
      'output',
      10,
      '(i32.eqz (call $write (i32.const 1) (i32.const 8) (i32.const 1) (i32.const 16)))',
    ),
    status: EXIT_STATUS.outputLimit,
    grants: [],
    first: ['--max-output', '450'],
    more: ['--max-output', '2000'],
    output: /^\0{600}$/,
  },
  handles: {
    module: guest('handles', 20, opens(0, 0)),
    status: EXIT_STATUS.handleLimit,
    grants: DIRECTORY,
    first: ['--max-handles', '10'],
    more: ['--max-handles', '100'],
  },
  files: {
    module: guest('files', 20, opens(0, 0)),
    status: EXIT_STATUS.fileLimit,
    grants: DIRECTORY,
    first: ['--max-files', '5'],
    more: ['--max-files', '20'],
  },
  random: {
    module: guest('random', 1, '(i32.eqz (call $random (i32.const 1024) (i32.const 200000)))'),
    status: EXIT_STATUS.randomLimit,
    grants: [],
    first: ['--max-random', '100KiB'],
    more: ['--max-random', '1MiB'],
  },
  private: {
    module: guest(
      'private',
      20_000,
      `(if (result i32) (i32.eqz (local.get $i))
         (then ${opens(1, 64)})
         (else (i32.eqz (call $write (i32.load (i32.const 16)) (i32.const 8) (i32.const 1) (i32.const 24)))))`,
    ),
    status: EXIT_STATUS.privateLimit,
    grants: PRIVATE,
    first: ['--max-private', '1MiB'],
    more: ['--max-private', '64MiB'],
  },
  checkpoints: {
    module: guest('checkpoints', 5, '(i32.ge_s (call $checkpoint) (i32.const 0))'),
    status: EXIT_STATUS.checkpointLimit,
    grants: [],
    first: ['--max-checkpoints', '2'],
    more: ['--max-checkpoints', '10'],
  },
};

test.each(Object.entries(CASES))('%s', async (limit, one) => {
  const { module, status, grants, first, more, output = /^$/ } = one;
  const ended = await reported(stasis(['run', '--json', '--rm', ...first, ...grants, module]));
  expect(ended).toMatchObject({ status, report: { ending: { kind: 'limit', limit } } });

  const words = ['--json', '--name', limit, '--on-limit', 'checkpoint'];
  const kept = await reported(stasis(['run', ...words, ...first, ...grants, module]));
  expect(kept).toMatchObject({ status, report: { ending: { kind: 'limit', limit } } });
  const again = await reported(stasis(['restore', '--json', ...more, limit]));
  expect({ ...again, stderr: again.stderr.toString() }).toMatchObject({ status: 0 });
  expect(again.stdout.toString('latin1').slice(0, -3)).toMatch(output);
  expect(again.stdout.toString('latin1').slice(-3)).toBe('ok\n');
  expect(readdirSync(granted)).toEqual([]);
});

test('what no program asks for ends a guest, a little too much is an errno', async () => {
  const ends: readonly (readonly [LimitName, number, string])[] = [
    [
      'path',
      EXIT_STATUS.pathLimit,
      '(call $open (i32.const 3) (i32.const 0) (i32.const 32) (local.get $i) (i32.const 0) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 16))',
    ],
    [
      'iovecs',
      EXIT_STATUS.iovecLimit,
      '(call $write (i32.const 1) (i32.const 4096) (local.get $i) (i32.const 16))',
    ],
    [
      'subscriptions',
      EXIT_STATUS.subscriptionLimit,
      '(call $poll (i32.const 4096) (i32.const 4096) (local.get $i) (i32.const 16))',
    ],
  ];
  const errnos: Readonly<Record<string, number>> = { path: 37, iovecs: 28, subscriptions: 28 };
  for (const [limit, status, call] of ends) {
    for (const [items, expected] of [
      [65_536, errnos[limit]],
      [65_537, status],
    ] as const) {
      const text = `(module ${IMPORTS} (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
        (memory (export "memory") 100) ${DATA}
        (func (export "_start") (local $i i32)
          (local.set $i (i32.const ${items}))
          (call $exit ${call})))`;
      const path = join(scratch, `${limit}-${items}.wasm`);
      writeFileSync(path, parseWat(limit, text, {}).toBinary({}).buffer);
      const ran = await reported(stasis(['run', '--json', ...DIRECTORY, path]));
      expect([limit, items, ran.status]).toEqual([limit, items, expected]);
      const { ending } = ran.report;
      if (items > 65_536) expect(ending).toEqual({ kind: 'limit', limit });
    }
  }
});
