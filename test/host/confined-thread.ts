/** The probe in a thread that is begun as a guest's is. */
import { Worker } from 'node:worker_threads';
import { workerLimits } from '../../src/cell/worker-limits.ts';

new Worker(new URL('./confined-probe.ts', import.meta.url), {
  argv: process.argv.slice(2),
  resourceLimits: workerLimits(false),
  trackUnmanagedFds: false,
});
