/**
 * The words that the cell's main thread and its guest thread share.
 *
 * One `SharedArrayBuffer`: 32-bit control words, then a ring of bytes that came in on stdin. Only the
 * main thread writes REQUEST, STOP_REQUEST, REQUEST_US, TWINS, STDIN_WRITTEN and STDIN_STATE; only the guest thread writes STDIN_READ.
 * Only the guest thread writes the words of turns. STDIN_WANTED is set by the guest thread and cleared by
 * the main thread. WAKE_FD is set once by the guest thread, when it first waits for descriptors, for which
 * no shared word can wake it.
 * After any write that the other side may be waiting for, the writer calls `wakeGuest` (guest side) or
 * posts a message (main side), so no wake-up is lost.
 */
import { makeReady } from '../handle/native-descriptors.ts';

export const WORD = {
  /** Counts every event that the guest thread should look at; it waits on this word. */
  wake: 0,
  /** Number of the newest checkpoint request; compare with the last one answered. */
  request: 1,
  /** Bytes put into the ring so far, modulo 2^32. */
  stdinWritten: 2,
  /** Bytes taken out of the ring so far, modulo 2^32. */
  stdinRead: 3,
  /** 0 nothing asked, 1 open, 2 at its end, 3 failed. */
  stdinState: 4,
  /** 1 while the guest thread wants bytes that are not there: the main thread reads ahead only then. */
  stdinWanted: 5,
  /** Number of the newest checkpoint request that asks the guest to end once it is sealed; 0 for none. */
  stopRequest: 6,
  /** When the newest request was made: see `nowUs`. */
  requestUs: 7,
  /** A descriptor that ends the guest thread's wait for others; 0: it doesn't wait for any. */
  wakeFd: 8,
  /** Which of the user's providers has the guest's thread: see `provider-turns.ts`. */
  turn: 9,
  turnProvider: 10,
  turnPhase: 11,
  turnMs: 12,
  /** Counts batches of twins that were posted to the guest thread. */
  twins: 13,
  /** Set to 1 by the main thread: the guest thread is to order twins for its stack, and sets it to 0. */
  prepare: 14,
} as const;

const WORDS = 16;
export const STDIN_RING_BYTES = 65_536;

export interface SharedControl {
  readonly words: Int32Array<SharedArrayBuffer>;
  readonly stdin: Uint8Array<SharedArrayBuffer>;
}

export function createSharedControl(): SharedArrayBuffer {
  return new SharedArrayBuffer(WORDS * 4 + STDIN_RING_BYTES);
}

export function viewSharedControl(buffer: SharedArrayBuffer): SharedControl {
  return {
    words: new Int32Array(buffer, 0, WORDS),
    stdin: new Uint8Array(buffer, WORDS * 4, STDIN_RING_BYTES),
  };
}

/**
 * Ends whatever the guest thread waits for, so that it looks at the words again. The word comes first:
 * a guest that sets WAKE_FD too late for this to see it sees the changed word instead.
 */
export function wakeGuest({ words }: SharedControl): void {
  Atomics.add(words, WORD.wake, 1);
  Atomics.notify(words, WORD.wake);
  const wakeFd = Atomics.load(words, WORD.wakeFd);
  if (wakeFd > 0) makeReady(wakeFd);
}

/** Microseconds on a clock that both threads share, modulo 2^32, as an i32. */
export function nowUs(clock: { readonly monotonicNs: () => bigint }): number {
  return Number(BigInt.asIntN(32, clock.monotonicNs() / 1000n));
}
