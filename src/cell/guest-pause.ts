/**
 * How the guest thread waits: on the shared WAKE word, which every event that it may wait for changes;
 * or, for descriptors, in the system's poll together with a descriptor that changes with that word.
 *
 * Either is read before the events are looked at, so one that comes in between ends the wait at once.
 */
import type { NativeDescriptors } from '../handle/native-descriptors.ts';
import type { Clock } from '../resource/clock.ts';
import type { AwaitedDescriptor, Pause } from '../resource/pause.ts';
import { type SharedControl, WORD } from './shared-control.ts';

/** One wait at most; a longer one is cut in pieces. Milliseconds. */
const WAIT_MS_MAX = 2 ** 30;
/** Between two looks at descriptors, where there is no way to wait for them. */
const LOOK_AGAIN_MS = 5;
const NS_A_MS = 1_000_000;

/** Where stdin is waited for: a descriptor, or a look at what the main thread brought. */
export type AwaitedStdin =
  | { readonly hostFd: number }
  /** Whether there is news; asks for more input when there is none. */
  | { readonly hasNews: () => boolean };

export function createGuestPause(options: {
  readonly shared: SharedControl;
  /** The guest's clock. */
  readonly clock: Pick<Clock, 'monotonicNs'>;
  readonly isRequested: () => boolean;
  readonly stdin: AwaitedStdin;
  readonly native: NativeDescriptors | null;
}): Pause {
  const { shared, clock, isRequested, stdin, native } = options;
  const { words } = shared;

  /** The descriptor that `wakeGuest` makes ready; made when it is first needed. */
  function wakeFd(calls: NativeDescriptors): number {
    if (Atomics.load(words, WORD.wakeFd) === 0) {
      Atomics.store(words, WORD.wakeFd, calls.createWake());
    }
    return Atomics.load(words, WORD.wakeFd);
  }

  function waitFor(
    calls: NativeDescriptors,
    awaited: readonly AwaitedDescriptor[],
    leftNs: bigint | null,
  ): boolean {
    const wake = wakeFd(calls);
    // A request that came before there was a descriptor for it is seen here.
    if (isRequested()) return false;
    const found = calls.poll([...awaited, { hostFd: wake, read: true, write: false }], leftNs);
    if (found[awaited.length]!.read) calls.drain(wake);
    return awaited.some((_, index) => found[index]!.read || found[index]!.write);
  }

  return {
    wait: (untilNs, on) => {
      const awaited = [...(on.descriptors ?? [])];
      if (on.stdin && 'hostFd' in stdin) {
        awaited.push({ hostFd: stdin.hostFd, read: true, write: false });
      }
      for (;;) {
        const seen = Atomics.load(words, WORD.wake);
        // Input first: what lies in the ring is in no image until the guest took it.
        if (on.stdin && 'hasNews' in stdin && stdin.hasNews()) return 'ready';
        if (isRequested()) return 'interrupted';
        const leftNs = untilNs === null ? null : untilNs - clock.monotonicNs();
        if (leftNs !== null && leftNs <= 0n) return 'timeout';
        if (awaited.length > 0 && native !== null && !('hasNews' in stdin && on.stdin)) {
          if (waitFor(native, awaited, leftNs)) return 'ready';
          continue;
        }
        const leftMs = leftNs === null ? WAIT_MS_MAX : Number(leftNs) / NS_A_MS;
        const longestMs = awaited.length > 0 ? LOOK_AGAIN_MS : WAIT_MS_MAX;
        Atomics.wait(words, WORD.wake, seen, Math.min(leftMs, longestMs));
        if (awaited.length > 0 && !isRequested()) return 'ready';
      }
    },
  };
}
