/**
 * How the guest thread waits: on the shared WAKE word, which every event that it may wait for changes.
 *
 * The word is read before the events are looked at, so one that comes in between ends the wait at once.
 */
import type { Clock } from '../resource/clock.ts';
import type { Pause } from '../resource/pause.ts';
import { type SharedControl, WORD } from './shared-control.ts';

/** One wait at most; a longer one is cut in pieces. Milliseconds. */
const WAIT_MS_MAX = 2 ** 30;
const NS_A_MS = 1_000_000;

export function createGuestPause(options: {
  readonly shared: SharedControl;
  /** The guest's clock. */
  readonly clock: Pick<Clock, 'monotonicNs'>;
  readonly isRequested: () => boolean;
  /** Whether stdin has news; asks for more input when it has none. */
  readonly stdinHasNews: () => boolean;
}): Pause {
  const { shared, clock, isRequested, stdinHasNews } = options;
  return {
    wait: (untilNs, on) => {
      for (;;) {
        const seen = Atomics.load(shared.words, WORD.wake);
        // Input first: what lies in the ring is in no image until the guest took it.
        if (on.stdin && stdinHasNews()) return 'ready';
        if (isRequested()) return 'interrupted';
        let timeoutMs = WAIT_MS_MAX;
        if (untilNs !== null) {
          const leftNs = untilNs - clock.monotonicNs();
          if (leftNs <= 0n) return 'timeout';
          timeoutMs = Math.min(timeoutMs, Number(leftNs) / NS_A_MS);
        }
        Atomics.wait(shared.words, WORD.wake, seen, timeoutMs);
      }
    },
  };
}
