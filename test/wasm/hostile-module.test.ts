/** A module with every section, damaged in every way of one byte. */
import { describe, expect, test } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import { readBranchHints } from '../../src/wasm/branch-hints.ts';
import { evaluateConstant, globalConstants } from '../../src/wasm/constant-expression.ts';
import { readModule } from '../../src/wasm/module.ts';
import { functionNames } from '../../src/wasm/name-section.ts';
import { writeModule } from '../../src/wasm/writer.ts';
import { assembleWithBinaryen, assembleWithWabt, engineAccepts } from './toolchains.ts';
import { opcodesOf } from './walk.ts';

const everySection = assembleWithWabt(`(module
  (type $v (func (param i32 i64) (result f64)))
  (import "env" "call" (func $call (type $v)))
  (import "env" "limit" (global $limit i32))
  (table $t 3 9 funcref)
  (memory $m 1 4)
  (tag $e (param i32))
  (global $g (mut i32) (global.get $limit))
  (export "memory" (memory $m))
  (export "run" (func $run))
  (start $begin)
  (elem (i32.const 1) func $run $begin)
  (elem $passive funcref (ref.func $run) (ref.null func))
  (data (i32.const 16) "hello")
  (data $d "passive")
  (func $begin (local i64 v128)
    i32.const 0 i32.const 0 i32.const 4 memory.init $d
    i32.const 0 v128.load offset=16 local.set 1)
  (func $run (type $v) (local i32)
    try (result f64)
      local.get 0 local.get 1 local.get 0 call_indirect (type $v)
    catch $e
      global.set $g
      block $a block $b local.get 0 br_table $a $b $a end end
      f64.const 1.5
    end))`);

const collected = assembleWithBinaryen(`(module
  (rec (type $a (struct (field (mut i8)) (field (ref null $b)))) (type $b (array (mut i64))))
  (type $f (sub (func (param (ref null $a)) (result anyref))))
  (tag $e (param i32))
  (table $t 1 (ref null $a))
  (global $g (ref $a) (struct.new $a (i32.const 1) (array.new_fixed $b 1 (i64.const 5))))
  (func $run (type $f) (param (ref null $a)) (result anyref)
    (block $out (try_table (catch_all $out) (throw $e (i32.const 1))))
    (ref.cast (ref null $a) (local.get 0))))`);

/** Reads all that the room can read; a damaged module may read well or end in a `HostError`. */
function outcome(bytes: Uint8Array): 'read' | 'refused' {
  try {
    const module = readModule(bytes);
    const globals = globalConstants(bytes, 1, module.globals);
    for (const { offset } of module.data) {
      if (offset !== undefined) evaluateConstant(bytes, offset, globals);
    }
    const names = functionNames(module);
    for (let i = 0; i < 10; i++) names(i);
    readBranchHints(module);
    for (let i = 0; i < module.functions.length; i++) opcodesOf(module, i);
    expect(writeModule(module)).toEqual(bytes);
    return 'read';
  } catch (error) {
    if (error instanceof HostError) return 'refused';
    throw error;
  }
}

describe.each([
  ['every section', everySection],
  ['garbage collection', collected],
])('%s', (_, whole) => {
  test('reads as it is, and the engine takes it', () => {
    expect(engineAccepts(whole)).toBe(true);
    expect(outcome(whole)).toBe('read');
  });

  test('cut off at every byte', () => {
    // A file that ends between two sections can be a whole module with less in it.
    const ends = new Set(readModule(whole).sections.map(({ start }) => start));
    for (let length = 0; length < whole.length; length++) {
      const result = outcome(whole.subarray(0, length));
      if (!ends.has(length)) expect(result, `cut off after ${length} bytes`).toBe('refused');
    }
  });

  test('every bit turned, and every byte set to 0, 0x7f, 0x80 and 0xff', () => {
    const counts = { read: 0, refused: 0 };
    for (let at = 0; at < whole.length; at++) {
      const byte = whole[at]!;
      const turned = Array.from({ length: 8 }, (_, bit) => byte ^ (1 << bit));
      for (const value of [...turned, 0x00, 0x7f, 0x80, 0xff]) {
        const damaged = whole.slice();
        damaged[at] = value;
        counts[outcome(damaged)]++;
      }
    }
    expect(counts.read + counts.refused).toBe(whole.length * 12);
    expect(counts.refused).toBeGreaterThan(whole.length);
    expect(counts.read).toBeGreaterThan(whole.length);
  });

  test('what the engine takes, this room reads', () => {
    for (let at = 0; at < whole.length; at++) {
      for (let bit = 0; bit < 8; bit++) {
        const damaged = whole.slice();
        damaged[at] = damaged[at]! ^ (1 << bit);
        if (engineAccepts(damaged))
          expect(outcome(damaged), `bit ${bit} of byte ${at}`).toBe('read');
      }
    }
  });
});
