import { describe, expect, test } from 'vitest';
import type { CborValue } from '../../src/cbor/cbor.ts';
import {
  anyValue,
  arrayOf,
  boolean,
  bytes,
  checkShape,
  integer,
  mapOf,
  nullable,
  number,
  oneOf,
  recordOf,
  type Shape,
  text,
  tupleOf,
  variantOf,
  wideInteger,
} from '../../src/cbor/shape.ts';

const run = mapOf({ first: integer(0, 9), words: bytes(0, 4) });
const message = variantOf('type', {
  open: mapOf({ type: oneOf('open'), path: text(8) }),
  close: mapOf({ type: oneOf('close'), all: boolean }),
});

describe('accepted', () => {
  const cases: readonly (readonly [string, Shape<unknown>, CborValue, unknown])[] = [
    ['integer at its end', integer(-1, 9), 9, 9],
    ['number', number, 0.5, 0.5],
    ['wide integer from a number', wideInteger(0n, 2n ** 64n - 1n), 7, 7n],
    ['wide integer', wideInteger(0n, 2n ** 64n - 1n), 2n ** 63n, 2n ** 63n],
    ['null', nullable(boolean), null, null],
    ['tuple', tupleOf(integer(0), boolean), [1, true], [1, true]],
    ['map', run, { words: Uint8Array.of(1), first: 3 }, { first: 3, words: Uint8Array.of(1) }],
    ['variant', message, { type: 'close', all: true }, { type: 'close', all: true }],
    ['record', recordOf(integer(0)), { toString: 1 }, new Map([['toString', 1]])],
    ['anything', anyValue, [null], [null]],
  ];
  test.each(cases)('%s', (_name, shape, value, expected) => {
    expect(checkShape(shape, value, { what: 'test value' })).toStrictEqual(expected);
  });
});

describe('refused, with the path and without the content', () => {
  const nested = mapOf({ runs: arrayOf(run, 1, 2) });
  const cases: readonly (readonly [string, Shape<unknown>, CborValue, string])[] = [
    ['not a map', nested, [], 'the whole'],
    ['bytes are no map', nested, new Uint8Array(2), 'the whole'],
    ['missing field', nested, {}, 'the whole'],
    ['field of the prototype', mapOf({ toString: anyValue }), {}, 'the whole'],
    ['unknown field', nested, { runs: [], hunter2: 1 }, 'runs'],
    ['too few elements', nested, { runs: [] }, 'runs'],
    [
      'a field too many',
      nested,
      { runs: [{ first: 1, words: new Uint8Array(), hunter2: 0 }] },
      'runs[0]',
    ],
    ['too large', nested, { runs: [{ first: 10, words: new Uint8Array() }] }, 'runs[0].first'],
    ['not whole', nested, { runs: [{ first: 1.5, words: new Uint8Array() }] }, 'runs[0].first'],
    ['minus zero', nested, { runs: [{ first: -0, words: new Uint8Array() }] }, 'runs[0].first'],
    ['too long', nested, { runs: [{ first: 1, words: new Uint8Array(5) }] }, 'runs[0].words'],
    ['text for bytes', nested, { runs: [{ first: 1, words: 'hunter2' }] }, 'runs[0].words'],
    ['unknown variant', message, { type: 'hunter2' }, 'the whole'],
    ['variant named by the prototype', message, { type: 'constructor' }, 'the whole'],
    ['text too long', message, { type: 'open', path: 'hunter2 hunter2' }, 'path'],
    ['tuple too long', tupleOf(boolean), [true, true], 'the whole'],
    ['wide integer from a float', wideInteger(0n, 9n), 0.5, 'the whole'],
    ['a value of a record', recordOf(boolean), { hunter2: 1 }, '[0]'],
    ['not one of them', oneOf(1, 2), 3, 'the whole'],
  ];
  test.each(cases)('%s', (_name, shape, value, path) => {
    try {
      checkShape(shape, value, { what: 'test value', code: 'ERR_MALFORMED_IMAGE' });
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MALFORMED_IMAGE', facts: { path } });
      expect(String(error)).not.toContain('hunter2');
    }
  });
});

test("an error that isn't a mismatch passes through", () => {
  const broken: Shape<never> = () => {
    throw new TypeError('ours');
  };
  expect(() => checkShape(arrayOf(broken), [1], { what: 'test value' })).toThrow(TypeError);
});
