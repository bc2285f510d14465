/**
 * How a cell begins: the guest's thread first, since starting one takes the engine as long as starting Node,
 * then the code that speaks with the host, which is loaded meanwhile. The thread waits for `start`; no
 * byte of a guest's is in the process before the host was answered that it is confined.
 */
import { Worker } from 'node:worker_threads';
import { workerLimits } from './worker-limits.ts';

/** They come from a terminal, and are the host's to answer. */
const IGNORED = ['SIGINT', 'SIGTERM', 'SIGHUP', 'SIGQUIT'] as const;

/** `restores`: the guest is put up again from an image, which takes a larger stack. */
export async function beginCell(restores: boolean): Promise<void> {
  for (const signal of IGNORED) process.on(signal, () => {});
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  const worker = new Worker(new URL(`../cell/worker.${extension}`, import.meta.url), {
    // No environment of its own, though there is nothing in it: Node would read the thread's options anew then, and
    // leave out those that came from a file, such as what may be written.
    resourceLimits: workerLimits(restores),
    // Descriptors come from the C library as well, which Node does not count; the cell's end closes them.
    trackUnmanagedFds: false,
  });
  const { carryMessages } = await import('./carrier.ts');
  carryMessages({ worker, restores });
}
