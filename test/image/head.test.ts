import { isDeepStrictEqual } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import { decodeImageHead, encodeImageHead, presentPageCount } from '../../src/image/head.ts';
import { EXAMPLE_HEAD } from './example-head.ts';

const GOLDEN = [
  'a865737461636ba2666672616d657382a46466756e6303647265667382f60764736974650165776f',
  '7264734801000000ffffffffa46466756e6319012c64726566738064736974650065776f72647340',
  '6770656e64696e67a4646172677384821820208218201affffffff821840058218403b7fffffffff',
  'ffffff646e616d656766645f72656164666d6f64756c6576776173695f736e617073686f745f7072',
  '6576696577316870726f6772657373a164646f6e6582010266666f726d617402667461626c657382',
  'a26473697a650367656e747269657383f60102a26473697a651a0098968067656e7472696573f667',
  '676c6f62616c73a26472656673810265776f72647344000001006768616e646c657382a1646b696e',
  '6465737464696ef668636f756e74657273a2646675656c1b00000002dfdc1c356563616c6c73182a',
  '686d656d6f7269657382a26770726573656e74838200028203018210016973697a65506167657311',
  'a26770726573656e74806973697a655061676573006970726f76696465727381a3646b696e646563',
  '6c6f636b657374617465a1686f66667365744e73246776657273696f6e01',
].join('');

/** The same, as the first format had it: images of it have no provider of secrets. */
const FORMAT_1 = GOLDEN.replace('66666f726d617402', '66666f726d617401');

test('the example has the bytes that format 2 has always given it', () => {
  expect(Buffer.from(encodeImageHead(EXAMPLE_HEAD)).toString('hex')).toBe(GOLDEN);
});

test('the golden head reads as the example', () => {
  expect(isDeepStrictEqual(decodeImageHead(Buffer.from(GOLDEN, 'hex')), EXAMPLE_HEAD)).toBe(true);
});

test('a head of format 1 is refused with the reason', () => {
  expect(FORMAT_1).not.toBe(GOLDEN);
  expect(() => decodeImageHead(Buffer.from(FORMAT_1, 'hex'))).toThrow('format is not one of 2');
});

test('present pages are counted over all memories', () => {
  expect(presentPageCount(EXAMPLE_HEAD)).toBe(4);
});

test('narrow and wide arguments keep their types', () => {
  const head = decodeImageHead(encodeImageHead(EXAMPLE_HEAD));
  expect(head.stack.pending?.args).toStrictEqual([-1, 0xffff_ffff, 5n, -(2n ** 63n)]);
});

test('every truncation and every flipped bit is refused or reads as a consistent head', () => {
  const bytes = encodeImageHead(EXAMPLE_HEAD);
  for (let length = 0; length < bytes.length; length++) {
    expect(() => decodeImageHead(bytes.subarray(0, length))).toThrow(MALFORMED);
  }
  let refused = 0;
  for (let bit = 0; bit < bytes.length * 8; bit++) {
    const changed = bytes.slice();
    changed[bit >> 3]! ^= 1 << (bit & 7);
    try {
      expect(Buffer.compare(encodeImageHead(decodeImageHead(changed)), changed)).toBe(0);
    } catch (error) {
      expect(error).toEqual(MALFORMED);
      refused++;
    }
  }
  expect(refused).toBeGreaterThan(bytes.length);
});

describe('a head at odds with itself is refused, and the refusal names the field', () => {
  const cases: readonly (readonly [string, string, CborValue, string])[] = [
    ['another format', 'format', 3, 'format'],
    ['half a word', 'globals.words', new Uint8Array(6), 'globals.words'],
    ['half a word in a frame', 'stack.frames.0.words', new Uint8Array(1), 'stack.frames[0].words'],
    ['a negative function', 'stack.frames.0.func', -1, 'stack.frames[0].func'],
    ['a reference of 2^32', 'stack.frames.0.refs', [2 ** 32], 'stack.frames[0].refs[0]'],
    ['an argument without width', 'stack.pending.args', [5], 'stack.pending.args[0]'],
    ['an argument of 16 bits', 'stack.pending.args', [[16, 5]], 'stack.pending.args[0]'],
    [
      'a wide value as a narrow argument',
      'stack.pending.args',
      [[32, 2 ** 32]],
      'stack.pending.args[0]',
    ],
    [
      'runs out of order',
      'memories.0.present',
      [
        [3, 1],
        [0, 2],
      ],
      'memories[0]',
    ],
    [
      'runs that overlap',
      'memories.0.present',
      [
        [0, 2],
        [1, 2],
      ],
      'memories[0]',
    ],
    [
      'runs that touch',
      'memories.0.present',
      [
        [0, 2],
        [2, 1],
      ],
      'memories[0]',
    ],
    ['an empty run', 'memories.0.present', [[0, 0]], 'memories[0]'],
    ['a run past the end', 'memories.0.present', [[16, 2]], 'memories[0]'],
    ['a run of 2^31 pages', 'memories.0.present', [[2 ** 31, 2 ** 31]], 'memories[0]'],
    ['a table without its entries', 'tables.0.entries', [], 'tables[0]'],
    ['negative fuel', 'counters.fuel', -1, 'counters.fuel'],
    ['handles that are no list', 'handles', {}, 'handles'],
    ['a provider without version', 'providers', [{ kind: 'x', state: null }], 'providers[0]'],
    ['a field of a later format', 'later', 1, 'the whole'],
  ];
  test.each(cases)('%s', (_name, where, value, path) => {
    const head = decodeCbor(encodeImageHead(EXAMPLE_HEAD)) as Record<string, CborValue>;
    const steps = where.split('.');
    let target = head;
    for (const step of steps.slice(0, -1)) target = target[step] as Record<string, CborValue>;
    target[steps.at(-1)!] = value;
    try {
      decodeImageHead(encodeCbor(head));
      expect.unreachable();
    } catch (error) {
      expect(error).toMatchObject({ code: 'ERR_MALFORMED_IMAGE', facts: { path } });
    }
  });
});

test('hostile CBOR is refused as a malformed image', () => {
  expect(() => decodeImageHead(Buffer.alloc(100_000, 0x81))).toThrow(MALFORMED);
});

const MALFORMED = expect.objectContaining({ code: 'ERR_MALFORMED_IMAGE', name: 'HostError' });
