/** What is fuzzed: a reader of something hostile, what it may be fed to begin with, and what it may answer. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { decodeCbor } from '../../src/cbor/decode.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import { FrameReader, frameMessage } from '../../src/cell/framing.ts';
import { readCellMessage, readHostMessage } from '../../src/cell/message-shapes.ts';
import { ASK_LIMITS, readAsk } from '../../src/cli/door-protocol.ts';
import { parsePolicy } from '../../src/host/policy-shape.ts';
import { decodeImageHead, encodeImageHead } from '../../src/image/head.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { engine } from '../../src/wasm/engine.ts';
import { type Random, randomValue, seededRandom } from '../cbor/random-value.ts';
import { EXAMPLE_HEAD } from '../image/example-head.ts';
import { mutateCbor } from './cbor-mutation.ts';
import { mutateBytes } from './mutation.ts';
import { mutateModule } from './wasm-mutation.ts';

export interface FuzzTarget {
  seeds(): readonly Uint8Array[];
  mutate(random: Random, seed: Uint8Array, seeds: readonly Uint8Array[]): Uint8Array;
  /** Throws a HostError of one of `codes` to refuse; anything else that it throws is a find. */
  read(input: Uint8Array): void;
  readonly codes: readonly string[];
  /** What one input may allocate in buffers. */
  readonly bytesMax: number;
}

const MB = 2 ** 20;

const cborSeeds = (): readonly Uint8Array[] => {
  const random = seededRandom(1);
  return Array.from({ length: 40 }, () => encodeCbor([randomValue(random), randomValue(random)]));
};

const cbor: FuzzTarget = {
  seeds: cborSeeds,
  mutate: mutateCbor,
  read: (input) => {
    // What is taken is taken as the one value that these bytes encode.
    if (Buffer.compare(encodeCbor(decodeCbor(input)), input) !== 0) {
      throw new Error('read as a value with another encoding');
    }
  },
  codes: ['ERR_MALFORMED_CBOR'],
  bytesMax: 64 * MB,
};

const image: FuzzTarget = {
  seeds: () => [encodeImageHead(EXAMPLE_HEAD)],
  mutate: mutateCbor,
  read: (input) => {
    if (Buffer.compare(encodeImageHead(decodeImageHead(input)), input) !== 0) {
      throw new Error('read as a head with another encoding');
    }
  },
  codes: ['ERR_MALFORMED_IMAGE', 'ERR_MALFORMED_CBOR'],
  bytesMax: 64 * MB,
};

const WASM_SEEDS = [
  'table-segments',
  'block-parameters',
  'globals-and-start',
  'multi-value',
  'tail-calls',
  'simd',
  'changed-table',
];

const wasm: FuzzTarget = {
  seeds: () =>
    WASM_SEEDS.map((name) =>
      readFileSync(join(import.meta.dirname, '../../guests/build', `${name}.wasm`)),
    ),
  mutate: mutateModule,
  read: (input) => {
    const { bytes } = instrument(input);
    if (!engine.validate(bytes)) throw new Error('a valid module became an invalid one');
  },
  codes: [
    'ERR_NOT_WASM',
    'ERR_COMPONENT',
    'ERR_MALFORMED_MODULE',
    'ERR_INVALID_MODULE',
    'ERR_UNSUPPORTED_FEATURE',
    'ERR_UNKNOWN_IMPORT',
  ],
  bytesMax: 256 * MB,
};

/** As a host has them, but for what a guest's memory needs. */
const FRAME_LIMITS = { cborBytesMax: 64 * MB, attachmentsMax: 4, attachmentBytesMax: 16 * MB };

const stream = (...parts: readonly (readonly Uint8Array[])[]): Uint8Array =>
  Uint8Array.from(Buffer.concat(parts.flat()));

const cellStream: FuzzTarget = {
  seeds: () => [
    stream(
      frameMessage({ type: 'started', providers: [{ kind: 'clock', version: 1 }] }),
      frameMessage(
        {
          type: 'image',
          image: 1,
          cause: 'request',
          request: 2,
          head: Uint8Array.of(1, 2),
          memories: [{ sizePages: 3, present: [[1, 2]] }],
          since: null,
          waits: false,
          stop: false,
          logBytes: 99,
          timing: { reachNs: 1, captureNs: 2 },
        },
        [new Uint8Array(100)],
      ),
    ),
    stream(
      frameMessage({
        type: 'refused',
        cause: 'request',
        request: 4,
        why: 'inside a host call that called back',
      }),
      frameMessage({
        type: 'ended',
        ending: { kind: 'exit', code: 7 },
        fuel: 1n,
        calls: 2n,
        memoryDigest: null,
      }),
    ),
    stream(
      frameMessage({
        type: 'failed',
        code: 'ERR_NO_ENTRY',
        message: 'm',
        hint: null,
        facts: { at: 3 },
      }),
    ),
  ],
  mutate: mutateBytes,
  read: (input) => {
    const reader = new FrameReader(FRAME_LIMITS);
    // As it comes: in pieces of any size.
    const piece = 1 + (input.length % 97);
    for (let at = 0; at < input.length; at += piece) {
      for (const { message } of reader.push(input.subarray(at, at + piece)))
        readCellMessage(message);
    }
  },
  codes: ['ERR_PROTOCOL', 'ERR_MALFORMED_CBOR'],
  bytesMax: 256 * MB,
};

