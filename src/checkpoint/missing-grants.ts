/**
 * What a guest holds, as its image's head says, against what today's request gives: everything that is
 * missing, by its name, before anything of the guest runs. The image only says what is needed; it grants
 * nothing. What stands behind a grant (whether it is the same file) is looked at in the cell.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { checkShape, type Shape } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import { handleStatesShape } from '../handle/handle-state.ts';
import { listed } from '../host/allowed-grants.ts';
import { boundsOf, type RunRequest } from '../host/run-request.ts';
import { type ImageHead, PAGE_BYTES } from '../image/image.ts';
import { kvStateShape } from '../kv/kv-state.ts';
import { poolsShape } from '../pool/pin.ts';
import { secretNames, secretsShape } from '../resource/secrets.ts';

const HANDLES_MAX = 65_536;
const WORDS_MAX = 4096;
const MEBIBYTE = 2 ** 20;

interface Missing {
  /** `directory /data for reading and writing`. */
  readonly what: string;
  /** An option that grants it. */
  readonly option: string;
}

/** Throws ERR_RESOURCE_NOT_GRANTED, which lists everything; ERR_MALFORMED_IMAGE. */
export function checkGranted(
  head: ImageHead,
  request: RunRequest,
  secrets: readonly string[],
): void {
  const missing = missingGrants(head, request, secrets);
  if (missing.length === 0) return;
  const shown = missing.map(({ what }) => visibleText(what, WORDS_MAX));
  const options = [...new Set(missing.map(({ option }) => option))];
  throw new HostError(
    'ERR_RESOURCE_NOT_GRANTED',
    missing.length === 1
      ? `The guest needs what is not granted now: ${shown[0]}.`
      : `The guest needs ${missing.length} things that are not granted now.`,
    { facts: listed('missing', shown), hint: `grant it with ${options.join(', ')}` },
  );
}

export function missingGrants(
  head: ImageHead,
  request: RunRequest,
  secrets: readonly string[],
): Missing[] {
  return [
    ...missingDirectories(head, request),
    ...missingListeners(head, request),
    ...missingPools(head, request),
    ...missingDatabases(head, request),
    ...missingSecrets(head, request, secrets),
    ...missingRoom(head, request),
  ];
}

function missingDirectories(head: ImageHead, { preopens }: RunRequest): Missing[] {
  const needed = new Map<string, boolean>();
  for (const { kind, state } of handlesOf(head)) {
    if (kind !== 'file' && kind !== 'directory') continue;
    const writes = kind === 'file' ? state.writable : !state.readOnly;
    needed.set(state.preopen, writes || (needed.get(state.preopen) ?? false));
  }
  return [...needed].flatMap(([name, writes]) => {
    const grant = preopens.find(({ guestPath }) => guestPath === name);
    if (grant !== undefined && (!writes || !grant.readOnly)) return [];
    const access = writes ? 'reading and writing' : 'reading';
    const today = grant === undefined ? '' : ', granted for reading only';
    return [
      {
        what: `directory ${name} for ${access}${today}`,
        option: `--dir${writes ? '' : '-ro'} HOST::GUEST`,
      },
    ];
  });
}

function missingListeners(head: ImageHead, { listen = [] }: RunRequest): Missing[] {
  return handlesOf(head).flatMap((handle) => {
    if (handle.kind !== 'listener') return [];
    const { name } = handle.state;
    if (listen.some((request) => request.name === name)) return [];
    return [{ what: `listener ${name}`, option: `--listen ADDRESS=${name}` }];
  });
}

function missingPools(head: ImageHead, { pools = [] }: RunRequest): Missing[] {
  const states = stateOf(head, 'pools', poolsShape) ?? [];
  return states.flatMap(({ name, pins }) => {
    const grant = pools.find((pool) => pool.name === name);
    const writes = pins.some(({ write }) => write);
    if (grant !== undefined && (!writes || !grant.readOnly)) return [];
    const today = grant === undefined ? '' : ' for writing, granted for reading only';
    return [{ what: `pool ${name}${today}`, option: `--pool ${name}=FILE` }];
  });
}

function missingDatabases(head: ImageHead, { kv = [] }: RunRequest): Missing[] {
  const names = stateOf(head, 'kv', kvStateShape)?.databases.map(({ name }) => name) ?? [];
  return [...new Set(names)]
    .filter((name) => !kv.some((grant) => grant.name === name))
    .map((name) => ({ what: `database ${name}`, option: `--kv ${name}=FILE` }));
}

/** Those that it was given, whether or not it has looked at them. */
function missingSecrets(head: ImageHead, request: RunRequest, given: readonly string[]): Missing[] {
  const state = stateOf(head, 'secrets', secretsShape);
  const held = state === null ? [] : secretNames(state);
  return [...new Set([...(request.secrets ?? []), ...held])]
    .filter((name) => !given.includes(name))
    .map((name) => ({ what: `secret ${name}`, option: `--env-secret ${name}` }));
}

function missingRoom(head: ImageHead, request: RunRequest): Missing[] {
  // The last memory is the other layer's own.
  const memories = request.wasi === 'stasis' ? head.memories : head.memories.slice(0, -1);
  const pages = memories.reduce((sum, { sizePages }) => sum + sizePages, 0);
  const entries = head.tables.reduce((sum, { size }) => sum + size, 0);
  const mebibytes = (count: number): string => `${(count * PAGE_BYTES) / MEBIBYTE} MiB`;
  const missing: Missing[] = [];
  if (pages > request.memoryPages) {
    const what = `${mebibytes(pages)} of memory, granted ${mebibytes(request.memoryPages)}`;
    missing.push({ what, option: '--max-memory SIZE' });
  }
  if (entries > request.tableEntries) {
    const what = `${entries} table entries, granted ${request.tableEntries}`;
    missing.push({ what, option: '--max-table ENTRIES' });
  }
  const { handles } = boundsOf(request);
  const needed = handlesOf(head).reduce((most, { fd }) => Math.max(most, fd + 1), 0);
  if (needed > handles) {
    const what = `handles up to number ${needed - 1}, granted ${handles} handles`;
    missing.push({ what, option: '--max-handles NUMBER' });
  }
  return missing;
}

function handlesOf(head: ImageHead) {
  return shaped(handleStatesShape(HANDLES_MAX), head.handles, 'handles');
}

function stateOf<T>(head: ImageHead, wanted: string, shape: Shape<T>): T | null {
  const provider = head.providers.find(({ kind }) => kind === wanted);
  return provider === undefined ? null : shaped(shape, provider.state, `state of ${wanted}`);
}

function shaped<T>(shape: Shape<T>, value: CborValue, what: string): T {
  return checkShape(shape, value, { what, code: 'ERR_MALFORMED_IMAGE' });
}
