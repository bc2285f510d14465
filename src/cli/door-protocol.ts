/**
 * What a client says to a host of several users over its socket, and what it is told.
 *
 * A unix socket of the stream kind. The client begins with a *greeting* of 8 bytes, in one message of its own;
 * descriptors go with it (`../native/descriptors.ts`): its standard input, output and errors if a guest is to
 * have them, none otherwise.
 *
 *   offset  size  what
 *   0       4     "STDR"
 *   4       2     u16 little-endian: PROTOCOL
 *   6       2     zero
 *
 * Then messages as `../cell/framing.ts` lays them, without attachments: from the client one `DoorAsk` and, while
 * a guest runs for it, any number of `signal`s; from the host any number of `DoorTell`s, of which `done` and
 * `failed` are the last. What is told of jobs and checkpoints is JSON text within: plain data that only a client
 * reads, which believes its host.
 *
 * Invariants:
 * 1. Who asks is what the kernel says of the connection. No message has a field for it. (An `owner` says whose
 *    checkpoints are meant; whether the asking user may, that owner has decided.)
 * 2. A name in a message (of a file, directory, address) is worth what the asking user could do with it.
 * 3. Nothing that a client sends is used before its size and its shape were checked; what is refused ends that
 *    connection and nothing else.
 * 4. A client that closes has hung up: a guest that has its streams is ended by SIGHUP, as by a terminal.
 */
import type { CborValue } from '../cbor/cbor.ts';
import {
  arrayOf,
  boolean,
  bytes,
  checkShape,
  mapOf,
  mismatch,
  nullable,
  oneOf,
  type Shape,
  type ShapeOf,
  text,
  u64,
  variantOf,
} from '../cbor/shape.ts';
import { type FrameLimits, frameMessage } from '../cell/framing.ts';
import type { HostError } from '../fault/host-error.ts';
import {
  jobName,
  jobWork,
  ownerName,
  restoreWork,
  secretOrder,
  triggerOrder,
} from './order-shapes.ts';
import { errorObject } from './report-error.ts';

export const PROTOCOL = 1;

export const GREETING_BYTES = 8;
/** Standard input, output and errors. */
export const GREETING_FDS = 3;

export function greeting(): Uint8Array {
  const sent = new Uint8Array(GREETING_BYTES);
  sent.set(Buffer.from('STDR', 'latin1'));
  new DataView(sent.buffer).setUint16(4, PROTOCOL, true);
  return sent;
}

/** Arguments and environment of a guest, and what CBOR adds to them. */
export const ASK_LIMITS: FrameLimits = {
  cborBytesMax: 8 * 2 ** 20,
  attachmentsMax: 0,
  attachmentBytesMax: 0,
};

export const TELL_LIMITS: FrameLimits = { ...ASK_LIMITS, cborBytesMax: 2 ** 28 };

const SECRETS_MAX = 1024;
const FORGOTTEN_MAX = 100_000;
const EVENT_LENGTH_MAX = 64;

const signal: Shape<string> = (value) => {
  if (typeof value === 'string' && /^SIG(HUP|INT|QUIT|KILL|TERM|ABRT)$/.test(value)) return value;
  throw mismatch('a signal that ends a job');
};

const checkpointId: Shape<string> = (value) => {
  if (typeof value === 'string' && /^[0-9a-f]{32}$/.test(value)) return value;
  throw mismatch('the id of a checkpoint');
};

const stamp: Shape<string> = (value) => {
  if (typeof value === 'string' && value.length <= 32 && !Number.isNaN(Date.parse(value))) {
    return value;
  }
  throw mismatch('a date-time stamp');
};

const doorAsk = variantOf('ask', {
  jobs: mapOf({ ask: oneOf('jobs') }),
  logs: mapOf({ ask: oneOf('logs'), job: jobName, follow: boolean }),
  checkpoint: mapOf({ ask: oneOf('checkpoint'), job: jobName, stop: boolean }),
  checkpoints: mapOf({ ask: oneOf('checkpoints'), job: nullable(jobName) }, { owner: ownerName }),
  grant: mapOf({ ask: oneOf('grant'), operator: ownerName, revoke: boolean }),
  operators: mapOf({ ask: oneOf('operators') }),
  forget: mapOf({ ask: oneOf('forget'), ids: arrayOf(checkpointId, 1, FORGOTTEN_MAX) }),
  audit: mapOf({
    ask: oneOf('audit'),
    job: nullable(jobName),
    event: nullable(text(EVENT_LENGTH_MAX)),
    since: nullable(stamp),
  }),
  usage: mapOf({ ask: oneOf('usage') }),
  kill: mapOf({ ask: oneOf('kill'), job: jobName, signal }),
  remove: mapOf({ ask: oneOf('remove'), job: jobName, force: boolean }),
  tryRestore: mapOf({
    ask: oneOf('tryRestore'),
    work: restoreWork,
    secrets: arrayOf(secretOrder, 0, SECRETS_MAX),
  }),
  explain: mapOf({ ask: oneOf('explain'), work: restoreWork }),
  start: mapOf({
    ask: oneOf('start'),
    work: jobWork,
    secrets: arrayOf(secretOrder, 0, SECRETS_MAX),
    triggers: arrayOf(triggerOrder, 0, 65_536),
    digestMemory: boolean,
    /** Returns when the guest has started; otherwise the guest has the greeting's descriptors. */
    detach: boolean,
  }),
  signal: mapOf({ ask: oneOf('signal'), signal }),
});

export type DoorAsk = ShapeOf<typeof doorAsk>;

const json = text();
const doorTell = variantOf('tell', {
  started: mapOf({ tell: oneOf('started'), json }),
  trouble: mapOf({ tell: oneOf('trouble'), json }),
  piece: mapOf({
    tell: oneOf('piece'),
    stream: oneOf(1, 2),
    timeNs: u64,
    text: bytes(),
  }),
  done: mapOf({ tell: oneOf('done'), json }),
  failed: mapOf({ tell: oneOf('failed'), json }),
});

export type DoorTell = ShapeOf<typeof doorTell>;

/** A message of a client, which is not trusted. Throws ERR_PROTOCOL. */
export function readAsk(value: CborValue): DoorAsk {
  return checkShape(doorAsk, value, { what: 'request', code: 'ERR_PROTOCOL' });
}

export function readTell(value: CborValue): DoorTell {
  return checkShape(doorTell, value, { what: 'answer of the host', code: 'ERR_PROTOCOL' });
}

/** `ask` as it goes over the wire. */
export function frameAsk(ask: DoorAsk): readonly Uint8Array[] {
  return frameMessage(ask as unknown as CborValue);
}

export function frameTell(tell: DoorTell): readonly Uint8Array[] {
  return frameMessage(tell as unknown as CborValue);
}

/** The last word to a client whose request failed. */
export function failedTell(error: HostError): DoorTell {
  return { tell: 'failed', json: JSON.stringify(errorObject(error)) };
}
