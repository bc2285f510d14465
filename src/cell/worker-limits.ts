import type { ResourceLimits } from 'node:worker_threads';

/** What V8 lets the guest thread use. Sizes in MiB. */
export const WORKER_LIMITS: ResourceLimits = { stackSizeMb: 4 };
