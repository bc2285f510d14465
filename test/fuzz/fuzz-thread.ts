/**
 * The thread that fuzzes. What it is about to try stands in memory shared with whoever started it, who can
 * thereby tell what it hangs on, or died of: input's number, its length, then the input.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { HostError } from '../../src/fault/host-error.ts';
import { seededRandom } from '../cbor/random-value.ts';
import { pick } from './mutation.ts';
import { TARGETS, type TargetName } from './targets.ts';

export interface FuzzOrder {
  readonly target: TargetName;
  readonly seed: number;
  readonly forMs: number;
  /** At least so many inputs, however long they take. */
  readonly inputsMin: number;
  readonly shared: SharedArrayBuffer;
}

export interface FuzzReport {
  readonly inputs: number;
  readonly read: number;
  /** By code. */
  readonly refused: Readonly<Record<string, number>>;
  readonly slowestMs: number;
  /** Of one input. */
  readonly bufferBytesMost: number;
  /** null: nothing was found. */
  readonly find: { readonly hex: string; readonly what: string } | null;
}

export const HEADER_WORDS = 2;

const order = workerData as FuzzOrder;
parentPort?.postMessage(fuzz(order));

function fuzz({ target: name, seed, forMs, inputsMin, shared }: FuzzOrder): FuzzReport {
  const target = TARGETS[name];
  const words = new Uint32Array(shared, 0, HEADER_WORDS);
  const shown = new Uint8Array(shared, HEADER_WORDS * 4);
  const seeds = target.seeds();
  const random = seededRandom(seed);
  const refused: Record<string, number> = {};
  let read = 0;
  let inputs = 0;
  let slowestMs = 0;
  let bufferBytesMost = 0;
  let find: FuzzReport['find'] = null;
  const end = performance.now() + forMs;
  while (find === null && (inputs < inputsMin || performance.now() < end)) {
    const input = target.mutate(random, pick(random, seeds), seeds);
    shown.set(input.subarray(0, shown.length));
    Atomics.store(words, 1, input.length);
    Atomics.store(words, 0, ++inputs);
    const before = process.memoryUsage().arrayBuffers;
    const start = performance.now();
    let what: string | null = null;
    try {
      target.read(input);
      read++;
    } catch (error) {
      const code = error instanceof HostError ? error.code : null;
      if (code === null || !(target.codes as readonly string[]).includes(code)) {
        what = error instanceof Error ? (error.stack ?? error.message) : String(error);
      } else {
        refused[code] = (refused[code] ?? 0) + 1;
      }
    }
    slowestMs = Math.max(slowestMs, performance.now() - start);
    const took = process.memoryUsage().arrayBuffers - before;
    bufferBytesMost = Math.max(bufferBytesMost, took);
    if (took > target.bytesMax) what = `took ${took} bytes of buffers`;
    if (what !== null) find = { hex: Buffer.from(input).toString('hex'), what };
  }
  return { inputs, read, refused, slowestMs, bufferBytesMost, find };
}
