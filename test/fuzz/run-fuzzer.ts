/** Starts a fuzzing thread and watches it: one input may not take for ever, nor all of the memory. */
import { Worker } from 'node:worker_threads';
import { type FuzzOrder, type FuzzReport, HEADER_WORDS } from './fuzz-thread.ts';

const SHOWN_BYTES = 300_000;
const HEAP_MB_MAX = 512;
/** What takes so long hangs, on any machine: an input is 256 KiB at most. */
const ONE_INPUT_MS_MAX = 120_000;
const LOOK_EVERY_MS = 1000;

export async function runFuzzer(order: Omit<FuzzOrder, 'shared'>): Promise<FuzzReport> {
  const shared = new SharedArrayBuffer(HEADER_WORDS * 4 + SHOWN_BYTES);
  const words = new Uint32Array(shared, 0, HEADER_WORDS);
  const worker = new Worker(new URL('./fuzz-thread.ts', import.meta.url), {
    workerData: { ...order, shared },
    execArgv: ['--no-warnings'],
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB_MAX },
  });
  let current = 0;
  let sinceMs = performance.now();
  const { promise, resolve, reject } = Promise.withResolvers<FuzzReport>();
  const input = (): string =>
    Buffer.from(
      new Uint8Array(shared, HEADER_WORDS * 4, Math.min(words[1]!, SHOWN_BYTES)),
    ).toString('hex');
  const watch = setInterval(() => {
    const number = Atomics.load(words, 0);
    if (number !== current) {
      current = number;
      sinceMs = performance.now();
    } else if (number > 0 && performance.now() - sinceMs > ONE_INPUT_MS_MAX) {
      reject(new Error(`input ${number} hangs: ${input()}`));
    }
  }, LOOK_EVERY_MS);
  worker.once('message', resolve);
  worker.once('error', (cause) =>
    reject(new Error(`died of input ${words[0]}: ${input()}`, { cause })),
  );
  worker.once('exit', () => reject(new Error('the fuzzing thread ended without a report')));
  try {
    return await promise;
  } finally {
    clearInterval(watch);
    await worker.terminate();
  }
}
