/**
 * Who has the guest's thread: while a provider of the user's works, somebody watches from outside.
 *
 * A callback that yields is held to its deadline by the registry. One that never yields holds the whole
 * thread, its timers too; then only another thread can notice, and only ending the process helps.
 *
 * Invariants:
 * 1. At most one turn is open at a time. A turn that is late does not close the one that followed it.
 * 2. The time that a function waits through `GuestAccess.pause` is not part of its turn.
 */
import type { GuestFunction, Provider } from './provider.ts';

/** What a provider can be at, as it is told: "took longer than … ms <phase>". */
export const PHASES = [
  'to be loaded',
  'to be shown the guest',
  'to prepare for a checkpoint',
  'to let go for a checkpoint',
  'to go on without a checkpoint',
  'to take hold again',
  'to close',
  'to answer a call of the guest',
] as const;

export type Phase = (typeof PHASES)[number];

export interface Turns {
  /** Opens a turn, and gives what closes it. */
  begin(phase: Phase, deadlineMs: number): () => void;
}

/** `provider` with a turn around everything that it is called for. */
export function watchProvider(provider: Provider, turns: Turns): Provider {
  const { kind, version, shape, deadlineMs } = provider;

  function within<T>(phase: Phase, work: () => T): T {
    const end = turns.begin(phase, deadlineMs);
    try {
      return work();
    } finally {
      end();
    }
  }

  async function until<T>(phase: Phase, work: () => T | Promise<T>): Promise<T> {
    const end = turns.begin(phase, deadlineMs);
    try {
      return await work();
    } finally {
      end();
    }
  }

  /** Ends the turn of the call that is going on; null when none is. */
  let endCall: (() => void) | null = null;
  const beginCall = (): void => {
    endCall = turns.begin('to answer a call of the guest', deadlineMs);
  };
  const watched =
    (call: GuestFunction): GuestFunction =>
    (...args) => {
      beginCall();
      try {
        return call(...args);
      } finally {
        endCall?.();
        endCall = null;
      }
    };

  return {
    kind,
    version,
    ...(provider.reads === undefined ? {} : { reads: provider.reads }),
    shape,
    deadlineMs,
    prepare: () => until('to prepare for a checkpoint', () => provider.prepare()),
    commit: () => until('to let go for a checkpoint', () => provider.commit()),
    abort: () => until('to go on without a checkpoint', () => provider.abort()),
    rebuild: (state, context) =>
      until('to take hold again', () => provider.rebuild(state, context)),
    imports: Object.fromEntries(
      Object.entries(provider.imports ?? {}).map(([module, functions]) => [
        module,
        Object.fromEntries(
          Object.entries(functions).map(([name, call]) => [name, watched(call)] as const),
        ),
      ]),
    ),
    attach: (guest) =>
      within('to be shown the guest', () =>
        provider.attach?.({
          ...guest,
          pause: {
            wait: (untilNs, on) => {
              if (endCall === null) return guest.pause.wait(untilNs, on);
              endCall();
              try {
                return guest.pause.wait(untilNs, on);
              } finally {
                beginCall();
              }
            },
          },
        }),
      ),
    close: () => within('to close', () => provider.close?.()),
  };
}
