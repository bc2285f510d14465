/**
 * Small guests that mean no good, each run to its end by the code of a cell, in this process.
 *
 * Holds: each ends in one of the ways that a guest can end, or is refused by name before it runs; the host
 * throws nothing else. What a shell sees of them, statuses and sentences, is in cli/endings.test.ts.
 */
import { describe, expect, test } from 'vitest';
import type { Ending } from '../../src/cell/protocol.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { runHere, startOf } from '../e2e/guest-thread.ts';
import { assembleWithBinaryen, assembleWithWabt } from '../wasm/toolchains.ts';

const P1 = '"wasi_snapshot_preview1"';
const MEMORY = '(memory (export "memory") 1)';
const start = (body: string) => `(func (export "_start") ${body})`;
const exit = `(import ${P1} "proc_exit" (func $exit (param i32)))`;
const call = (name: string, params: string) =>
  `(import ${P1} "${name}" (func $call (param ${params}) (result i32)))`;
/** Exits with what a call answers. */
const answers = (name: string, params: string, args: string, pages = 1) =>
  `${exit}${call(name, params)}(memory (export "memory") ${pages})${start(`(call $exit (call $call ${args}))`)}`;
const i32s = (...values: readonly number[]) =>
  values.map((value) => `(i32.const ${value})`).join('');

const PAGES_MAX = 64;
const ENTRIES_MAX = 1000;
const FUEL = 2_000_000n;

type Told = Ending | { readonly refused: string; readonly message: string };

async function endOf(bytes: Uint8Array, invoke: string | null = null): Promise<Told> {
  const request = startOf({
    args: ['guest'],
    env: [],
    preopens: [],
    fuel: null,
    memoryPages: PAGES_MAX,
    tableEntries: ENTRIES_MAX,
    timeoutMs: null,
    checkpointEveryMs: null,
    invoke,
    trapUnknownImports: false,
    wasi: 'stasis',
    keepLog: false,
    removeAtEnd: true,
  });
  const limits = { ...request.limits, fuel: FUEL };
  try {
    const { ending } = await runHere(
      { ...request, limits, digestMemory: false },
      [bytes],
      () => {},
    );
    // Where it trapped is held in instrument/trap-places.test.ts.
    return ending.kind === 'trap' ? trap(ending.message) : ending;
  } catch (error) {
    if (error instanceof HostError) return { refused: error.code, message: error.message };
    throw error;
  }
}

const guest = (text: string) => endOf(assembleWithWabt(`(module ${text})`));
const trap = (message: string): Ending => ({ kind: 'trap', message });
const exits = (code: number): Ending => ({ kind: 'exit', code });
const limit = (which: 'fuel' | 'memory' | 'table'): Ending => ({ kind: 'limit', limit: which });
const EXHAUSTED = trap('call stack exhausted');

