/**
 * Where a guest's stdout and stderr go: the run's log, and the cell's own descriptors when it has them.
 *
 * The log comes first: what a reader saw is in the log, so that a restore never shows a line twice that
 * `logs` does not have.
 *
 * Invariants:
 * 1. One guest write is one record, written with one call.
 * 2. A failure is the guest's to see, as an errno; a pipe that nobody reads any more is PIPE.
 */
import { fstatSync, ftruncateSync, writeSync, writevSync } from 'node:fs';
import { isatty } from 'node:tty';
import { errnoOf } from '../abi/errno.ts';
import type { OutputSink } from '../handle/grants.ts';
import { LOG_HEADER_BYTES, writeLogHeader } from './log-record.ts';

const RETRY_MS = 1;

export function createOutputSink(options: {
  readonly stream: 1 | 2;
  readonly logFd: number | null;
  readonly inherit: boolean;
  readonly nowNs: () => bigint;
}): OutputSink {
  const { stream, logFd, inherit, nowNs } = options;
  const header = new Uint8Array(LOG_HEADER_BYTES);
  const headerView = new DataView(header.buffer);

  function log(parts: readonly Uint8Array[], textBytes: number): void {
    if (logFd === null) return;
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
    isTerminal: inherit && isatty(stream),
    write: (parts) => {
      let textBytes = 0;
      for (const { length } of parts) textBytes += length;
      if (textBytes === 0) return 0;
      try {
        log(parts, textBytes);
        if (inherit) for (const part of parts) writeAll(stream, part);
      } catch (error) {
        return -errnoOf(error);
      }
      return textBytes;
    },
  };
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

/** Waits where the other end does not take more: the descriptor may have been made non-blocking. */
function writeAll(fd: number, bytes: Uint8Array): void {
  let written = 0;
  while (written < bytes.length) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, RETRY_MS);
    }
  }
}
