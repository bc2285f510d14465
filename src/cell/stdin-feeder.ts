/**
 * Brings standard input into the ring of `shared-control.ts`, as far as the guest asks for it.
 *
 * Nothing is read before the guest wants bytes, and never more than the ring has room for, so that a
 * guest that ignores its input leaves it to whoever shares the descriptor.
 */
import { read } from 'node:fs';
import { type SharedControl, STDIN_RING_BYTES, WORD, wakeGuest } from './shared-control.ts';

/** How long to wait before asking again a descriptor that was set non-blocking by somebody else. */
const RETRY_MS = 10;

const STATE = { open: 1, ended: 2, failed: 3 } as const;

export interface StdinFeeder {
  /** Looks whether bytes are wanted; to be called whenever the guest may have asked. */
  feed(): void;
}

export function createStdinFeeder(fd: number, shared: SharedControl): StdinFeeder {
  const { words, stdin } = shared;
  let reading = false;

  function announce(): void {
    Atomics.store(words, WORD.stdinWanted, 0);
    wakeGuest(shared);
  }

  function finish(state: number): void {
    Atomics.store(words, WORD.stdinState, state);
    announce();
  }

  function feed(): void {
    if (reading || Atomics.load(words, WORD.stdinWanted) === 0) return;
    if (Atomics.load(words, WORD.stdinState) > STATE.open) {
      announce();
      return;
    }
    const written = Atomics.load(words, WORD.stdinWritten) >>> 0;
    const waiting = (written - Atomics.load(words, WORD.stdinRead)) >>> 0;
    const start = written % STDIN_RING_BYTES;
    const room = Math.min(STDIN_RING_BYTES - waiting, STDIN_RING_BYTES - start);
    if (room <= 0) {
      announce();
      return;
    }
    reading = true;
    // Reads go into bytes of their own: a blocked read must not hold shared memory.
    const bytes = new Uint8Array(room);
    read(fd, bytes, 0, room, null, (error, count) => {
      reading = false;
      if (error?.code === 'EAGAIN') {
        setTimeout(feed, RETRY_MS);
        return;
      }
      if (error !== null) {
        finish(error.code === 'EOF' ? STATE.ended : STATE.failed);
        return;
      }
      if (count === 0) {
        finish(STATE.ended);
        return;
      }
      stdin.set(bytes.subarray(0, count), start);
      Atomics.store(words, WORD.stdinState, STATE.open);
      Atomics.store(words, WORD.stdinWritten, (written + count) | 0);
      announce();
    });
  }

  return { feed };
}
