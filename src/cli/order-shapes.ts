/**
 * What a client that asks for a run or a restore may send: the same bounds that its command line holds it to,
 * for whoever writes a client of his own. Names stay names: what they are worth is decided where they are used,
 * with the asking user's rights.
 */
import type { CborValue } from '../cbor/cbor.ts';
import {
  arrayOf,
  boolean,
  integer,
  mapOf,
  mismatch,
  nullable,
  oneOf,
  partOf,
  recordOf,
  type Shape,
  text,
  variantOf,
} from '../cbor/shape.ts';
import type { Preopen } from '../cell/protocol.ts';
import { ON_LIMIT } from '../cell/protocol.ts';
import type { RestoreChanges, RestoreSelector } from '../checkpoint/restore.ts';
import { CONFINE_MODES } from '../confine/confinement.ts';
import { FILE_POLICIES } from '../handle/file-policy.ts';
import type { CellPath } from '../host/cell-command.ts';
import type { ListenRequest } from '../host/listening-socket.ts';
import type { ProviderRequest } from '../host/provider-file.ts';
import type { RunRequest } from '../host/run-request.ts';
import type { KvGrant } from '../kv/kv-grant.ts';
import { FRAMES_MAX, FRAMES_MIN } from '../pool/frame-layout.ts';
import { isPageBytes, PAGES_LIMIT } from '../pool/pool-format.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import { HANDLES_LIMIT } from '../resource/bounds.ts';
import { CLOCK_GRAINS } from '../resource/clock.ts';
import { WASI_LAYERS } from '../wasi/layers.ts';
import type { JobWork, SecretOrder, TriggerOrder } from './job-order.ts';

const PATH_LENGTH_MAX = 4096;
const NAME_LENGTH_MAX = 255;
/** As the system's own limit for arguments and environment together. */
const WORD_LENGTH_MAX = 2 * 1024 * 1024;
const WORDS_MAX = 65_536;
const LIST_LENGTH_MAX = 1024;
const LISTENERS_MAX = 64;
const DURATION_MS_MAX = 0x7fff_ffff;
const MEMORY_PAGES_MAX = 65_536;
const TABLE_ENTRIES_MAX = 10_000_000;
const CARRY_BYTES_MAX = 256 * 1024 * 1024;

function matching(pattern: RegExp, expected: string, lengthMax: number): Shape<string> {
  const any = text(lengthMax);
  return (value) => {
    const found = any(value);
    if (!pattern.test(found)) throw mismatch(expected);
    return found;
  };
}

const word = matching(/^[^\0]*$/, 'text without NUL', WORD_LENGTH_MAX);
const variable = matching(/^[^\0=]+=[^\0]*$/, 'NAME=VALUE', WORD_LENGTH_MAX);
const variableName = matching(/^[^\0=]+$/, 'the name of a variable', NAME_LENGTH_MAX);
const name = matching(/^[A-Za-z0-9._-]{1,64}$/, 'a name', NAME_LENGTH_MAX);
/** The runtime takes a `*` for a pattern. */
const path = matching(/^\/[^\0*]*$/, 'an absolute path without *', PATH_LENGTH_MAX);
const decimal = matching(/^\d{1,19}$/, 'a decimal number', 19);
const duration = nullable(integer(1, DURATION_MS_MAX));

const preopen: Shape<Preopen> = mapOf({
  hostPath: path,
  guestPath: matching(/^[^\0]+$/, 'a path', PATH_LENGTH_MAX),
  readOnly: boolean,
  policy: oneOf(...FILE_POLICIES),
});

const pageBytes: Shape<number> = (value) => {
  if (typeof value === 'number' && isPageBytes(value)) return value;
  throw mismatch('a power of two from 1024 to 65536');
};

const pool: Shape<PoolGrant> = mapOf({
  name,
  hostPath: path,
  pageBytes,
  frames: integer(FRAMES_MIN, FRAMES_MAX),
  pagesMax: integer(1, PAGES_LIMIT),
  readOnly: boolean,
});

const database: Shape<KvGrant> = mapOf({ name, hostPath: path, readOnly: boolean });

const options: Shape<{ readonly [key: string]: string }> = (value: CborValue) =>
  Object.fromEntries(recordOf(word)(value));

