/**
 * Turns decoded values into the messages of `protocol.ts`, or refuses them.
 *
 * Small integers come out of CBOR as numbers, whatever they were before; fields that may be large are
 * bigints here always. An error names the field, never its content.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { HostError } from '../fault/host-error.ts';
import type {
  CellMessage,
  Ending,
  HostMessage,
  ImageMessage,
  Limits,
  Preopen,
  StartMessage,
  Trigger,
} from './protocol.ts';

type Fields = { readonly [key: string]: CborValue };

const LIMIT_NAMES = ['fuel', 'memory', 'table'] as const;
const CAUSES = ['request', 'guest', 'trigger'] as const;
const TEXT_LENGTH_MAX = 65_536;

function wrong(path: string, expected: string): never {
  throw new HostError(
    'ERR_PROTOCOL',
    `A message between host and cell is wrong: ${path} is not ${expected}.`,
  );
}

function map(value: CborValue | undefined, path: string): Fields {
  if (typeof value !== 'object' || value === null) return wrong(path, 'a map');
  if (Array.isArray(value) || value instanceof Uint8Array) return wrong(path, 'a map');
  return value as Fields;
}

function list(value: CborValue | undefined, path: string): readonly CborValue[] {
  return Array.isArray(value) ? value : wrong(path, 'a list');
}

function text(value: CborValue | undefined, path: string): string {
  return typeof value === 'string' ? value : wrong(path, 'text');
}

/** Text that the cell chose: bounded, so that it can be shown and kept. */
function shortText(value: CborValue | undefined, path: string): string {
  return text(value, path).slice(0, TEXT_LENGTH_MAX);
}

function bytes(value: CborValue | undefined, path: string): Uint8Array {
  return value instanceof Uint8Array ? value : wrong(path, 'bytes');
}

function flag(value: CborValue | undefined, path: string): boolean {
  return typeof value === 'boolean' ? value : wrong(path, 'true or false');
}

function count(value: CborValue | undefined, path: string): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0
    ? value
    : wrong(path, 'a count');
}

function wide(value: CborValue | undefined, path: string): bigint {
  if (typeof value === 'bigint' && value >= 0n) return value;
  return BigInt(count(value, path));
}

function oneOf<const T extends string>(
  value: CborValue | undefined,
  names: readonly T[],
  path: string,
): T {
  return names.find((name) => name === value) ?? wrong(path, `one of ${names.join(', ')}`);
}

function orNull<T>(
  value: CborValue | undefined,
  path: string,
  read: (value: CborValue | undefined, path: string) => T,
): T | null {
  return value === null ? null : read(value, path);
}

function preopen(value: CborValue, path: string): Preopen {
  const fields = map(value, path);
  return {
    hostPath: text(fields['hostPath'], `${path}.hostPath`),
    guestPath: text(fields['guestPath'], `${path}.guestPath`),
    readOnly: flag(fields['readOnly'], `${path}.readOnly`),
  };
}

function trigger(value: CborValue, path: string): Trigger {
  const fields = map(value, path);
  const stop = flag(fields['stop'], `${path}.stop`);
  return fields['fuel'] === undefined
    ? { call: wide(fields['call'], `${path}.call`), stop }
    : { fuel: wide(fields['fuel'], `${path}.fuel`), stop };
}

function limits(value: CborValue | undefined, path: string): Limits {
  const fields = map(value, path);
  return {
    fuel: orNull(fields['fuel'], `${path}.fuel`, wide),
    memoryPages: count(fields['memoryPages'], `${path}.memoryPages`),
    tableEntries: count(fields['tableEntries'], `${path}.tableEntries`),
  };
}

