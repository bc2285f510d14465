/**
 * Makes calls on every thread of this process and prints what came of it, as JSON. What each thread shows is its
 * slack of timers, which nothing depends on.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from 'node:worker_threads';
import { onEveryThread } from '../../src/confine/every-thread.ts';
import { kernelCalls } from '../../src/confine/kernel-calls.ts';
import type { ThreadCall } from '../../src/confine/thread-code.ts';

export interface Probed {
  readonly threads: number;
  /** What came of: the first order, another one, an order that every thread refuses, one more. */
  readonly done: readonly boolean[];
  /** The different slacks after the first and after the last order. */
  readonly slacks: readonly (readonly string[])[];
}

const PRCTL = { x64: 157, arm64: 167 };
const SET_TIMER_SLACK = 29n;
const WAIT_MS = 1000;

function slackOf(nanoseconds: bigint): ThreadCall {
  const number = PRCTL[process.arch as keyof typeof PRCTL];
  return { number, arguments: [SET_TIMER_SLACK, nanoseconds] };
}

function slacks(): string[] {
  const all = readdirSync('/proc/self/task').map((thread) =>
    readFileSync(`/proc/${thread}/timerslack_ns`, 'utf8').trim(),
  );
  return [...new Set(all)];
}

const kernel = kernelCalls();
if (kernel === null) throw new Error('there is no FFI here');
const order = (...calls: readonly ThreadCall[]): boolean => onEveryThread(kernel, calls, WAIT_MS);

const worker = new Worker('setInterval(() => {}, 1e6)', { eval: true });
const first = order(slackOf(123_456n), slackOf(61_234n));
const afterFirst = slacks();
const done = [
  first,
  order(slackOf(51_234n)),
  order(slackOf(41_234n), { ...slackOf(0n), arguments: [-1n] }),
  order(slackOf(71_234n)),
];
const threads = readdirSync('/proc/self/task').length;
const probed: Probed = { threads, done, slacks: [afterFirst, slacks()] };
console.log(JSON.stringify(probed));
await worker.terminate();
