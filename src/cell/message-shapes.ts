/**
 * The shapes of `protocol.ts`'s messages, in both directions. A wrong message is ERR_PROTOCOL.
 *
 * Bounds here keep a hostile cell from making the host hold or show what it sends; sizes of byte
 * strings are bounded by the frame they came in.
 */
import type { CborValue } from '../cbor/cbor.ts';
import {
  anyValue,
  arrayOf,
  boolean,
  bytes,
  checkShape,
  integer,
  mapOf,
  mismatch,
  nullable,
  oneOf,
  recordOf,
  type Shape,
  text,
  u64,
  variantOf,
} from '../cbor/shape.ts';
import { CONFINEMENTS } from '../confine/confinement.ts';
import { FILE_POLICIES } from '../handle/file-policy.ts';
import { imageMemory } from '../image/head.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import { CLOCK_GRAINS } from '../resource/clock.ts';
import { LIMITS } from '../resource/limit-reached.ts';
import { PROVIDERS_MAX } from '../resource/registry.ts';
import { SECRET_BYTES_MAX, SECRET_NAME_MAX } from '../resource/secrets.ts';
import { WASI_LAYERS } from '../wasi/layers.ts';
import {
  CAPTURE_CAUSES,
  type CellMessage,
  type Ending,
  type HostMessage,
  ON_LIMIT,
  type Preopen,
  TRAP_FRAMES_MAX,
  type TrapStack,
  type Trigger,
} from './protocol.ts';

const TEXT_LENGTH_MAX = 65_536;
/** As `defineProvider` allows. */
const KIND_LENGTH_MAX = 64;
/** As `functionNames` cuts them. */
const FUNCTION_NAME_MAX = 512;
const U32_MAX = 0xffff_ffff;

const count = integer(0);
const shortText = text(TEXT_LENGTH_MAX);

const digest: Shape<string> = (value) => {
  if (typeof value === 'string' && /^[0-9a-f]{64}$/.test(value)) return value;
  throw mismatch('a digest');
};

const trigger: Shape<Trigger> = (value) => {
  const onFuel = typeof value === 'object' && value !== null && 'fuel' in value;
  return onFuel
    ? mapOf({ fuel: u64, stop: boolean })(value)
    : mapOf({ call: u64, stop: boolean })(value);
};

const directory = { hostPath: text(), guestPath: text(), readOnly: boolean };

const preopen: Shape<Preopen> = (value) => {
  const hasPolicy = typeof value === 'object' && value !== null && 'policy' in value;
  return hasPolicy
    ? mapOf({ ...directory, policy: oneOf(...FILE_POLICIES) })(value)
    : mapOf(directory)(value);
};
const poolGrant: Shape<PoolGrant> = mapOf({
  name: text(),
  hostPath: text(),
  pageBytes: count,
  frames: count,
  pagesMax: count,
  readOnly: boolean,
});
const stream = mapOf({ fd: count, isOwn: boolean });
const ruleset = mapOf({ hostFd: count, holds: arrayOf(oneOf(...CONFINEMENTS)) });
const options: Shape<{ readonly [key: string]: string }> = (value) =>
  Object.fromEntries(recordOf(text())(value));

