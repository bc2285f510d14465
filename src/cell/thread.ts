/**
 * What the cell's main thread and its guest thread say to each other, besides the shared words.
 *
 * The guest thread is started once, with `ThreadStart`. Byte arrays in `attachments` are transferred,
 * so whoever posts one has lost it; the main thread hands an image's pages back with `buffer` when
 * they are on their way to the host, and the next capture writes into the same bytes.
 */
import type { CellMessage, SealedMessage, StartMessage } from './protocol.ts';

/** `workerData` of the guest thread. */
export interface ThreadStart {
  readonly shared: SharedArrayBuffer;
  readonly start: StartMessage;
  /** In the order of `StartMessage`. */
  readonly attachments: readonly ArrayBuffer[];
}

/** Guest thread → main thread. */
export type ThreadReport = ThreadMessage | ThreadWish;

/** To be sent to the host as it is. */
export interface ThreadMessage {
  readonly message: CellMessage;
  readonly attachments: readonly Uint8Array<ArrayBuffer>[];
}

/** Sent after STDIN_WANTED was set to 1. */
export interface ThreadWish {
  readonly wish: 'stdin';
}

/** Main thread → guest thread. */
export type ThreadOrder = SealedMessage | ThreadBuffer;

export interface ThreadBuffer {
  readonly type: 'buffer';
  readonly buffer: ArrayBuffer;
}
