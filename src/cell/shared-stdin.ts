/**
 * Standard input as the guest thread sees it where it can't wait for a descriptor: the ring that the
 * main thread fills.
 */
import { isatty } from 'node:tty';
import type { StdinSource } from '../handle/grants.ts';
import { type SharedControl, STDIN_RING_BYTES, WORD } from './shared-control.ts';

const STDIN_FD = 0;
const STATE_ENDED = 2;

export interface SharedStdin extends StdinSource {
  /** Bytes, an end or a failure is there. Otherwise the main thread is asked to read. */
  hasNews(): boolean;
}

/** `wish`: tells the main thread that bytes are wanted. */
export function createSharedStdin(shared: SharedControl, wish: () => void): SharedStdin {
  const { words, stdin } = shared;
  const waiting = (): number =>
    (Atomics.load(words, WORD.stdinWritten) - Atomics.load(words, WORD.stdinRead)) >>> 0;

  function hasNews(): boolean {
    if (waiting() > 0 || Atomics.load(words, WORD.stdinState) >= STATE_ENDED) return true;
    if (Atomics.compareExchange(words, WORD.stdinWanted, 0, 1) === 0) wish();
    return false;
  }

  return {
    isTerminal: isatty(STDIN_FD),
    hasNews,
    // What comes through the ring is read ahead of the guest: there is no telling where it stands.
    position: () => null,
    moveTo: () => undefined,
    read: (into) => {
      const state = Atomics.load(words, WORD.stdinState);
      const there = waiting();
      if (there === 0) {
        if (state === STATE_ENDED) return 'end';
        if (state > STATE_ENDED) return 'failed';
        hasNews();
        return 'empty';
      }
      const read = Atomics.load(words, WORD.stdinRead) >>> 0;
      const start = read % STDIN_RING_BYTES;
      const count = Math.min(there, into.length, STDIN_RING_BYTES - start);
      into.set(stdin.subarray(start, start + count));
      Atomics.store(words, WORD.stdinRead, (read + count) | 0);
      return count;
    },
  };
}
