/**
 * Moving bytes between a guest's memory and its standard streams, waiting where there is nothing yet or
 * no room.
 *
 * Invariants:
 * 1. A wait is ended by a request for a checkpoint; the call is then made again afterwards.
 * 2. What a captured write had done is its progress: how many bytes were taken. The part of PART_BYTES
 *    that the next byte is in is in the log, with all before it. So nothing is written twice, nor recorded
 *    twice. A captured read had taken nothing.
 */
import { ERRNO } from '../abi/errno.ts';
import { FDFLAGS } from '../abi/flags.ts';
import type { CborValue } from '../cbor/cbor.ts';
import type { OutputSink } from '../handle/grants.ts';
import type { OutputHandle } from '../handle/output.ts';
import { readStdin, type StdinHandle } from '../handle/stdin.ts';
import type { Pause } from '../resource/pause.ts';
import type { WasiEnvironment } from './environment.ts';
import { between, type Ranges, viewsOf } from './iovec.ts';

/** What is recorded in one go. Between two such parts a checkpoint may come, however much the guest writes at once. */
const PART_BYTES = 16 * 2 ** 20;

/** Bytes read, minus an errno, or `interrupted`. */
export function readFromStdin(
  { memory, pause }: WasiEnvironment,
  stdin: StdinHandle,
  ranges: Ranges,
): number | 'interrupted' {
  if (ranges.totalBytes === 0) return 0;
  const views = viewsOf(memory, ranges);
  for (;;) {
    let done = 0;
    for (const view of views) {
      const read = readStdin(stdin, view);
      if (typeof read === 'number') done += read;
      else if (done === 0 && read === 'failed') return -ERRNO.IO;
      else if (done === 0) break;
      if (read !== view.length) return done;
    }
    if (done > 0) return done;
    if (stdin.flags & FDFLAGS.NONBLOCK) return -ERRNO.AGAIN;
    if (pause.wait(null, { stdin: true }) === 'interrupted') return 'interrupted';
  }
}

/** Bytes written, minus an errno, or `interrupted`, which leaves its progress in the environment. */
export function writeToOutput(
  environment: WasiEnvironment,
  { sink }: OutputHandle,
  ranges: Ranges,
): number | 'interrupted' {
  const { pause } = environment;
  const total = ranges.totalBytes;
  const views = viewsOf(environment.memory, ranges);
  const before = takenBefore(environment.progress, total);
  environment.progress = null;
  let done = before ?? 0;
  let recorded = before !== null;
  while (done < total) {
    const start = done - (done % PART_BYTES);
    const end = Math.min(start + PART_BYTES, total);
    const parts = between(views, start, end);
    if (!recorded) {
      const errno = sink.record(parts);
      // What was written before is told first; the next write meets the failure again.
      if (errno !== ERRNO.SUCCESS) return done > 0 ? done : -errno;
      if (start > 0 && pause.wait(0n, { stdin: false }) === 'interrupted') {
        environment.progress = done;
        return 'interrupted';
      }
    }
    const written = give(pause, sink, parts, done - start);
    if (written < 0) return start > 0 ? done : written;
    done = start + written;
    if (done < end) {
      environment.progress = done;
      return 'interrupted';
    }
    recorded = false;
  }
  return done;
}

/**
 * Writes what is behind the first `done` bytes of `parts`, and waits for room: all bytes, fewer where a
 * checkpoint is asked for, or minus an errno.
 */
export function give(
  pause: Pause,
  sink: OutputSink,
  parts: readonly Uint8Array[],
  done: number,
): number {
  const { hostFd } = sink;
  const descriptors = hostFd === null ? [] : [{ hostFd, read: false, write: true }];
  let total = 0;
  for (const { length } of parts) total += length;
  let written = done;
  while (written < total) {
    const taken = sink.write(parts, written);
    if (taken < 0) return taken;
    written += taken;
    if (written === total) break;
    if (pause.wait(null, { stdin: false, descriptors }) === 'interrupted') break;
  }
  return written;
}

/** What a call that was captured had written; null for a new one. An image that says too much is not believed. */
function takenBefore(progress: CborValue, total: number): number | null {
  if (typeof progress !== 'number' || !Number.isInteger(progress)) return null;
  return progress >= 0 && progress <= total ? progress : null;
}
