/** Whatever never ends by itself comes to a poll again and again: fuel ends it. */
import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { prepare, runTrial } from './trial.ts';

const FUEL = 20_000n;
/** Enough to be as good as endless, were there no polls: 2^60 calls. */
const STEPS = 60;

const ENDLESS: Readonly<Record<string, string>> = {
  br: '(func (export "_start") (loop $l (br $l)))',
  br_if: '(func (export "_start") (loop $l (br_if $l (i32.const 1))))',
  br_table: '(func (export "_start") (loop $l (br_table $l $l (i32.const 0))))',
  'br_table past a block': `(func (export "_start") (local $i i32)
    (loop $l
      (block $b (block $c (br_table $b $c $l (local.get $i))))
      (local.set $i (i32.rem_u (i32.add (local.get $i) (i32.const 1)) (i32.const 5)))
      (br $l)))`,
  'br_table at turns with br': `(func (export "_start") (local $i i32)
    (loop $l
      (local.set $i (i32.xor (local.get $i) (i32.const 1)))
      (br_if $l (local.get $i))
      (br_table $l (local.get $i))))`,
  'an inner loop that ends at once': `(func (export "_start")
    (loop $l (loop $m (block $b (br_if $b (i32.const 1)) (br $m))) (br $l)))`,
  'loops left through each other': `(func (export "_start")
    (loop $a (loop $b (loop $c (br $b)))))`,
  'a loop with a parameter': '(func (export "_start") i32.const 1 loop (param i32) br 0 end)',
  'a loop with a result': '(func (export "_start") (drop (loop $l (result i32) (br $l))))',
  'a loop with a plain call': `(func $plain (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func (export "_start") (local $i i32)
      (loop $l (local.set $i (call $plain (local.get $i))) (br $l)))`,
  'a loop with a call of a function that loops': `(func $loops (loop))
    (func (export "_start") (loop $l (call $loops) (br $l)))`,
  'a loop in a start function': `(func $s (loop $l (br $l))) (start $s) (func (export "_start"))`,
  'a tail call of itself': '(func $f (export "_start") (return_call $f))',
  'tail calls in a ring': `(func $f (export "_start") (return_call $g)) (func $g (return_call $h))
    (func $h (return_call $f))`,
  'tail calls through a table': `(type $t (func)) (table 2 funcref) (elem (i32.const 0) $f $g)
    (func $f (export "_start") (return_call_indirect (type $t) (i32.const 1)))
    (func $g (return_call_indirect (type $t) (i32.const 0)))`,
  'tail calls through a table, behind a loop that ends': `(type $t (func)) (table 1 funcref)
    (elem (i32.const 0) $f)
    (func $f (export "_start") (loop) (return_call_indirect (type $t) (i32.const 0)))`,
  'tail calls at turns, directly and through a table': `(type $t (func)) (table 1 funcref)
    (elem declare func $f)
    (func $f (export "_start")
      (table.set (i32.const 0) (ref.func $f)) (return_call $g))
    (func $g (return_call_indirect (type $t) (i32.const 0)))`,
  'a ring with a loop in one member, on the side': `(func $f (export "_start") (loop) (return_call $g))
    (func $g (return_call $f))`,
  'a ring entered inside a loop and outside': `(func $f (export "_start")
      (loop (if (i32.const 0) (then (call $g)))) (return_call $g))
    (func $g (return_call $f))`,
  'a tree of calls 24 deep': `(func $f (param i32)
      (if (local.get 0)
        (then (call $f (i32.sub (local.get 0) (i32.const 1)))
          (call $f (i32.sub (local.get 0) (i32.const 1))))))
    (func (export "_start") (call $f (i32.const 24)))`,
  'a tree of calls through a table': `(type $t (func (param i32))) (table 1 funcref)
    (elem (i32.const 0) $f)
    (func $f (type $t)
      (if (local.get 0)
        (then (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0))
          (call_indirect (type $t) (i32.sub (local.get 0) (i32.const 1)) (i32.const 0)))))
    (func (export "_start") (call $f (i32.const 24)))`,
  'calls that double at each step': doubling((next) => `(call $f${next})`),
  'calls through a table that double at each step': `(table ${STEPS} funcref)
    (elem (i32.const 0) ${Array.from({ length: STEPS }, (_, step) => `$f${step}`).join(' ')})
    ${doubling((next) => `(call_indirect (type $t) (i32.const ${next}))`)}`,
  'calls that double beneath a cycle through a table': `(table 1 funcref) (elem (i32.const 0) $f0)
    (func $ring (type $t) (if (i32.const 0) (then (call_indirect (type $t) (i32.const 0)))))
    ${doubling((next) => `(call $f${next}) (call $ring)`)}`,
};

/** Functions $f0 to the last one, each of which does something twice about the next; $f0 is the entry. */
function doubling(once: (next: number) => string): string {
  const functions = Array.from({ length: STEPS }, (_, step) => {
    const body = step === STEPS - 1 ? '' : once(step + 1).repeat(2);
    return `(func $f${step} (type $t) ${body})`;
  });
  return `(type $t (func)) (export "_start" (func $f0)) ${functions.join(' ')}`;
}

describe('fuel ends', () => {
  for (const [name, text] of Object.entries(ENDLESS)) {
    test(name, () => {
      const subject = prepare(assemble(`(module ${text})`));
      const { ending } = runTrial(subject, { fuelLimit: FUEL });
      expect(ending.ends).toStrictEqual(['limit fuel']);
      expect(ending.fuel).toBeGreaterThan(FUEL);
    });
  }
});
