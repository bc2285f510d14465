/** Which parts of an old file are to be saved before they change, and what is written down of them. */
import { readSync } from 'node:fs';
import type { UndoRecord, Where } from './undo-record.ts';

/** What is saved of an old file at once when a part of it changes. */
export const BLOCK_BYTES = 16_384;

/** Runs of blocks `[first, last)` that touch the bytes from `start` to `end` and are not in `saved`. */
export function missingRuns(
  saved: ReadonlySet<number>,
  start: number,
  end: number,
): [number, number][] {
  const runs: [number, number][] = [];
  const last = Math.ceil(end / BLOCK_BYTES);
  for (let block = Math.floor(start / BLOCK_BYTES); block < last; block++) {
    if (saved.has(block)) continue;
    const run = runs.at(-1);
    if (run !== undefined && run[1] === block) run[1] = block + 1;
    else runs.push([block, block + 1]);
  }
  return runs;
}

/** The record of `lengthBytes` at `start` of the open file. Throws what Node throws. */
export function partRecord(
  fd: number,
  where: Where,
  start: number,
  lengthBytes: number,
): UndoRecord {
  const bytes = new Uint8Array(lengthBytes);
  let done = 0;
  while (done < lengthBytes) {
    const read = readSync(fd, bytes, done, lengthBytes - done, start + done);
    // Somebody else cut it: there is nothing more that could be brought back.
    if (read === 0) break;
    done += read;
  }
  const found = bytes.subarray(0, Math.max(done, 1));
  return found.every((byte) => byte === 0)
    ? { change: 'zeros', where, start, lengthBytes: found.length }
    : { change: 'bytes', where, start, bytes: found };
}