describe('traps', () => {
  const OUT = 'memory access out of bounds';
  const TABLE_OUT = 'table index is out of bounds';
  test.each<[string, string, Ending]>([
    ['unreachable', start('unreachable'), trap('unreachable')],
    [
      'division by zero',
      start('(drop (i32.div_u (i32.const 1) (i32.const 0)))'),
      trap('divide by zero'),
    ],
    [
      'remainder by zero',
      start('(drop (i64.rem_s (i64.const 1) (i64.const 0)))'),
      trap('remainder by zero'),
    ],
    [
      'division that overflows',
      start('(drop (i32.div_s (i32.const 0x80000000) (i32.const -1)))'),
      trap('divide result unrepresentable'),
    ],
    [
      'a number of no integer',
      start('(drop (i32.trunc_f32_s (f32.const nan)))'),
      trap('float unrepresentable in integer range'),
    ],
    ['a load at the end', MEMORY + start('(drop (i32.load (i32.const 65533)))'), trap(OUT)],
    [
      'a load that wraps',
      MEMORY + start('(drop (i32.load offset=0xffffffff (i32.const -1)))'),
      trap(OUT),
    ],
    [
      'a store across the end',
      MEMORY + start('(i64.store (i32.const 65529) (i64.const -1))'),
      trap(OUT),
    ],
    ['memory.fill across the end', MEMORY + start(`(memory.fill ${i32s(1, 0, -1)})`), trap(OUT)],
    ['memory.copy across the end', MEMORY + start(`(memory.copy ${i32s(0, 65536, 1)})`), trap(OUT)],
    [
      'memory.init beyond its segment',
      `${MEMORY}(data $d "x")${start(`(memory.init $d ${i32s(0, 1, 1)})`)}`,
      trap(OUT),
    ],
    [
      'memory.init of a dropped one',
      `${MEMORY}(data $d "x")${start(`(data.drop $d) (memory.init $d ${i32s(0, 0, 1)})`)}`,
      trap(OUT),
    ],
    [
      'a call of nothing',
      `(table 1 funcref)${start('(call_indirect (i32.const 0))')}`,
      trap('function signature mismatch'),
    ],
    [
      'a call of another type',
      `(table 1 funcref)(elem (i32.const 0) $f)(func $f (param i64))${start('(call_indirect (i32.const 0))')}`,
      trap('function signature mismatch'),
    ],
    [
      'a call beyond the table',
      `(table 1 funcref)${start('(call_indirect (i32.const -1))')}`,
      trap(TABLE_OUT),
    ],
    [
      'table.set beyond it',
      `(table 1 funcref)${start('(table.set (i32.const 1) (ref.null func))')}`,
      trap(TABLE_OUT),
    ],
    ['endless recursion', '(func $f (export "_start") (call $f))', EXHAUSTED],
    [
      'recursion with many locals',
      `(func $f (param i64) (local ${'f64 '.repeat(500)}) (call $f (local.get 0)))${start('(call $f (i64.const 1))')}`,
      EXHAUSTED,
    ],
    [
      'recursion through a table',
      '(table funcref (elem $f))(func $f (export "_start") (call_indirect (i32.const 0)))',
      EXHAUSTED,
    ],
    [
      'recursion with calls of the host',
      `(import ${P1} "sched_yield" (func $y (result i32)))(func $f (export "_start") (drop (call $y)) (call $f))`,
      EXHAUSTED,
    ],
    [
      'a start function that traps',
      `(func $s unreachable)(start $s)${start('')}`,
      trap('unreachable'),
    ],
    [
      'data beyond the memory',
      `${MEMORY}(data (i32.const 65535) "xx")${start('')}`,
      trap('data segment 0 is out of bounds (offset 65535, length 2, memory size 65536)'),
    ],
    [
      'elements beyond the table',
      `(table 1 funcref)(elem (i32.const 1) $f)(func $f)${start('')}`,
      trap(TABLE_OUT),
    ],
  ])('%s', async (_, text, ending) => {
    expect(await guest(text)).toEqual(ending);
  });
});

