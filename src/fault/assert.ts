import { AssertionError } from 'node:assert';

const BROKEN = 'broken invariant: ';

/**
 * Stops at our own bug. `invariant` names what should have held; it never carries guest data.
 */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new AssertionError({ message: `${BROKEN}${invariant}` });
}

/** Whether `error` comes from `assert`: our own bug, not somebody else's failed assertion. */
export function isBrokenInvariant(error: unknown): boolean {
  return error instanceof AssertionError && error.message.startsWith(BROKEN);
}
