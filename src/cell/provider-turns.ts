/**
 * The turns of the user's providers, in the shared words: the guest's thread writes them, the main
 * thread looks at them, and ends the cell when one lasts too long.
 *
 *   TURN           odd while a provider has the thread; every turn has a number of its own
 *   TURN_PROVIDER  which one: its position in the start message
 *   TURN_PHASE     what it is at: position in `PHASES`
 *   TURN_MS        how long it may take
 *
 * Invariant: the other words are written before TURN says that a turn is open.
 */
import { HostError } from '../fault/host-error.ts';
import { PHASES, type Turns } from '../resource/turns.ts';
import { type SharedControl, WORD } from './shared-control.ts';

/** How often the main thread looks. */
const LOOK_MS = 200;
/** Beyond the deadline: one that yields is told by its own thread first. */
const GRACE_MS = 1000;

/** The turns of provider number `provider`. */
export function createTurns({ words }: SharedControl, provider: number): Turns {
  return {
    begin: (phase, deadlineMs) => {
      const turn = (Atomics.load(words, WORD.turn) | 1) + 2;
      Atomics.store(words, WORD.turnProvider, provider);
      Atomics.store(words, WORD.turnPhase, PHASES.indexOf(phase));
      Atomics.store(words, WORD.turnMs, deadlineMs);
      Atomics.store(words, WORD.turn, turn | 0);
      return () => {
        Atomics.compareExchange(words, WORD.turn, turn | 0, (turn + 1) | 0);
      };
    },
  };
}

/** What is known of the turn that is open; null when none is. */
export interface OpenTurn {
  readonly turn: number;
  readonly provider: number;
  readonly phase: string;
  readonly deadlineMs: number;
}

export function openTurn({ words }: SharedControl): OpenTurn | null {
  const turn = Atomics.load(words, WORD.turn);
  if ((turn & 1) === 0) return null;
  return {
    turn,
    provider: Atomics.load(words, WORD.turnProvider),
    phase: PHASES[Atomics.load(words, WORD.turnPhase)] ?? 'something',
    deadlineMs: Atomics.load(words, WORD.turnMs),
  };
}

/** Looks at the turns from now on; calls `late` once, when one lasts too long. */
export function watchTurns(options: {
  readonly shared: SharedControl;
  /** What to call provider number n. */
  readonly nameOf: (provider: number) => string;
  readonly nowMs: () => number;
  readonly late: (error: HostError) => void;
}): void {
  const { shared, nameOf, nowMs, late } = options;
  let seen: OpenTurn | null = null;
  let sinceMs = 0;
  const timer = setInterval(() => {
    const open = openTurn(shared);
    if (open?.turn !== seen?.turn) {
      seen = open;
      sinceMs = nowMs();
    }
    if (open === null || nowMs() - sinceMs < open.deadlineMs + GRACE_MS) return;
    clearInterval(timer);
    const { phase, deadlineMs } = open;
    const provider = nameOf(open.provider);
    late(
      new HostError(
        'ERR_TIMEOUT',
        `The provider ${provider} took longer than ${deadlineMs} ms ${phase}, and did not yield.`,
        {
          facts: { provider, deadlineMs },
          hint: 'the checkpoints made before are whole; mend the provider, or give it a larger deadlineMs',
        },
      ),
    );
  }, LOOK_MS);
  timer.unref();
}

/** What broke the guest's thread outside of any callback, when there are providers of the user's. */
export function strayFailure(
  reason: string,
  open: OpenTurn | null,
  nameOf: (provider: number) => string,
): HostError {
  const provider = open === null ? null : nameOf(open.provider);
  return new HostError(
    'ERR_PROVIDER',
    provider === null
      ? `A provider broke the guest's thread: ${reason}.`
      : `The provider ${provider} broke the guest's thread when it had ${open!.phase}: ${reason}.`,
    {
      facts: { provider },
      hint: 'a provider handles all rejections of its promises, and does not end the process',
    },
  );
}