function start(fields: Fields): StartMessage {
  return {
    type: 'start',
    cached: flag(fields['cached'], 'start.cached'),
    args: list(fields['args'], 'start.args').map((item) => text(item, 'start.args')),
    env: list(fields['env'], 'start.env').map((item) => text(item, 'start.env')),
    preopens: list(fields['preopens'], 'start.preopens').map((item) =>
      preopen(item, 'start.preopens'),
    ),
    limits: limits(fields['limits'], 'start.limits'),
    invoke: orNull(fields['invoke'], 'start.invoke', text),
    trapUnknownImports: flag(fields['trapUnknownImports'], 'start.trapUnknownImports'),
    restore: orNull(fields['restore'], 'start.restore', bytes),
    triggers: list(fields['triggers'], 'start.triggers').map((item) =>
      trigger(item, 'start.triggers'),
    ),
    digestMemory: flag(fields['digestMemory'], 'start.digestMemory'),
    logFd: orNull(fields['logFd'], 'start.logFd', count),
    inheritOutput: flag(fields['inheritOutput'], 'start.inheritOutput'),
  };
}

/** A message that came from the host. Throws ERR_PROTOCOL. */
export function readHostMessage(value: CborValue): HostMessage {
  const fields = map(value, 'message');
  switch (fields['type']) {
    case 'start':
      return start(fields);
    case 'checkpoint':
      return {
        type: 'checkpoint',
        request: count(fields['request'], 'checkpoint.request'),
        stop: flag(fields['stop'], 'checkpoint.stop'),
      };
    case 'sealed':
      return {
        type: 'sealed',
        image: count(fields['image'], 'sealed.image'),
        failure: orNull(fields['failure'], 'sealed.failure', text),
      };
    default:
      return wrong('message.type', 'known');
  }
}

function image(fields: Fields): ImageMessage {
  const timing = map(fields['timing'], 'image.timing');
  return {
    type: 'image',
    image: count(fields['image'], 'image.image'),
    cause: oneOf(fields['cause'], CAUSES, 'image.cause'),
    request: count(fields['request'], 'image.request'),
    head: bytes(fields['head'], 'image.head'),
    waits: flag(fields['waits'], 'image.waits'),
    stop: flag(fields['stop'], 'image.stop'),
    logBytes: count(fields['logBytes'], 'image.logBytes'),
    timing: {
      reachNs: count(timing['reachNs'], 'image.timing.reachNs'),
      captureNs: count(timing['captureNs'], 'image.timing.captureNs'),
    },
  };
}

function ending(value: CborValue | undefined): Ending {
  const fields = map(value, 'ended.ending');
  switch (fields['kind']) {
    case 'exit': {
      const code = count(fields['code'], 'ended.ending.code');
      return code <= 0xffff_ffff ? { kind: 'exit', code } : wrong('ended.ending.code', 'a u32');
    }
    case 'trap':
      return { kind: 'trap', message: shortText(fields['message'], 'ended.ending.message') };
    case 'limit':
      return { kind: 'limit', limit: oneOf(fields['limit'], LIMIT_NAMES, 'ended.ending.limit') };
    case 'checkpointed':
      return { kind: 'checkpointed' };
    default:
      return wrong('ended.ending.kind', 'known');
  }
}

function digest(value: CborValue | undefined, path: string): string {
  const hex = text(value, path);
  return /^[0-9a-f]{64}$/.test(hex) ? hex : wrong(path, 'a digest');
}

/** A message that came from a cell, which is not trusted. Throws ERR_PROTOCOL. */
export function readCellMessage(value: CborValue): CellMessage {
  const fields = map(value, 'message');
  switch (fields['type']) {
    case 'instrumented':
      return { type: 'instrumented' };
    case 'started':
      return { type: 'started' };
    case 'image':
      return image(fields);
    case 'refused':
      return {
        type: 'refused',
        request: count(fields['request'], 'refused.request'),
        why: shortText(fields['why'], 'refused.why'),
      };
    case 'ended':
      return {
        type: 'ended',
        ending: ending(fields['ending']),
        fuel: wide(fields['fuel'], 'ended.fuel'),
        calls: wide(fields['calls'], 'ended.calls'),
        memoryDigest: orNull(fields['memoryDigest'], 'ended.memoryDigest', digest),
      };
    case 'failed':
      return {
        type: 'failed',
        code: shortText(fields['code'], 'failed.code'),
        message: shortText(fields['message'], 'failed.message'),
        hint: orNull(fields['hint'], 'failed.hint', shortText),
        facts: map(fields['facts'], 'failed.facts'),
      };
    default:
      return wrong('message.type', 'known');
  }
}
