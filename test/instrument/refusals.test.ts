/** What can't be carried is refused before it runs: by code, by name, by place. */
import { describe, expect, test } from 'vitest';
import type { ErrorCode } from '../../src/fault/codes.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { engine } from '../../src/wasm/engine.ts';
import { assembleWithWabt } from '../wasm/toolchains.ts';
import { assemble, assembleNewer } from './assemble.ts';

interface Refusal {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly code: ErrorCode;
  readonly says: RegExp;
}

function refusalOf(bytes: Uint8Array<ArrayBuffer>): HostError {
  try {
    instrument(bytes);
  } catch (error) {
    if (error instanceof HostError) return error;
    throw error;
  }
  throw new Error('the module was not refused');
}

const feature = (bytes: Uint8Array<ArrayBuffer>, says: RegExp): Refusal => ({
  bytes,
  code: 'ERR_UNSUPPORTED_FEATURE',
  says,
});

/** A module with these sections, as [id, contents], contents without their size. */
function moduleOf(
  ...sections: readonly (readonly [number, ...number[]])[]
): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(
    ...[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0],
    ...sections.flatMap(([id, ...contents]) => [id, contents.length, ...contents]),
  );
}

/** A module with one function of type [] → [] and this body, locals included. */
const withBody = (...body: number[]): Uint8Array<ArrayBuffer> =>
  moduleOf([1, 1, 0x60, 0, 0], [3, 1, 0], [7, 1, 1, 0x66, 0, 0], [10, 1, body.length, ...body]);

const REFUSALS: Readonly<Record<string, Refusal>> = {
  'legacy exceptions': feature(
    assemble('(module (func) (func try nop catch_all end))'),
    /function 1 uses legacy exceptions \(try at offset \d+\)/,
  ),
  exceptions: feature(
    assembleNewer('(module (tag $t) (func) (func (block $b (try_table (catch_all $b)))))'),
    /function 1 uses exceptions \(try_table at offset \d+\)/,
  ),
  'throwing an exception': feature(
    assembleNewer('(module (tag $t) (func (throw $t)))'),
    /function 0 uses exceptions \(throw at offset \d+\)/,
  ),
  'garbage collection': feature(
    assembleNewer('(module (func (drop (ref.i31 (i32.const 1)))))'),
    /function 0 uses garbage collection \(ref\.i31 at offset \d+\)/,
  ),
  'typed function references': feature(
    assembleNewer('(module (type $t (func)) (func $f (type $t) (call_ref $t (ref.func $f))))'),
    /function 0 uses typed function references \(call_ref at offset \d+\)/,
  ),
  'typed references in a signature': feature(
    assembleNewer('(module (type $t (func)) (func (param (ref null $t))))'),
    /typed function references/,
  ),
  'typed references in a local of a function that loops': feature(
    assembleNewer('(module (type $t (func)) (func (local (ref null $t)) (loop)))'),
    /function 0 uses values of reference types/,
  ),
  'typed references in a select': feature(
    // loop; ref.func 0, ref.func 0, i32.const 0, select (result (ref null 0)), drop
    withBody(
      ...[0, 0x03, 0x40, 0x0b, 0xd2, 0, 0xd2, 0, 0x41, 0],
      ...[0x1c, 1, 0x63, 0, 0x1a, 0x0b],
    ),
    /function 0 uses typed function references/,
  ),
  'a block with results of a type that is not carried': feature(
    // loop; block (result exnref) unreachable end; drop
    withBody(...[0, 0x03, 0x40, 0x0b, 0x02, 0x69, 0x00, 0x0b, 0x1a, 0x0b]),
    /function 0 uses .*reference types beyond funcref and externref/,
  ),
  'an exception reference in a global': feature(
    assembleNewer('(module (global (mut exnref) (ref.null exn)))'),
    /exnref in a global/,
  ),
  'a table of typed references': feature(
    assembleNewer('(module (type $t (func)) (table 1 (ref null $t)))'),
    /typed function references in a table/,
  ),
  'a shared memory': feature(
    assemble('(module (memory 1 2 shared))'),
    /threads \(a shared memory\)/,
  ),
  'an export with our prefix': feature(
    assemble('(module (func (export "stasis:poll")))'),
    /exports a name that begins with stasis:/,
  ),
  ...Object.fromEntries(
    ['(memory 1)', '(table 1 funcref)', '(global i32)', '(tag)'].map((external) => [
      `an imported ${external}`,
      {
        bytes: assemble(`(module (import "env" "thing" ${external}))`),
        code: 'ERR_UNKNOWN_IMPORT' as const,
        says: new RegExp(
          `imports a ${/\w+/.exec(external)![0]} that no WASI host provides: "env\\.thing"`,
        ),
      },
    ]),
  ),
};

