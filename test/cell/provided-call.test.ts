import { describe, expect, test } from 'vitest';
import { fromWords, toWords } from '../../src/cell/argument-words.ts';
import { providedCall } from '../../src/cell/provided-call.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import type { GuestFunction } from '../../src/resource/provider.ts';
import { EXTERNREF, F32, F64, I32, I64, V128 } from '../../src/wasm/value-type.ts';

const typeOf = (params: readonly number[], results: readonly number[]) =>
  ({ kind: 'func', params: Uint8Array.from(params), results: Uint8Array.from(results) }) as const;

function callOf(call: unknown, results: readonly number[]) {
  return providedCall({
    what: 'm.f',
    type: typeOf([], results),
    call: call as GuestFunction,
    fail: (error) => {
      throw error;
    },
  });
}

describe('a result', () => {
  test.each<[string, number[], unknown]>([
    ['i32', [I32], -1],
    ['i64', [I64], -1n],
    ['f32', [F32], 0.5],
    ['f64', [F64], Number.NaN],
    ['none', [], undefined],
    ['INTERRUPTED for a number', [I32], INTERRUPTED],
    ['INTERRUPTED for i64', [I64], INTERRUPTED],
    ['INTERRUPTED for none', [], INTERRUPTED],
  ])('%s is handed on', (_, results, value) => {
    expect(callOf(() => value, results)()).toBe(value);
  });

  test.each<[string, number[], unknown]>([
    ['a bigint for i32', [I32], 1n],
    ['a number for i64', [I64], 1],
    ['nothing for i32', [I32], undefined],
    ['text for f64', [F64], '1'],
    ['a boolean for i32', [I32], true],
    ['a promise for nothing', [], Promise.resolve()],
    ['a number for nothing', [], 0],
    ['null for nothing', [], null],
  ])('%s ends the guest', (_, results, value) => {
    expect(() => callOf(() => value, results)()).toThrow(
      expect.objectContaining({ code: 'ERR_PROVIDER' }),
    );
  });
});

describe('what is thrown', () => {
  test('is named, whatever it is', () => {
    for (const [thrown, why] of [
      [new Error('boom'), 'The function m.f failed: boom.'],
      ['text', 'The function m.f failed: text.'],
      [undefined, 'The function m.f failed: undefined.'],
    ] as const) {
      const call = callOf(() => {
        throw thrown;
      }, []);
      expect(call).toThrow(why);
      expect(call).toThrow(HostError);
    }
  });

  test('as the stack is exhausted is the guest’s ending', () => {
    const deep = (): unknown => deep();
    expect(callOf(deep, [])).toThrow(RangeError);
  });
});

test.each<[string, number[], number[]]>([
  ['v128', [V128], []],
  ['externref', [], [EXTERNREF]],
  ['two results', [], [I32, I32]],
])('a guest that wants %s is refused', (_, params, results) => {
  const type = typeOf(params, results);
  const wanted = () =>
    providedCall({
      what: 'm.f',
      type,
      call: () => 0,
      fail: (e) => {
        throw e;
      },
    });
  expect(wanted).toThrow(expect.objectContaining({ code: 'ERR_PROVIDER' }));
});

describe('arguments of a pending call', () => {
  const type = typeOf([I32, I64, F32, F64], []);

  test.each([
    [[1, 2n, 1.5, -0]],
    [[-1, -(2n ** 63n), -0, Number.NaN]],
    [[2 ** 31 - 1, 2n ** 63n - 1n, Number.POSITIVE_INFINITY, 5e-324]],
  ])('number %# are as they were', (args) => {
    const words = toWords(args, type);
    expect(words.map((word) => typeof word)).toEqual(['number', 'bigint', 'number', 'bigint']);
    const again = fromWords(words, type)!;
    expect(again).toHaveLength(4);
    for (const [at, value] of again.entries()) expect(value).toBe(args[at]);
  });

  test.each<[string, (number | bigint)[]]>([
    ['too few', [1, 2n, 3]],
    ['too many', [1, 2n, 3, 4n, 5]],
    ['a wide one for a narrow one', [1n, 2n, 3, 4n]],
    ['a narrow one for a wide one', [1, 2, 3, 4n]],
    ['a fraction', [1.5, 2n, 3, 4n]],
    ['one beyond 32 bits', [2 ** 31, 2n, 3, 4n]],
    ['one beyond 64 bits', [1, 2n ** 63n, 3, 4n]],
  ])('%s: refused', (_, words) => {
    expect(fromWords(words, type)).toBe(null);
  });
});
