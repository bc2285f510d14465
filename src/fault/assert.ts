import { AssertionError } from 'node:assert';

/**
 * Stops at our own bug. `invariant` names what should have held; it never carries guest data.
 */
export function assert(condition: unknown, invariant: string): asserts condition {
  if (!condition) throw new AssertionError({ message: `broken invariant: ${invariant}` });
}
