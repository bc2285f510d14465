/**
 * What the cell's main thread and its guest thread say to each other, besides the shared words.
 *
 * The guest thread's first message is `ThreadStart`, once, or one `Rehearsal` before it. Byte arrays in `attachments` are transferred,
 * so whoever posts one has lost it; the main thread hands an image's pages back with `buffer` when
 * they are on their way to the host, and the next capture writes into the same bytes.
 */
import type { MessagePort } from 'node:worker_threads';
import type { TrackingFds } from '../native/write-tracking.ts';
import type { CellMessage, SealedMessage, StartMessage } from './protocol.ts';

/**
 * Main thread → guest thread, before `ThreadStart`, where there is time until then; it is answered by a message that
 * says nothing.
 */
export type Rehearsal = 'rehearse';

/** Main thread → guest thread, first of all but that. */
export interface ThreadStart {
  readonly shared: SharedArrayBuffer;
  readonly start: StartMessage;
  /** The guest's own module, the first attachment of `StartMessage`. */
  readonly module: SharedArrayBuffer;
  /** The others, in their order. */
  readonly attachments: readonly ArrayBuffer[];
  /** Where twins are ordered: see `remote-twins.ts`. */
  readonly twins: MessagePort;
  /** Null: the kernel keeps no book of what is written. */
  readonly tracking: TrackingFds | null;
}

/** Guest thread → main thread. */
export type ThreadReport = ThreadMessage | ThreadWish | BufferWish;

/** To be sent to the host as it is. */
export interface ThreadMessage {
  readonly message: CellMessage;
  readonly attachments: readonly Uint8Array<ArrayBuffer>[];
}

/** Sent after STDIN_WANTED was set to 1. */
export interface ThreadWish {
  readonly wish: 'stdin';
}

/** A buffer of that size is wanted, all of it written once, or any answer: see `capture-room.ts`. */
export interface BufferWish {
  readonly wish: 'buffer';
  readonly bytes: number;
}

/** Main thread → guest thread. */
export type ThreadOrder = SealedMessage | ThreadBuffer;

export interface ThreadBuffer {
  readonly type: 'buffer';
  readonly buffer: ArrayBuffer;
  /** The image whose bytes were in it; null: it was made. */
  readonly image: number | null;
}
