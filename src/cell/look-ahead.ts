/**
 * Looks ahead before a checkpoint: while the guest runs on, orders room for its pages and the twins of what
 * is on its stack, and says when the stack is one that can be put up at once.
 *
 *   asked ─→ trace: a call is unknown, or a place has no twin? ─ no ─→ capture
 *              ↑                        │ yes: order
 *              └── at a later safepoint ┘      after LOOK_AHEAD_MS: order no more, and capture
 *
 * Making and compiling twins is most of what a guest would stand still for otherwise. Guests stay in the
 * same functions for longer than it takes to make twins for them, and of two stacks a few milliseconds
 * apart, one whose twins are all there is as good a place to stop as the other.
 *
 * Invariants:
 * 1. A trace is only a hint: whatever it says, the stack that is captured decides which twins are needed.
 * 2. A request is put off by `LOOK_AHEAD_MS` and what is on order then, for which the captured guest would
 *    have to wait; and by nothing where twins aren't made ahead.
 */
import type { Place } from '../instrument/site-positions.ts';
import type { CaptureRoom } from './capture-room.ts';
import { traceStack } from './stack-trace.ts';
import type { TracedCall } from './twin-orders.ts';
import type { TwinStack } from './twin-stack.ts';

const LOOK_AHEAD_MS = 150;
/** Between two traces: so they slow the guest down by some percent at most while it looks ahead. */
const TRACE_EVERY_MS = 0.7;

export class LookAhead {
  readonly #twins: TwinStack;
  readonly #room: CaptureRoom;
  readonly #nowMs: () => number;
  #beganMs: number | null = null;
  #tracedMs = Number.NEGATIVE_INFINITY;
  #stackIsReady = false;
  /** Once it was said, it is so until the guest was captured: a call that gave way is not made again first. */
  #isReady = false;

  constructor(twins: TwinStack, room: CaptureRoom, nowMs: () => number) {
    this.#twins = twins;
    this.#room = room;
    this.#nowMs = nowMs;
  }

  /** Asked at safepoints while a request waits: whether to capture at this one. */
  isReady(): boolean {
    this.#isReady ||= this.#lookNow();
    return this.#isReady;
  }

  /** The guest is being captured: the next request is looked ahead for anew. */
  captured(): void {
    this.#beganMs = null;
    this.#isReady = false;
  }

  /**
   * Nobody has asked for a checkpoint yet: orders the twins of what is on the stack now. It is the first
   * order that takes long, while the workshop reads the module and its own code is not compiled yet.
   */
  prepare(): void {
    if (!this.#twins.makesAhead) return;
    this.#twins.takeArrived();
    if (!this.#twins.isWaiting) this.#look();
  }

  #lookNow(): boolean {
    const twins = this.#twins;
    if (!twins.makesAhead) return true;
    const nowMs = this.#nowMs();
    this.#beganMs ??= nowMs;
    const batch = twins.takeArrived();
    // What can't be made ahead can't be made later either: it is refused where it is needed.
    if (batch !== null && batch.failure !== null) return true;
    if (nowMs - this.#beganMs >= LOOK_AHEAD_MS) return !twins.isWaiting;
    if (batch !== null || nowMs - this.#tracedMs >= TRACE_EVERY_MS) {
      this.#stackIsReady = this.#look();
      this.#tracedMs = this.#nowMs();
    }
    // Asked at each event that a blocked guest wakes for: none may pass without being seen.
    return this.#room.isReady() && this.#stackIsReady;
  }

  /** Whether every place on the stack has a twin; orders those that have none. */
  #look(): boolean {
    const twins = this.#twins;
    const unknown: TracedCall[] = [];
    const missing: Place[] = [];
    for (const call of traceStack()) {
      const place = twins.placeOf(call);
      if (place === undefined) unknown.push(call);
      else if (place !== null && !twins.has(place)) missing.push(place);
    }
    if (unknown.length + missing.length === 0) return true;
    if (!twins.isWaiting) twins.order(missing, unknown);
    return false;
  }
}
