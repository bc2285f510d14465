import type { ResourceLimits } from 'node:worker_threads';

/**
 * What V8 lets the guest thread use. Sizes in MiB.
 *
 * A restore needs a larger stack than the run did: twins run in baseline code at first, whose frames are
 * up to four times as large as those of optimised code.
 */
export function workerLimits(restored: boolean): ResourceLimits {
  return { stackSizeMb: restored ? 128 : 32 };
}
