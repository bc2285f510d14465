/** Bounds of a guest that end it; docs/limits.md says what each bounds. */
export const LIMITS = [
  'fuel',
  'memory',
  'table',
  'output',
  'handles',
  'files',
  'path',
  'iovecs',
  'subscriptions',
  'random',
  'private',
  'checkpoints',
] as const;
export type LimitName = (typeof LIMITS)[number];

/**
 * Thrown through the guest, which can't catch it, when it reaches a bound. Whoever throws it out of a host
 * call has done nothing of that call yet: with `--on-limit checkpoint` it is made again at a restore.
 */
export class LimitReached {
  readonly limit: LimitName;

  constructor(limit: LimitName) {
    this.limit = limit;
  }
}
