/**
 * On-stack replacement: a guest that stays in one call is taken down at a poll, and put up again in twins
 * that the engine has optimised.
 *
 * The engine optimises functions while they run, but a call goes on in the code that it began with. A loop in
 * a function that is called once is never optimised, and takes two to three times as long as it could.
 *
 *   watching ── the same call polls in STEADY samples ──→ twins ordered ── all there ──→ taken down, put up
 *      ↑                                                        │ too large, or the stack is another one
 *      └────────────────────────────────────────────────────────┘
 *
 * What is looked at is the engine's own stack trace, at polls some milliseconds apart. It is the innermost
 * call that polls there, so the more often a call is found, the more of the guest's time goes by in its own
 * loops.
 *
 * Invariants:
 * 1. The guest can't tell: frames, fuel, polls, memory and output are those of a run without it.
 * 2. A call of a function is replaced once: the next one begins in what the engine has optimised by then.
 * 3. A stack that is deep, or whose twins would be large, stays as it is. So does a guest with a function that
 *    might be too large for a twin, since a stack that was taken down has to be put up.
 */
import type { Place } from '../instrument/site-positions.ts';
import { bodyAt } from '../wasm/body-at.ts';
import { traceCalls } from './stack-trace.ts';
import { GUEST_MODULE, type TracedCall } from './twin-orders.ts';
import type { TwinStack } from './twin-stack.ts';

/** Between two samples: at first, and while the guest is found somewhere else each time. */
const SAMPLE_MS_MIN = 8;
const SAMPLE_MS_MAX = 128;
/** Samples after the first that must find the same call. */
const STEADY = 2;
/** Between two traces while twins are there, or on order. */
const TRACE_EVERY_MS = 0.7;
/** How long the guest may be elsewhere, once its twins are there, before they are given up. */
const READY_MS_MAX = 60;
/** Twins for places at which it polls, one after the other: of one loop, of those around it. */
const ORDERS_MAX = 6;
/** Calls of wasm functions on the stack; a trace also has those of the host's that lead to the poll. */
const FRAMES_MAX = 64;
const HOST_FRAMES_MAX = 16;
/** Frames that samples look at: a trace takes the longer the more it names, and most find nothing. */
const SAMPLED_FRAMES = 12;
/** In bytes: a twin may be several times as large. The engine takes functions of 7.6 MB. */
const BODY_BYTES_MAX = 2 ** 18;

/** What is being done for the call that was found. */
interface Attempt {
  /** The stack outside of it. */
  readonly outside: string;
  readonly poller: number;
  orders: number;
  /** When it is given up. */
  untilMs: number;
}

export class StackReplacement {
  readonly #twins: TwinStack;
  readonly #nowMs: () => number;
  readonly #bodyStart: Uint32Array;
  /** Bodies of the guest's own; behind them are those that the pass added. */
  readonly #ownBodies: number;
  readonly #isPossible: boolean;
  #nextMs: number;
  #everyMs = SAMPLE_MS_MIN;
  #last = '';
  #seen = 0;
  #attempt: Attempt | null = null;
  /** Functions of the guest, and batches, whose calls were looked after. */
  readonly #settled = new Set<number>();
  /** Stacks that were taken down for it. */
  replaced = 0;

  /** `bodyStart`: where bodies begin in the instrumented module; the first `ownBodies` are the guest's. */
  constructor(options: {
    readonly twins: TwinStack;
    readonly bodyStart: Uint32Array;
    readonly ownBodies: number;
    readonly nowMs: () => number;
  }) {
    const { twins, bodyStart, ownBodies, nowMs } = options;
    this.#twins = twins;
    this.#nowMs = nowMs;
    this.#bodyStart = bodyStart;
    this.#ownBodies = ownBodies;
    this.#isPossible = twins.makesAhead && !bodyStart.some((at, i) => isLarge(bodyStart, at, i));
    this.#nextMs = nowMs() + SAMPLE_MS_MIN;
  }