describe('refused by name', () => {
  for (const [name, { bytes, code, says }] of Object.entries(REFUSALS)) {
    test(name, () => {
      const refusal = refusalOf(bytes);
      expect(refusal.code).toBe(code);
      expect(refusal.message).toMatch(says);
    });
  }
});

describe('refused as not valid', () => {
  const indicesOfOurs: Readonly<Record<string, string>> = {
    'a call of a function that only the pass adds': '(func (call 1))',
    'a read of our fuel': '(func (drop (global.get 0)))',
    'a write of our fuel': '(func (global.set 0 (i32.const 0)))',
    'an entry of our table': '(func (drop (table.get 0 (i32.const 0))))',
    'a call through our table': '(func (call_indirect 0 (i32.const 0)))',
    'a reference to a function of ours': '(func (drop (ref.func 1)))',
    'our segment':
      '(table 1 funcref) (func (table.init 0 (i32.const 0) (i32.const 0) (i32.const 0)))',
    'operands of the wrong type': '(func (drop (i32.add (i64.const 1) (i32.const 1))))',
    'a value too many': '(func (i32.const 1))',
    'a memory that is not there': '(func (drop (i32.load (i32.const 0))))',
  };

  for (const [name, text] of Object.entries(indicesOfOurs)) {
    test(name, () => {
      const bytes = Uint8Array.from(assembleWithWabt(`(module ${text})`));
      expect(engine.validate(bytes)).toBe(false);
      expect(refusalOf(bytes).code).toMatch(/^ERR_(INVALID|MALFORMED)_MODULE$/);
    });
  }

  test('a type of ours', () => {
    // block (type 2)
    expect(refusalOf(withBody(0, 0x02, 2, 0x0b, 0x0b)).code).toBe('ERR_INVALID_MODULE');
  });

  test('with what the engine says about it', () => {
    const refusal = refusalOf(Uint8Array.from(assembleWithWabt('(module (func (i32.const 1)))')));
    expect(refusal.facts['reason']).toMatch(/expected 0 elements on the stack/);
  });
});

test('a function that grows beyond what the engine takes', () => {
  const branches = '(br_if $l (i32.const 0))'.repeat(500_000);
  const refusal = refusalOf(assemble(`(module (func) (func (loop $l ${branches})))`));
  expect(refusal.code).toBe('ERR_UNSUPPORTED_FEATURE');
  expect(refusal.message).toMatch(/function 1 is too large/);
});

test('a local whose type takes two bytes does not hide calls from the plan', () => {
  // A local of (ref null func), spelled at length, in a function that calls itself for ever.
  const bytes = withBody(1, 1, 0x63, 0x70, 0x10, 0, 0x0b);
  expect(engine.validate(bytes)).toBe(true);
  expect(refusalOf(bytes).message).toMatch(/function 0 uses values of reference types/);
});

test('constructs nested a hundred thousand deep, a safepoint after each, are no refusal', () => {
  const depth = 100_000;
  // block … call 0 … end, in a function that calls itself: each call is a site.
  const body = [
    0,
    ...Array.from({ length: depth }, () => [0x02, 0x40]).flat(),
    ...Array.from({ length: depth }, () => [0x10, 0]).flat(),
    ...Array.from({ length: depth }, () => 0x0b),
    0x0b,
  ];
  const head = [
    [1, 4, 1, 0x60, 0, 0],
    [3, 2, 1, 0],
  ].flat();
  const code = [...leb(body.length), ...body];
  const bytes = Uint8Array.from(
    [[0, 0x61, 0x73, 0x6d, 1, 0, 0, 0], head, [10], leb(code.length + 1), [1], code].flat(),
  );
  expect(engine.validate(bytes)).toBe(true);
  expect(engine.validate(instrument(bytes).bytes)).toBe(true);
});

function leb(value: number): number[] {
  return value < 0x80 ? [value] : [(value & 0x7f) | 0x80, ...leb(value >>> 7)];
}
