/**
 * Where a guest's stdout and stderr go: the run's log, and a descriptor of the cell's when it has one.
 *
 * The log comes first: what a reader saw is in the log, so that a restore never shows a line twice that
 * `logs` does not have.
 *
 * Invariants:
 * 1. One guest write is one record, written with one call.
 * 2. A failure is the guest's to see, as an errno; a pipe that nobody reads any more is PIPE.
 * 3. A write beyond the guest's budget for output ends the guest, and nothing of it is written.
 * 4. A pipe, socket or terminal that is full does not hold up the guest thread: it says so by taking
 *    nothing. Files and other devices are written to their end.
 */
import { fstatSync, ftruncateSync, writeSync, writevSync } from 'node:fs';
import { isatty } from 'node:tty';
import { ERRNO, errnoOf } from '../abi/errno.ts';
import type { OutputSink } from '../handle/grants.ts';
import type { NativeDescriptors } from '../handle/native-descriptors.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import { LOG_HEADER_BYTES, writeLogHeader } from './log-record.ts';

/** What a pipe that has room takes at least without blocking. Source: pipe(7), PIPE_BUF. */
const PIPE_ROOM_BYTES = 4096;

/** What a guest may yet write, to all its streams together. */
export interface OutputBudget {
  /** Throws LimitReached for more bytes than are left; then nothing of them is written. */
  take(bytes: number): void;
}

/** `bytesMax`: null for no bound. */
export function createOutputBudget(bytesMax: number | null): OutputBudget {
  let left = bytesMax ?? Number.POSITIVE_INFINITY;
  return {
    take: (bytes) => {
      if (bytes > left) throw new LimitReached('output');
      left -= bytes;
    },
  };
}

export function createOutputSink(options: {
  readonly stream: 1 | 2;
  readonly logFd: number | null;
  /** The descriptor that output goes to besides the log; null for none. */
  readonly hostFd: number | null;
  /** Whether `hostFd` was opened for this process, and doesn't block. */
  readonly isOwn: boolean;
  readonly native: NativeDescriptors | null;
  readonly budget: OutputBudget;
  readonly nowNs: () => bigint;
}): OutputSink {
  const { stream, logFd, hostFd, budget, nowNs } = options;
  const header = new Uint8Array(LOG_HEADER_BYTES);
  const headerView = new DataView(header.buffer);
  const put = hostFd === null ? null : writerOf({ ...options, hostFd });

  function log(parts: readonly Uint8Array[]): void {
    if (logFd === null) return;
    const textBytes = totalOf(parts);
    writeLogHeader(headerView, { stream, textBytes, timeNs: nowNs() });
    const total = LOG_HEADER_BYTES + textBytes;
    const record = [header, ...parts];
    let written = writevSync(logFd, record);
    if (written === total) return;
    // A disk that fills up takes a part. The rest may fit yet; if it does not, no torn record stays.
    const start = fstatSync(logFd).size - written;
    try {
      while (written < total) written += writevSync(logFd, rest(record, written));
    } catch (error) {
      ftruncateSync(logFd, start);
      throw error;
    }
  }

  return {
    hostFd,
    isTerminal: hostFd !== null && isatty(hostFd),
    record: (parts) => {
      budget.take(totalOf(parts));
      try {
        log(parts);
        return ERRNO.SUCCESS;
      } catch (error) {
        return errnoOf(error);
      }
    },
    write: (parts, fromBytes) => {
      const left = rest(parts, fromBytes);
      if (put === null) return totalOf(left);
      let taken = 0;
      for (const part of left) {
        const written = put(part);
        if (written === -ERRNO.AGAIN) return taken;
        // What was taken before is told first; the next write meets the failure again.
        if (written < 0) return taken > 0 ? taken : written;
        taken += written;
        if (written < part.length) return taken;
      }
      return taken;
    },
  };
}

/** Writes what can be written at once: bytes, or minus an errno. */
type Writer = (bytes: Uint8Array) => number;

function writerOf(options: {
  readonly hostFd: number;
  readonly isOwn: boolean;
  readonly native: NativeDescriptors | null;
}): Writer {
  const { hostFd, isOwn, native } = options;
  const plain: Writer = (bytes) => {
    try {
      return writeSync(hostFd, bytes);
    } catch (error) {
      return -errnoOf(error);
    }
  };
  if (isOwn || native === null) return plain;
  const stats = fstatSync(hostFd);
  if (stats.isSocket()) return (bytes) => native.send(hostFd, bytes);
  if (!stats.isFIFO() && !isatty(hostFd)) return plain;
  return (bytes) => {
    const [ready] = native.poll([{ hostFd, read: false, write: true }], 0n);
    return ready!.write ? plain(bytes.subarray(0, PIPE_ROOM_BYTES)) : -ERRNO.AGAIN;
  };
}

function totalOf(parts: readonly Uint8Array[]): number {
  let total = 0;
  for (const { length } of parts) total += length;
  return total;
}

/** What is left of `parts` when `done` bytes are written. */
function rest(parts: readonly Uint8Array[], done: number): Uint8Array[] {
  const left: Uint8Array[] = [];
  let skip = done;
  for (const part of parts) {
    if (skip < part.length) left.push(part.subarray(skip));
    skip = Math.max(0, skip - part.length);
  }
  return left;
}
