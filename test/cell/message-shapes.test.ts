import { describe, expect, test } from 'vitest';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import { readCellMessage, readHostMessage } from '../../src/cell/message-shapes.ts';
import type { CellMessage, HostMessage } from '../../src/cell/protocol.ts';
import { BOUNDS_DEFAULT } from '../../src/resource/bounds.ts';

const fromHost: readonly HostMessage[] = [
  {
    type: 'start',
    cached: true,
    args: ['nqueens', '8'],
    env: ['A=b'],
    preopens: [
      { hostPath: '/h', guestPath: '/g', readOnly: true },
      { hostPath: '/i', guestPath: '/j', readOnly: false, policy: 'refuse' },
    ],
    kv: [{ name: 'k', hostPath: '/k', readOnly: true }],
    keeping: { directory: '/k', carryBytesMax: 5 },
    providers: [
      { module: '/p.mjs', export: 'default', options: { a: 'b' }, digest: '0'.repeat(64) },
    ],
    pools: [
      {
        name: 'p',
        hostPath: '/p',
        pageBytes: 4096,
        frames: 8,
        pagesMax: 9,
        readOnly: false,
      },
    ],
    limits: {
      fuel: 10n,
      memoryPages: 17,
      tableEntries: 100,
      outputBytes: null,
      onLimit: 'end',
      ...BOUNDS_DEFAULT,
    },
    clock: 'fine',
    invoke: null,
    trapUnknownImports: false,
    wasi: 'stasis',
    osr: true,
    restore: new Uint8Array([1]),
    reason: 'cloned',
    instrumented: '1'.repeat(64),
    secrets: [{ name: 'S', value: new Uint8Array([7]) }],
    triggers: [
      { fuel: 2n ** 60n, stop: false },
      { call: 3n, stop: true },
    ],
    digestMemory: true,
    logFd: 4,
    listeners: [],
    streams: { stdin: { fd: 0, isOwn: false }, stdout: null, stderr: null },
  },
  { type: 'checkpoint', request: 3, stop: true },
  { type: 'sealed', image: 1, failure: null },
];

const fromCell: readonly CellMessage[] = [
  { type: 'instrumented' },
  { type: 'started', providers: [{ kind: 'clock', version: 1 }] },
  {
    type: 'image',
    image: 1,
    cause: 'request',
    request: 2,
    head: new Uint8Array([1, 2]),
    memories: [{ sizePages: 3, present: [[1, 2]] }],
    since: null,
    waits: false,
    stop: false,
    logBytes: 99,
    timing: { reachNs: 1, captureNs: 2 },
  },
  { type: 'refused', cause: 'request', request: 4, why: 'inside a host call that called back' },
  { type: 'ended', ending: { kind: 'exit', code: 7 }, fuel: 1n, calls: 2n, memoryDigest: null },
  {
    type: 'ended',
    ending: { kind: 'trap', message: 'x' },
    fuel: 1n,
    calls: 2n,
    memoryDigest: 'a'.repeat(64),
  },
  {
    type: 'ended',
    ending: {
      kind: 'trap',
      message: 'x',
      stack: {
        frames: [
          { func: 3, name: 'f', offset: 70 },
          { func: 4, name: null, offset: null },
        ],
        more: 5,
        isCut: false,
      },
    },
    fuel: 1n,
    calls: 2n,
    memoryDigest: null,
  },
  {
    type: 'ended',
    ending: { kind: 'limit', limit: 'fuel' },
    fuel: 1n,
    calls: 2n,
    memoryDigest: null,
  },
  { type: 'ended', ending: { kind: 'checkpointed' }, fuel: 1n, calls: 2n, memoryDigest: null },
  { type: 'failed', code: 'ERR_NO_ENTRY', message: 'm', hint: null, facts: { at: 3 } },
];

const carry = (message: HostMessage | CellMessage): CborValue =>
  decodeCbor(encodeCbor(message as unknown as CborValue));

describe('message shapes', () => {
  test.each(fromHost)('host: $type comes back equal', (message) => {
    expect(readHostMessage(carry(message))).toEqual(message);
  });

  test.each(fromCell)('cell: $type comes back equal', (message) => {
    expect(readCellMessage(carry(message))).toEqual(message);
  });

  test.each([...fromHost, ...fromCell])(
    '$type without any one of its fields is refused',
    (message) => {
      const read = fromHost.includes(message as HostMessage) ? readHostMessage : readCellMessage;
      for (const field of Object.keys(message)) {
        const cut = Object.fromEntries(Object.entries(message).filter(([key]) => key !== field));
        expect(() => read(cut as CborValue)).toThrow(
          expect.objectContaining({ code: 'ERR_PROTOCOL' }),
        );
      }
    },
  );

  test.each<[string, CborValue]>([
    ['a number', 5],
    ['an unknown type', { type: 'sesame' }],
    ['a host message from a cell', { type: 'checkpoint', request: 1, stop: false }],
    ['a negative count', { type: 'refused', cause: 'request', request: -1, why: '' }],
    [
      'an endless sentence',
      { type: 'refused', cause: 'request', request: 1, why: 'x'.repeat(65_537) },
    ],
  ])('%s is refused', (_, value) => {
    expect(() => readCellMessage(value)).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }));
  });
});
