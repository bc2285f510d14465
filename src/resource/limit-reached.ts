/** Bounds of a guest that end it. */
export const LIMITS = ['fuel', 'memory', 'table', 'output'] as const;
export type LimitName = (typeof LIMITS)[number];

/** Thrown through the guest, which can't catch it, when it reaches a bound. */
export class LimitReached {
  readonly limit: LimitName;

  constructor(limit: LimitName) {
    this.limit = limit;
  }
}
