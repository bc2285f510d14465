/**
 * The stream of messages between the host and one cell, from the host's end.
 *
 * Invariants:
 * 1. Nothing from the cell is passed on before its shape was checked; a wrong message, or one at the wrong time,
 *    ends the cell.
 * 2. `ended` settles exactly once, after the process is gone and its last message was delivered.
 */
import type { CborValue } from '../cbor/cbor.ts';
import { type FrameLimits, FrameReader, frameMessage } from '../cell/framing.ts';
import { readCellMessage } from '../cell/message-shapes.ts';
import type {
  CellMessage,
  ConfinedMessage,
  EquippedMessage,
  GuestMessage,
  HostMessage,
} from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import type { LaunchedProcess } from './launch.ts';

/** Room for heads with very deep stacks and very large tables. */
const CBOR_BYTES_MAX = 2 ** 29;
/** An instrumented module and its plan, or an image's pages, come as at most this many attachments. */
const ATTACHMENTS_MAX = 4;
/** An instrumented module; an image's pages can be more. */
const ATTACHMENT_BYTES_MAX = 2 ** 30;

export interface CellEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What was wrong with the cell's messages, when that is why it was ended. */
  readonly fault: HostError | null;
}

export type Answer = ConfinedMessage | EquippedMessage;

/** What a guest's messages are delivered to. */
export interface GuestReceiver {
  /** Of all attachments of one message, if it is more than an instrumented module may have. */
  readonly attachmentBytesMax: number;
  readonly onMessage: (
    message: GuestMessage,
    attachments: readonly Uint8Array<ArrayBuffer>[],
  ) => void;
}

export interface CellLink {
  readonly ended: Promise<CellEnd>;
  send(message: HostMessage, attachments?: readonly Uint8Array[]): void;
  /** The answer to what was sent, as the cell's next message; null: the cell has ended. */
  answer<T extends Answer['type']>(type: T): Promise<Extract<Answer, { type: T }> | null>;
  /** From now on what comes is a guest's. */
  deliver(receiver: GuestReceiver): void;
}

interface Expected {
  readonly type: Answer['type'];
  readonly resolve: (message: CellMessage) => void;
}

export function linkCell({
  control,
  exited,
  kill,
}: Pick<LaunchedProcess, 'control' | 'exited' | 'kill'>): CellLink {
  let reader = new FrameReader(limitsFor(ATTACHMENT_BYTES_MAX));
  let fault: HostError | null = null;
  let expected: Expected | null = null;
  let onMessage: GuestReceiver['onMessage'] | null = null;

  function receive(message: CellMessage, attachments: readonly Uint8Array<ArrayBuffer>[]): void {
    if (expected !== null && message.type === expected.type) {
      const { resolve } = expected;
      expected = null;
      resolve(message);
      return;
    }
    if (onMessage === null || message.type === 'confined' || message.type === 'equipped') {
      throw new HostError('ERR_PROTOCOL', 'The cell spoke of its confinement at the wrong time.');
    }
    onMessage(message, attachments);
  }

  control.on('data', (chunk: Uint8Array) => {
    if (fault !== null) return;
    try {
      for (const { message, attachments } of reader.push(chunk)) {
        receive(readCellMessage(message), attachments);
      }
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      fault = error;
      kill();
    }
  });
  // A cell that died leaves a broken pipe; its end is told by `close`.
  control.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    control.on('close', () => resolve());
  });
  const ended = Promise.all([exited, closed]).then(
    ([{ status, signal }]): CellEnd => ({ status, signal, fault }),
  );

  return {
    ended,
    send: (message, attachments = []) => {
      if (control.destroyed) return;
      control.cork();
      for (const part of frameMessage(message as unknown as CborValue, attachments)) {
        control.write(part);
      }
      control.uncork();
    },
    answer: (type) => {
      const answered = new Promise<CellMessage>((resolve) => {
        expected = { type, resolve };
      });
      return Promise.race([answered as Promise<never>, ended.then(() => null)]);
    },
    deliver: (receiver) => {
      // Between two messages: the cell has nothing to say unasked before it has a guest.
      reader = new FrameReader(limitsFor(receiver.attachmentBytesMax));
      onMessage = receiver.onMessage;
    },
  };
}

function limitsFor(attachmentBytesMax: number): FrameLimits {
  return {
    cborBytesMax: CBOR_BYTES_MAX,
    attachmentsMax: ATTACHMENTS_MAX,
    attachmentBytesMax: Math.max(attachmentBytesMax, ATTACHMENT_BYTES_MAX),
  };
}