const hostMessage: Shape<HostMessage> = variantOf('type', {
  confine: mapOf({
    type: oneOf('confine'),
    dataBytes: nullable(count),
    ruleset: nullable(ruleset),
    postFd: nullable(count),
    spentFd: nullable(count),
  }),
  equip: mapOf({
    type: oneOf('equip'),
    dataBytes: nullable(count),
    places: arrayOf(count),
    ruleset: nullable(ruleset),
  }),
  start: mapOf({
    type: oneOf('start'),
    cached: boolean,
    args: arrayOf(text()),
    env: arrayOf(text()),
    secrets: arrayOf(mapOf({ name: text(SECRET_NAME_MAX), value: bytes(0, SECRET_BYTES_MAX) })),
    preopens: arrayOf(preopen),
    keeping: nullable(mapOf({ directory: text(), carryBytesMax: count })),
    pools: arrayOf(poolGrant),
    kv: arrayOf(mapOf({ name: text(), hostPath: text(), readOnly: boolean })),
    providers: arrayOf(mapOf({ module: text(), export: text(), options, digest })),
    limits: mapOf({
      fuel: nullable(u64),
      memoryPages: count,
      tableEntries: count,
      outputBytes: nullable(count),
      onLimit: oneOf(...ON_LIMIT),
      handles: count,
      files: count,
      randomCallBytes: count,
      privateBytes: count,
      checkpoints: count,
    }),
    clock: oneOf(...CLOCK_GRAINS),
    invoke: nullable(text()),
    trapUnknownImports: boolean,
    wasi: oneOf(...WASI_LAYERS),
    osr: boolean,
    restore: nullable(bytes()),
    reason: oneOf('restarted', 'cloned'),
    instrumented: nullable(digest),
    triggers: arrayOf(trigger),
    digestMemory: boolean,
    logFd: nullable(count),
    listeners: arrayOf(mapOf({ name: text(), hostFd: count })),
    streams: mapOf({ stdin: stream, stdout: nullable(stream), stderr: nullable(stream) }),
  }),
  checkpoint: mapOf({ type: oneOf('checkpoint'), request: count, stop: boolean }),
  sealed: mapOf({ type: oneOf('sealed'), image: count, failure: nullable(text()) }),
});

const trapStack: Shape<TrapStack> = mapOf({
  frames: arrayOf(
    mapOf({ func: count, name: nullable(text(FUNCTION_NAME_MAX)), offset: nullable(count) }),
    1,
    TRAP_FRAMES_MAX,
  ),
  more: count,
  isCut: boolean,
});

const ending: Shape<Ending> = variantOf('kind', {
  exit: mapOf({ kind: oneOf('exit'), code: integer(0, U32_MAX) }),
  trap: mapOf({ kind: oneOf('trap'), message: shortText }, { stack: trapStack }),
  limit: mapOf({ kind: oneOf('limit'), limit: oneOf(...LIMITS) }),
  checkpointed: mapOf({ kind: oneOf('checkpointed') }),
});

const facts: Shape<{ readonly [key: string]: CborValue }> = (value) =>
  Object.fromEntries(recordOf(anyValue)(value));

const cellMessage: Shape<CellMessage> = variantOf('type', {
  confined: mapOf({
    type: oneOf('confined'),
    held: arrayOf(oneOf(...CONFINEMENTS)),
    tracksWrites: boolean,
  }),
  equipped: mapOf({ type: oneOf('equipped'), held: arrayOf(oneOf(...CONFINEMENTS)) }),
  instrumented: mapOf({ type: oneOf('instrumented') }),
  started: mapOf({
    type: oneOf('started'),
    providers: arrayOf(
      mapOf({ kind: text(KIND_LENGTH_MAX), version: integer(1) }),
      0,
      PROVIDERS_MAX,
    ),
  }),
  image: mapOf({
    type: oneOf('image'),
    image: count,
    cause: oneOf(...CAPTURE_CAUSES),
    request: count,
    head: bytes(),
    memories: arrayOf(imageMemory),
    since: nullable(count),
    waits: boolean,
    stop: boolean,
    logBytes: count,
    timing: mapOf({ reachNs: count, captureNs: count }),
  }),
  refused: mapOf({
    type: oneOf('refused'),
    cause: oneOf(...CAPTURE_CAUSES),
    request: count,
    why: shortText,
  }),
  ended: mapOf({
    type: oneOf('ended'),
    ending,
    fuel: u64,
    calls: u64,
    memoryDigest: nullable(digest),
  }),
  failed: mapOf({
    type: oneOf('failed'),
    code: shortText,
    message: shortText,
    hint: nullable(shortText),
    facts,
  }),
});

/** A message that came from the host. */
export function readHostMessage(value: CborValue): HostMessage {
  return checkShape(hostMessage, value, { what: 'message of the host', code: 'ERR_PROTOCOL' });
}

/** A message that came from a cell, which is not trusted. */
export function readCellMessage(value: CborValue): CellMessage {
  return checkShape(cellMessage, value, { what: 'message of the cell', code: 'ERR_PROTOCOL' });
}