const provider: Shape<ProviderRequest> = mapOf({
  file: path,
  export: matching(/^[^\0]+$/, 'a name', NAME_LENGTH_MAX),
  options,
});

const providerPath: Shape<CellPath> = mapOf({ hostPath: path, readOnly: boolean });

const listener: Shape<ListenRequest> = mapOf({
  name: matching(/^[^\0]+$/, 'a name', NAME_LENGTH_MAX),
  host: matching(/^[\w.:-]+$/, 'a host', NAME_LENGTH_MAX),
  port: integer(0, 65_535),
});

const grantFields = {
  preopens: arrayOf(preopen, 0, LIST_LENGTH_MAX),
  pools: arrayOf(pool, 0, LIST_LENGTH_MAX),
  kv: arrayOf(database, 0, LIST_LENGTH_MAX),
  providers: arrayOf(provider, 0, LIST_LENGTH_MAX),
  providerPaths: arrayOf(providerPath, 0, LIST_LENGTH_MAX),
  listen: arrayOf(listener, 0, LISTENERS_MAX),
};

const limitFields = {
  confine: oneOf(...CONFINE_MODES),
  fuel: nullable(decimal),
  memoryPages: integer(0, MEMORY_PAGES_MAX),
  tableEntries: integer(0, TABLE_ENTRIES_MAX),
  carryBytesMax: integer(0, CARRY_BYTES_MAX),
  outputBytes: nullable(integer(0)),
  onLimit: oneOf(...ON_LIMIT),
  handles: integer(0, HANDLES_LIMIT),
  files: integer(0, HANDLES_LIMIT),
  randomCallBytes: integer(0),
  privateBytes: integer(0),
  guestCheckpoints: integer(0),
  clock: oneOf(...CLOCK_GRAINS),
  osr: boolean,
  timeoutMs: duration,
  checkpointEveryMs: duration,
  keepLog: boolean,
  removeAtEnd: boolean,
  restart: boolean,
};

/** Every field but `runAs`, which is the host's. */
const request: Shape<Required<Omit<RunRequest, 'runAs'>>> = mapOf({
  modulePath: path,
  args: arrayOf(word, 0, WORDS_MAX),
  env: arrayOf(variable, 0, WORDS_MAX),
  secrets: arrayOf(variableName, 0, LIST_LENGTH_MAX),
  invoke: nullable(word),
  trapUnknownImports: boolean,
  wasi: oneOf(...WASI_LAYERS),
  ...grantFields,
  ...limitFields,
});

const changes: Shape<RestoreChanges> = partOf({
  secrets: arrayOf(variableName, 0, LIST_LENGTH_MAX),
  ...grantFields,
  ...limitFields,
});

export const jobName = matching(/^[^\0]*$/, 'a name', NAME_LENGTH_MAX);

const instant: Shape<string> = (value) => {
  const found = text(NAME_LENGTH_MAX)(value);
  if (Number.isNaN(Date.parse(found))) throw mismatch('a date and time');
  return found;
};

export const ownerName = matching(/^uid:\d{1,10}$/, 'an owner', NAME_LENGTH_MAX);

const selector: Shape<RestoreSelector> = mapOf(
  {
    job: nullable(jobName),
    id: nullable(matching(/^[0-9a-f]{32}$/, 'an id', 32)),
    at: nullable(instant),
  },
  { owner: ownerName },
);

export const restoreWork: Shape<Extract<JobWork, { kind: 'restore' }>> = mapOf(
  { kind: oneOf('restore'), selector, changes },
  { clone: mapOf({ name: nullable(jobName) }), again: boolean },
);

export const jobWork: Shape<JobWork> = variantOf('kind', {
  run: mapOf({ kind: oneOf('run'), name: nullable(jobName), request }),
  restore: restoreWork,
});

/** In Base64, as a third longer. */
export const secretOrder: Shape<SecretOrder> = mapOf({
  name: variableName,
  value: matching(/^[A-Za-z0-9+/]*={0,2}$/, 'Base64', WORD_LENGTH_MAX),
});

export const triggerOrder: Shape<TriggerOrder> = mapOf({
  on: oneOf('fuel', 'call'),
  at: decimal,
  stop: boolean,
});
