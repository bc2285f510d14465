/**
 * Arrays of `iovec` and `ciovec`: where in its memory a guest wants bytes put or taken from.
 *
 * Bounds: at most IOVECS_MAX entries, as Linux has it, and who hands over more than CALL_ITEMS_MAX ends; all of them are checked before any is used;
 * their lengths together stay below 4 GiB, of which at most TRANSFER_BYTES_MAX are used.
 */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { SIZE } from '../abi/layout.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import { isBeyondReason } from './beyond-reason.ts';

const IOVECS_MAX = 1024;

/** What one read or write moves at most, as on Linux; the guest is told how much it was. */
const TRANSFER_BYTES_MAX = 0x7fff_f000;

/** Ranges of guest memory, in order; reused from call to call, so that a call allocates nothing. */
export interface Ranges {
  count: number;
  readonly starts: number[];
  readonly lengths: number[];
  totalBytes: number;
}

export function createRanges(): Ranges {
  return { count: 0, starts: [], lengths: [], totalBytes: 0 };
}

/**
 * Reads `count` entries at `pointer` into `ranges`; empty ones are left out.
 *
 * - INVAL: more than IOVECS_MAX entries, or 4 GiB or more in all.
 * - FAULT: the array or one of the buffers isn't within memory.
 */
export function readRanges(
  memory: GuestMemory,
  pointer: number,
  count: number,
  ranges: Ranges,
): Errno {
  ranges.count = 0;
  ranges.totalBytes = 0;
  const entries = count >>> 0;
  if (entries > IOVECS_MAX) {
    if (isBeyondReason(memory, pointer, entries, SIZE.IOVEC)) throw new LimitReached('iovecs');
    return ERRNO.INVAL;
  }
  if (!memory.holds(pointer, entries * SIZE.IOVEC)) return ERRNO.FAULT;
  const { view } = memory;
  let at = pointer >>> 0;
  let totalBytes = 0;
  for (let index = 0; index < entries; index++) {
    const start = view.getUint32(at, true);
    const length = view.getUint32(at + 4, true);
    at += SIZE.IOVEC;
    if (!memory.holds(start, length)) return ERRNO.FAULT;
    totalBytes += length;
    if (totalBytes > 0xffff_ffff) return ERRNO.INVAL;
    const used = Math.min(length, TRANSFER_BYTES_MAX - ranges.totalBytes);
    if (used === 0) continue;
    ranges.starts[ranges.count] = start;
    ranges.lengths[ranges.count] = used;
    ranges.count += 1;
    ranges.totalBytes += used;
  }
  return ERRNO.SUCCESS;
}

/** The ranges as views of guest memory. */
export function viewsOf(memory: GuestMemory, ranges: Ranges): Uint8Array[] {
  const { bytes } = memory;
  const views: Uint8Array[] = [];
  for (let index = 0; index < ranges.count; index++) {
    const start = ranges.starts[index]!;
    views.push(bytes.subarray(start, start + ranges.lengths[index]!));
  }
  return views;
}

/** The views from byte `from` to byte `to` of them together. */
export function between(views: readonly Uint8Array[], from: number, to: number): Uint8Array[] {
  const parts: Uint8Array[] = [];
  let at = 0;
  for (const view of views) {
    const start = Math.max(0, from - at);
    const end = Math.min(view.length, to - at);
    if (start < end) parts.push(view.subarray(start, end));
    at += view.length;
  }
  return parts;
}

/** Copies as much of `source` into the ranges as they take; bytes copied. */
export function scatter(memory: GuestMemory, ranges: Ranges, source: Uint8Array): number {
  const { bytes } = memory;
  let done = 0;
  for (let index = 0; index < ranges.count && done < source.length; index++) {
    const length = Math.min(ranges.lengths[index]!, source.length - done);
    bytes.set(source.subarray(done, done + length), ranges.starts[index]!);
    done += length;
  }
  return done;
}
