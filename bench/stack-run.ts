/**
 * As `pause-run.ts`, with the same arguments, in a thread that has the stack of a cell's guest: deep stacks don't fit
 * the one that a process begins with.
 */
import { Worker } from 'node:worker_threads';
import { workerLimits } from '../src/cell/worker-limits.ts';

const worker = new Worker(new URL('./pause-run.ts', import.meta.url), {
  argv: process.argv.slice(2),
  resourceLimits: workerLimits(true),
});
// From here, since ending a thread that has threads of its own brings the engine down.
worker.once('message', () => process.exit(0));
