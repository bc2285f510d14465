/**
 * Fuel: how much a guest has done, how much it may do, and when it next asks.
 *
 * The guest counts down a global, the *slice*, and polls when it falls below zero. The meter adds up what
 * was used, and chooses the next slice: short enough that a request is seen soon, long enough that polls
 * cost nothing, and never past the limit or a point where something is to happen.
 *
 * Invariants:
 * 1. `used` is the same at the same point of a deterministic guest, however its slices were cut.
 * 2. The guest ends at the first poll at which more than the limit is used.
 */
const SLICE_FIRST = 10_000;
const SLICE_MIN = 1_000;
/** Keeps the time to a safepoint bounded where the cost of a unit rises suddenly. */
const SLICE_MAX = 131_072;
/** Polls closer together than this cost more than they are worth. */
const POLL_MS_MIN = 0.1;
const POLL_MS_MAX = 0.4;

export class FuelMeter {
  readonly #limit: bigint | null;
  readonly #now: () => number;
  #used: bigint;
  #slice = 0;
  #wanted = SLICE_FIRST;
  #polledAt: number;
  /** Ascending; the first is the next. */
  #stops: bigint[] = [];

  /** `used`: what earlier runs used. `now`: milliseconds on a clock that does not go back. */
  constructor(options: {
    readonly used: bigint;
    readonly limit: bigint | null;
    readonly now: () => number;
  }) {
    this.#used = options.used;
    this.#limit = options.limit;
    this.#now = options.now;
    this.#polledAt = options.now();
  }

  get used(): bigint {
    return this.#used;
  }

  /** Makes the guest poll at the first chance at which at least `used` is used. */
  stopAt(used: bigint): void {
    this.#stops.push(used);
    this.#stops.sort((a, b) => (a < b ? -1 : a > b ? 1 : 0));
  }

  /** Adds up what was used of the slice; `left` is what the guest's counter says. */
  settle(left: number): void {
    this.#used += BigInt(this.#slice - left);
    this.#slice = left;
  }

  /** Settles in the midst of a slice, and ends it there: the guest polls at its next chance. */
  cutSlice(left: number): number {
    this.settle(left);
    this.#slice = 0;
    return 0;
  }

  /** Settles at a poll, and adapts the length of slices to the time between polls. */
  polled(left: number): void {
    this.settle(left);
    const now = this.#now();
    const elapsedMs = now - this.#polledAt;
    this.#polledAt = now;
    if (elapsedMs > POLL_MS_MAX) this.#wanted = Math.max(SLICE_MIN, this.#wanted >>> 1);
    else if (elapsedMs < POLL_MS_MIN) this.#wanted = Math.min(SLICE_MAX, this.#wanted * 2);
  }

  get isSpent(): boolean {
    return this.#limit !== null && this.#used > this.#limit;
  }

  /** Takes the stop that has been reached, or null. */
  takeStop(): bigint | null {
    const stop = this.#stops[0];
    if (stop === undefined || this.#used < stop) return null;
    this.#stops.shift();
    return stop;
  }

  /** The guest's counter from here on. */
  nextSlice(): number {
    let slice = this.#wanted;
    if (this.#limit !== null) slice = atMost(slice, this.#limit - this.#used);
    const stop = this.#stops[0];
    // A poll happens when more than the slice is used.
    if (stop !== undefined) slice = atMost(slice, stop - this.#used - 1n);
    this.#slice = slice;
    return slice;
  }
}

function atMost(slice: number, rest: bigint): number {
  return rest < BigInt(slice) ? Number(rest < -1n ? -1n : rest) : slice;
}
