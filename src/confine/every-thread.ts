/**
 * Makes system calls on every thread of this process.
 *
 * The kernel lets a thread restrict itself alone, by Landlock as by capabilities, and Node has started a
 * handful before the first line of a program runs. So every thread is interrupted by a signal whose handler makes
 * the calls (`thread-code.ts`), as libpsx and the C library's own `setuid` do; this thread makes them last, and what
 * is started later inherits what its starter has.
 *
 * Invariants:
 * 1. True means that each thread that there is has made every call with success.
 * 2. Afterwards the signal's old action is back and the code gone; where a thread could not be interrupted, the
 *    signal is ignored for good, as it may still be waiting for that thread.
 */
import type { KernelCalls } from './kernel-calls.ts';
import { type ThreadCall, threadCode } from './thread-code.ts';

/** Used by nobody: of those for programs to use as they like. Blocked by no thread of Node's. */
const SIGNAL = 62;
/** At least, for a thread to be interrupted; it takes some ten microseconds on an idle machine. */
const WAIT_MS = 5000;
const STEP_MS = 0.2;

/** SIG_IGN. */
const IGNORE = 1n;

const UNFINISHED: Int32Array[] = [];
const PAUSE = new Int32Array(new SharedArrayBuffer(4));

/** `waitMs`: how long, at least, a thread may take to be interrupted. */
export function onEveryThread(
  kernel: KernelCalls,
  calls: readonly ThreadCall[],
  waitMs = WAIT_MS,
): boolean {
  const counters = new Int32Array(new ArrayBuffer(8));
  const code = threadCode(kernel.architecture, calls, kernel.addressOf(counters.buffer));
  const handler = kernel.mapCode(code);
  if (handler === null) return false;
  const before = kernel.handleSignal(SIGNAL, handler.address);
  if (before === null || !interruptOthers(kernel, counters, waitMs)) {
    // What the code writes to must stay as well.
    UNFINISHED.push(counters);
    kernel.handleSignal(SIGNAL, IGNORE);
    return false;
  }
  kernel.restoreSignal(SIGNAL, before);
  handler.unmap();
  return calls.every((call) => kernel.makeCall(call) === 0) && Atomics.load(counters, 1) === 0;
}

/** Whether all of them have answered, with success or not; those too that others started meanwhile. */
function interruptOthers(kernel: KernelCalls, counters: Int32Array, waitMs: number): boolean {
  const asked = new Set<number>();
  const myself = kernel.threadId();
  for (;;) {
    const others = kernel.threads().filter((thread) => thread !== myself && !asked.has(thread));
    // A list without this thread is no list.
    if (others.length === 0) return asked.size > 0 || kernel.threads().includes(myself);
    for (const thread of others) {
      if (!kernel.signalThread(thread, SIGNAL)) return false;
      asked.add(thread);
    }
    if (!haveAnswered(counters, asked.size, waitMs)) return false;
  }
}

function haveAnswered(counters: Int32Array, asked: number, waitMs: number): boolean {
  for (let waitedMs = 0; waitedMs < waitMs; waitedMs += STEP_MS) {
    if (Atomics.load(counters, 0) + Atomics.load(counters, 1) >= asked) return true;
    Atomics.wait(PAUSE, 0, 0, STEP_MS);
  }
  return false;
}
