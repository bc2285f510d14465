/** The modules that the benchmark measures beside the kernels, and how to run them. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { assemble } from '../test/instrument/assemble.ts';
import { FLITE_TEXT, fliteArguments, fliteModule } from '../test/programs/flite.ts';
import { QUICKJS_SCRIPTS, quickjsCommand } from '../test/programs/quickjs.ts';
import { RUBY_SCRIPT, rubyCommand } from '../test/programs/ruby.ts';

export interface Program {
  readonly name: string;
  readonly bytes: () => Uint8Array<ArrayBuffer>;
  readonly args: readonly string[];
}

const GUESTS = join(import.meta.dirname, '..', 'guests', 'build');

function named(name: string, times: number): string {
  return times === 1 ? name : `${name} ×${times}`;
}

function again<T>(times: number, item: T): readonly T[] {
  return Array.from({ length: times }, () => item);
}

function guest(name: string, ...args: string[]): Program {
  const bytes = (): Uint8Array<ArrayBuffer> =>
    new Uint8Array(readFileSync(join(GUESTS, `${name}.wasm`)));
  return { name: [name, ...args].join(' '), bytes, args };
}

/** Each as often as said: once is over before it was stopped many times. */
const ruby = (times: number): Program => ({
  name: named('Ruby', times),
  bytes: () => rubyCommand(times === 1 ? RUBY_SCRIPT : `${times}.times do\n${RUBY_SCRIPT}\nend`),
  args: [],
});
const quickjs = (times: number): Program => ({
  name: named('QuickJS', times),
  bytes: () =>
    quickjsCommand([...QUICKJS_SCRIPTS, ...again(times, QUICKJS_SCRIPTS.slice(1)).flat()]),
  args: [],
});
const flite = (times: number): Program => ({
  name: named('Flite', times),
  bytes: fliteModule,
  args: fliteArguments(again(times, FLITE_TEXT).join(' '), '/out/said.wav'),
});

/** 64 MB in use, of which one unit of 4 KiB in twenty changes again and again. */
const CHANGING = `(module
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))
  (memory (export "memory") 1024)
  (func (export "_start") (local $round i32) (local $at i32)
    (loop $fill
      (i64.store (local.get $at) (i64.mul (i64.extend_i32_u (local.get $at)) (i64.const 0x9e3779b97f4a7c15)))
      (local.set $at (i32.add (local.get $at) (i32.const 8)))
      (br_if $fill (i32.lt_u (local.get $at) (i32.const 67108864))))
    (loop $rounds
      (local.set $at (i32.and (local.get $round) (i32.const 4088)))
      (loop $some
        (i32.store (local.get $at) (local.get $round))
        (local.set $at (i32.add (local.get $at) (i32.const 81920)))
        (br_if $some (i32.lt_u (local.get $at) (i32.const 67108864))))
      (local.set $round (i32.add (local.get $round) (i32.const 8)))
      (br_if $rounds (i32.lt_u (local.get $round) (i32.const 24000000))))))`;

export const CHANGING_HEAP: Program = {
  name: '64 MB, 5 % changed',
  bytes: () => assemble(CHANGING),
  args: [],
};

/** Computes for some seconds at the bottom of so many calls, of a few words each. */
const deep = (calls: number): Program => ({
  name: `${calls} calls deep`,
  bytes: () =>
    assemble(`(module
  (memory (export "memory") 1)
  (func $down (param $left i32) (param $a i64) (result i64) (local $x i64) (local $spun i64)
    (local.set $x (i64.mul (local.get $a) (i64.const 31)))
    (if (result i64) (local.get $left)
      (then (i64.add (local.get $x)
        (call $down (i32.sub (local.get $left) (i32.const 1)) (i64.add (local.get $x) (i64.const 1)))))
      (else
        (loop $spin (result i64)
          (local.set $x (i64.add (local.get $x) (i64.const 1)))
          (local.set $spun (i64.add (local.get $spun) (i64.const 1)))
          (br_if $spin (i64.lt_u (local.get $spun) (i64.const 4000000000)))
          (local.get $x)))))
  (func (export "_start") (drop (call $down (i32.const ${calls}) (i64.const 0)))))`),
  args: [],
});

export const DEEP: readonly Program[] = [10, 1000, 10_000, 100_000].map(deep);

/** From large to small. */
export const INSTRUMENTED: readonly Program[] = [
  ruby(1),
  quickjs(1),
  flite(1),
  guest('rust-collections'),
];

/** Run whole, beside the kernels. */
export const RUN: readonly Program[] = [ruby(1), quickjs(10), flite(1)];

/** Each computes for a second or more; the third has 64 MB of heap in use. */
export const PAUSED: readonly Program[] = [
  guest('nqueens', '12'),
  guest('kernels/strings', '2000000'),
  guest('heap', '72', '12000'),
  quickjs(60),
  flite(16),
  ruby(4),
];

export function programNamed(name: string): Program {
  const found = [...INSTRUMENTED, ...PAUSED, ...DEEP, CHANGING_HEAP].find(
    (program) => program.name === name,
  );
  if (found === undefined) throw new Error(`no program is named ${name}`);
  return found;
}