describe('bounds', () => {
  test.each<[string, string, Ending]>([
    ['a loop', start('(loop $l (br $l))'), limit('fuel')],
    [
      'a loop in the start function',
      `(func $s (loop $l (br $l)))(start $s)${start('')}`,
      limit('fuel'),
    ],
    ['a loop by br_table', start('(loop $l (br_table $l $l (i32.const 7)))'), limit('fuel')],
    ['tail calls', '(func $f (export "_start") (return_call $f))', limit('fuel')],
    [
      'tail calls by turns',
      '(func $f (export "_start") (return_call $g))(func $g (return_call $f))',
      limit('fuel'),
    ],
    [
      'tail calls through a table',
      '(table funcref (elem $f))(func $f (export "_start") (return_call_indirect (i32.const 0)))',
      limit('fuel'),
    ],
    [
      'calls that double at each step',
      `(func $f (param i32) (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1))) (call $f (i32.sub (local.get 0) (i32.const 1))))))${start('(call $f (i32.const 60))')}`,
      limit('fuel'),
    ],
    [
      'a loop of host calls',
      `(import ${P1} "sched_yield" (func $y (result i32)))${start('(loop $l (drop (call $y)) (br $l))')}`,
      limit('fuel'),
    ],
    [
      'a loop that fills memory',
      `${MEMORY}${start(`(loop $l (memory.fill ${i32s(0, 1, 65536)}) (br $l))`)}`,
      limit('fuel'),
    ],
    [
      'memory, page by page',
      MEMORY + start('(loop $l (drop (memory.grow (i32.const 1))) (br $l))'),
      limit('memory'),
    ],
    [
      'memory, by halves',
      MEMORY + start('(loop $l (drop (memory.grow (memory.size))) (br $l))'),
      limit('memory'),
    ],
    [
      'table entries',
      `(table 1 funcref)${start('(loop $l (drop (table.grow (ref.null func) (i32.const 1))) (br $l))')}`,
      limit('table'),
    ],
    [
      'two tables together',
      `(table $a 600 funcref)(table $b 1 funcref)${start('(drop (table.grow $b (ref.null func) (i32.const 500)))')}`,
      limit('table'),
    ],
    [
      'a memory that is large at once',
      `(memory (export "memory") ${PAGES_MAX + 1})${start('')}`,
      limit('memory'),
    ],
    ['a table that is large at once', `(table 10000000 funcref)${start('')}`, limit('table')],
  ])('%s', async (_, text, ending) => {
    expect(await guest(text)).toEqual(ending);
  });

  test('two memories together', async () => {
    const text = `(module (memory $a (export "memory") 60) (memory $b 1)
      (func (export "_start") (drop (memory.grow $b (i32.const 4)))))`;
    expect(await endOf(assembleWithBinaryen(text))).toEqual(limit('memory'));
  });

  test('more than all at once is not had, and the guest goes on', async () => {
    const grow = (delta: number) =>
      `${exit}${MEMORY}${start(`(call $exit (memory.grow (i32.const ${delta})))`)}`;
    for (const delta of [PAGES_MAX + 1, 65_536, 0x7fff_ffff, -1]) {
      expect(await guest(grow(delta))).toEqual(exits(2 ** 32 - 1));
    }
    expect(await guest(grow(PAGES_MAX - 1))).toEqual(exits(1));
  });
});

describe('endings of the guest’s own', () => {
  test.each([0, 1, 125, 255, 256, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])(
    'proc_exit(%i)',
    async (code) => {
      expect(await guest(`${exit}${start(`(call $exit (i32.const ${code | 0}))`)}`)).toEqual(
        exits(code),
      );
    },
  );

  test('proc_exit in the start function, and deep in calls', async () => {
    const five = '(call $exit (i32.const 5))';
    expect(await guest(`${exit}(func $s ${five})(start $s)${start('unreachable')}`)).toEqual(
      exits(5),
    );
    const deep = `(func $f (param i32) (if (local.get 0) (then (call $f (i32.sub (local.get 0) (i32.const 1)))) (else ${five})))`;
    expect(await guest(`${exit}${deep}${start('(call $f (i32.const 5000))')}`)).toEqual(exits(5));
  });

  test.each([
    [6, 134],
    [9, 137],
    [11, 139],
    [15, 143],
    [0, 0],
    [31, 28],
    [-1, 28],
  ])('proc_raise(%i)', async (signal, code) => {
    expect(await guest(answers('proc_raise', 'i32', i32s(signal)))).toEqual(exits(code));
  });
});