  /** Asked at each poll where the guest is not captured for another reason: whether to take it down. */
  atPoll(): boolean {
    if (!this.#isPossible) return false;
    const nowMs = this.#nowMs();
    if (nowMs < this.#nextMs) return false;
    if (this.#attempt !== null) return this.#pursue(this.#attempt, nowMs);
    this.#sample(nowMs);
    return false;
  }

  #sample(nowMs: number): void {
    const stack = this.#polling(SAMPLED_FRAMES);
    const found = stack === null ? '' : `${stack.poller}<${stack.outside}`;
    if (stack === null || found !== this.#last || this.#isSettled(stack.poller)) {
      this.#last = found;
      this.#seen = 0;
      this.#nextMs = nowMs + this.#everyMs;
      this.#everyMs = Math.min(SAMPLE_MS_MAX, this.#everyMs * 1.5);
      return;
    }
    this.#nextMs = nowMs + SAMPLE_MS_MIN;
    if (++this.#seen < STEADY) return;
    this.#seen = 0;
    const { poller } = stack;
    const whole = this.#polling(FRAMES_MAX + HOST_FRAMES_MAX);
    if (whole === null || whole.calls.length >= FRAMES_MAX) {
      this.#settled.add(poller);
      return;
    }
    const { outside } = whole;
    this.#attempt = { poller, outside, orders: 0, untilMs: nowMs + READY_MS_MAX };
    this.#nextMs = nowMs;
  }

  #isSettled(poller: number): boolean {
    return this.#settled.has(poller) || (poller < 0 && this.#twins.isOptimised(-poller));
  }

  #pursue(attempt: Attempt, nowMs: number): boolean {
    const twins = this.#twins;
    this.#nextMs = nowMs + TRACE_EVERY_MS;
    if (twins.takeArrived()?.failure) {
      this.#settle(attempt);
      return false;
    }
    if (twins.isWaiting) {
      attempt.untilMs = nowMs + READY_MS_MAX;
      return false;
    }
    const stack = this.#polling(FRAMES_MAX + HOST_FRAMES_MAX);
    const isThere = stack?.poller === attempt.poller && stack.outside === attempt.outside;
    if (isThere) {
      const missing: Place[] = [];
      const unknown: TracedCall[] = [];
      for (const call of stack.calls) {
        const place = twins.placeOf(call);
        if (place === undefined) unknown.push(call);
        else if (place !== null && !twins.hasOptimised(place)) missing.push(place);
      }
      if (missing.length + unknown.length === 0) {
        this.#settle(attempt);
        this.replaced++;
        return true;
      }
      if (attempt.orders++ < ORDERS_MAX) {
        twins.order(missing, unknown, true);
        return false;
      }
    }
    if (isThere || nowMs > attempt.untilMs) this.#settle(attempt);
    return false;
  }

  #settle({ poller }: Attempt): void {
    this.#attempt = null;
    this.#settled.add(poller);
    this.#everyMs = SAMPLE_MS_MIN;
    this.#nextMs = this.#nowMs() + SAMPLE_MS_MIN;
  }

  /**
   * The call that polls, its function, or its batch as a negative number, as far as `framesMax` frames tell;
   * null where the engine does not say.
   */
  #polling(
    framesMax: number,
  ): { poller: number; outside: string; calls: readonly TracedCall[] } | null {
    const calls = traceCalls(framesMax);
    const innermost = calls.findIndex((call) => this.#isPoll(call)) + 1;
    const call = calls[innermost];
    if (innermost === 0 || call === undefined) return null;
    const { batch, position } = call;
    return {
      poller: batch === GUEST_MODULE ? bodyAt(this.#bodyStart, position) : -batch,
      outside: calls
        .slice(innermost + 1)
        .map((outer) => `${outer.batch}:${outer.position}`)
        .join(),
      calls: calls.slice(innermost),
    };
  }

  /** The call of the host from the function that the pass added for polls. */
  #isPoll({ batch, position }: TracedCall): boolean {
    return batch === GUEST_MODULE && bodyAt(this.#bodyStart, position) >= this.#ownBodies;
  }
}

function isLarge(starts: Uint32Array, at: number, index: number): boolean {
  return index + 1 < starts.length && starts[index + 1]! - at > BODY_BYTES_MAX;
}