const messages: FuzzTarget = {
  seeds: () => [
    encodeCbor({ type: 'checkpoint', request: 3, stop: true }),
    encodeCbor({ type: 'sealed', image: 1, failure: null }),
    encodeCbor({ type: 'started', providers: [{ kind: 'clock', version: 1 }] }),
    encodeCbor({ type: 'refused', cause: 'request', request: 4, why: 'w' }),
  ],
  mutate: mutateCbor,
  read: (input) => {
    const value = decodeCbor(input);
    try {
      readCellMessage(value);
    } catch {
      readHostMessage(value);
    }
  },
  codes: ['ERR_PROTOCOL', 'ERR_MALFORMED_CBOR'],
  bytesMax: 64 * MB,
};

/** Of a frame without attachments. */
const FRAME_PREFIX_BYTES = 8;
const ID = '0'.repeat(32);
const GRANTS = {
  preopens: [],
  pools: [],
  kv: [],
  providers: [],
  providerPaths: [],
  listen: [{ name: 'l', host: '127.0.0.1', port: 0 }],
};
const ASKS: readonly CborValue[] = [
  { ask: 'jobs' },
  { ask: 'logs', job: 'j', follow: true },
  { ask: 'checkpoints', job: null, owner: 'uid:1000' },
  { ask: 'grant', operator: 'uid:1000', revoke: false },
  { ask: 'forget', ids: [ID] },
  { ask: 'audit', job: 'j', event: null, since: '2026-11-23T12:00:00.000Z' },
  { ask: 'kill', job: 'j', signal: 'SIGTERM' },
  {
    ask: 'tryRestore',
    work: {
      kind: 'restore',
      selector: { job: 'j', id: ID, at: null },
      changes: { ...GRANTS, secrets: ['S'] },
      clone: { name: null },
    },
    secrets: [{ name: 'S', value: 'AAAA' }],
  },
];

/** What a client sends to a daemon after its greeting. */
const door: FuzzTarget = {
  seeds: () => ASKS.map((ask) => stream(frameMessage(ask))),
  mutate: (random, seed, seeds) => {
    if (random() < 0.2) return mutateBytes(random, seed, seeds);
    const framed = (cbor: Uint8Array): Uint8Array => {
      const prefix = new Uint8Array(FRAME_PREFIX_BYTES);
      new DataView(prefix.buffer).setUint32(0, cbor.length, true);
      return Uint8Array.from(Buffer.concat([prefix, cbor]));
    };
    const inside = seeds.map((other) => other.subarray(FRAME_PREFIX_BYTES));
    return framed(mutateCbor(random, seed.subarray(FRAME_PREFIX_BYTES), inside));
  },
  read: (input) => {
    for (const { message } of new FrameReader(ASK_LIMITS).push(input)) {
      const ask = readAsk(message);
      // Whose rights a job has is never a client's to say.
      if (JSON.stringify(ask, plain).includes('"runAs"'))
        throw new Error('a client said who it is');
    }
  },
  codes: ['ERR_PROTOCOL', 'ERR_MALFORMED_CBOR'],
  bytesMax: 256 * MB,
};

function plain(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

const POLICY = {
  version: 1,
  defaults: {
    caps: { jobs: 3, vaultBytes: 1_000_000 },
    grants: { dirs: [{ path: '/srv', access: 'ro' }] },
  },
  owners: { 'uid:1000': { grants: { listen: ['127.0.0.1:*'], env: ['HOME'], stdin: true } } },
};

const policy: FuzzTarget = {
  seeds: () => [Buffer.from(JSON.stringify(POLICY)), Buffer.from('{"version":1}')],
  mutate: mutateBytes,
  read: (input) => {
    let value: unknown;
    try {
      value = JSON.parse(Buffer.from(input).toString());
    } catch {
      return;
    }
    parsePolicy(value);
  },
  codes: [],
  bytesMax: 64 * MB,
};

export const TARGETS = { cbor, image, wasm, cellStream, messages, door, policy } as const;
export type TargetName = keyof typeof TARGETS;