describe('calls without what they need', () => {
  const FAULT = 21;
  test.each<[string, string, number]>([
    ['4 GiB of randomness', answers('random_get', 'i32 i32', i32s(0, -1)), FAULT],
    [
      'a million subscriptions',
      answers('poll_oneoff', 'i32 i32 i32 i32', i32s(0, 0, 1_000_000, 8), 60),
      28,
    ],
    [
      'no memory at all',
      `${exit}${call('random_get', 'i32 i32')}${start(`(call $exit (call $call ${i32s(0, 1)}))`)}`,
      FAULT,
    ],
    [
      'a memory that is not exported',
      `${exit}${call('random_get', 'i32 i32')}(memory 1)${start(`(call $exit (call $call ${i32s(0, 1)}))`)}`,
      0,
    ],
    [
      'something else that is called memory',
      `${exit}${call('random_get', 'i32 i32')}(memory 1)(global (export "memory") i32 (i32.const 0))${start(`(call $exit (call $call ${i32s(0, 1)}))`)}`,
      0,
    ],
    ['a stream beyond memory', answers('fd_write', 'i32 i32 i32 i32', i32s(1, 65532, 1, 0)), FAULT],
    [
      'a directory, none being granted',
      answers('path_unlink_file', 'i32 i32 i32', i32s(3, 0, 1)),
      8,
    ],
  ])('%s', async (_, text, code) => {
    expect(await guest(text)).toEqual(exits(code));
  });

  test('100 MB in one call are written, many times over the same memory', async () => {
    // 1000 iovecs of 100,000 bytes each.
    const text = `${exit}${call('fd_write', 'i32 i32 i32 i32')}(memory (export "memory") 4)
      (func (export "_start") (local $at i32)
        (loop $next
          (i32.store (local.get $at) (i32.const 65536))
          (i32.store offset=4 (local.get $at) (i32.const 100000))
          (br_if $next (i32.lt_u (local.tee $at (i32.add (local.get $at) (i32.const 8))) (i32.const 8000))))
        (if (call $call ${i32s(1, 0, 1000, 9000)}) (then (call $exit (i32.const 1))))
        (call $exit (i32.load (i32.const 9000))))`;
    expect(await guest(text)).toEqual(exits(100_000_000));
  });
});

describe('modules that are refused', () => {
  const UNKNOWN = 'ERR_UNKNOWN_IMPORT';
  const NO_ENTRY = 'ERR_NO_ENTRY';
  test.each<[string, string, string, string]>([
    ['an unknown module', '(import "env" "f" (func))', UNKNOWN, 'env.f'],
    ['an unknown function', `(import ${P1} "fd_frobnicate" (func))`, UNKNOWN, 'fd_frobnicate'],
    [
      'a function of another type',
      `(import ${P1} "fd_write" (func (param i32) (result i64)))`,
      UNKNOWN,
      'fd_write',
    ],
    ['a memory', '(import "env" "memory" (memory 1))', UNKNOWN, 'env.memory'],
    ['a table', '(import "env" "table" (table 1 funcref))', UNKNOWN, 'env.table'],
    ['a global', '(import "env" "global" (global i32))', UNKNOWN, 'env.global'],
    [
      'a global by the name of a call',
      `(import ${P1} "fd_write" (global i32))`,
      UNKNOWN,
      'fd_write',
    ],
    ...['__proto__', 'constructor', 'toString', 'hasOwnProperty', 'valueOf'].map(
      (name): [string, string, string, string] => [
        `what every object has: ${name}`,
        `(import ${P1} "${name}" (func))`,
        UNKNOWN,
        name,
      ],
    ),
    ...['__proto__', 'constructor'].map((name): [string, string, string, string] => [
      `a module that every object has: ${name}`,
      `(import "${name}" "${name}" (func))`,
      UNKNOWN,
      name,
    ]),
  ])('imports %s', async (_, text, refused, names) => {
    const told = await guest(text + start(''));
    expect(told).toMatchObject({ refused, message: expect.stringContaining(names) });
  });

  test.each<[string, string, string]>([
    ['no export', '(func $f)', NO_ENTRY],
    ['a global for an entry', '(global (export "_start") i32 (i32.const 0))', NO_ENTRY],
    ['a memory for an entry', '(memory (export "_start") 1)', NO_ENTRY],
    ['an entry that takes something', '(func (export "_start") (param i32))', NO_ENTRY],
  ])('%s', async (_, text, refused) => {
    expect(await guest(text)).toMatchObject({ refused });
  });
});
