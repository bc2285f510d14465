/**
 * Moving bytes between open files and guest memory, without a copy in between where there is one range.
 *
 * All give the bytes moved, or minus an errno when nothing was.
 */
import { closeSync, openSync, readSync, writeSync, writevSync } from 'node:fs';
import { ERRNO, errnoOf } from '../abi/errno.ts';
import { FDFLAGS } from '../abi/flags.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { pathOfDescriptor } from '../handle/anchor.ts';
import { type FileHandle, reopenFlags } from '../handle/file.ts';
import { type Ranges, scatter, viewsOf } from './iovec.ts';

/** Ranges that together are at most so long are gathered, so that they are moved at once. */
const GATHER_BYTES_MAX = 65_536;
const gathered = new Uint8Array(GATHER_BYTES_MAX);

/** Reads at `position`, until the ranges are full or the file gives less than asked for. */
export function readAt(
  memory: GuestMemory,
  file: FileHandle,
  ranges: Ranges,
  position: number | bigint,
): number {
  const { bytes } = memory;
  let done = 0;
  try {
    if (ranges.count > 1 && ranges.totalBytes <= GATHER_BYTES_MAX) {
      const read = readSync(file.hostFd, gathered, 0, ranges.totalBytes, position);
      return scatter(memory, ranges, gathered.subarray(0, read));
    }
    for (let index = 0; index < ranges.count; index++) {
      const length = ranges.lengths[index]!;
      const at = typeof position === 'number' ? position + done : position + BigInt(done);
      const read = readSync(file.hostFd, bytes, ranges.starts[index]!, length, at);
      done += read;
      if (read < length) break;
    }
    return done;
  } catch (error) {
    return done > 0 ? done : -errnoOf(error);
  }
}

/** Writes at `position`; at the end of the file, whatever that is by then, when `position` is null. */
export function writeAt(
  memory: GuestMemory,
  file: FileHandle,
  ranges: Ranges,
  position: number | null,
): number {
  if (ranges.count === 0) return 0;
  file.preopen.kept?.take(ranges.totalBytes);
  const errno = file.preopen.rollback?.beforeWrite(file, position, ranges.totalBytes) ?? 0;
  if (errno !== ERRNO.SUCCESS) return -errno;
  file.unsynced = true;
  try {
    return writeRanges(memory, file.hostFd, ranges, position);
  } catch (error) {
    return -errnoOf(error);
  }
}

/**
 * Writes at `position` also when the file is open for appending: Linux would append then. NOTSUP where
 * the file can't be opened a second time for it.
 */
export function writeAtOf(
  memory: GuestMemory,
  file: FileHandle,
  ranges: Ranges,
  position: number,
): number {
  if ((file.flags & FDFLAGS.APPEND) === 0) return writeAt(memory, file, ranges, position);
  const path = pathOfDescriptor(file.hostFd, file.preopen.root);
  if (path === null) return -ERRNO.NOTSUP;
  file.preopen.kept?.take(ranges.totalBytes);
  const errno = file.preopen.rollback?.beforeWrite(file, position, ranges.totalBytes) ?? 0;
  if (errno !== ERRNO.SUCCESS) return -errno;
  let fd = -1;
  try {
    const access = { readable: false, writable: true, flags: file.flags & ~FDFLAGS.APPEND };
    fd = openSync(path, reopenFlags(access));
    file.unsynced = true;
    return ranges.count === 0 ? 0 : writeRanges(memory, fd, ranges, position);
  } catch (error) {
    return -errnoOf(error);
  } finally {
    if (fd >= 0) closeSync(fd);
  }
}

function writeRanges(
  memory: GuestMemory,
  fd: number,
  ranges: Ranges,
  position: number | null,
): number {
  const { bytes } = memory;
  if (ranges.count === 1) {
    return writeSync(fd, bytes, ranges.starts[0]!, ranges.lengths[0]!, position);
  }
  if (ranges.totalBytes > GATHER_BYTES_MAX) {
    return writevSync(fd, viewsOf(memory, ranges), position ?? undefined);
  }
  let end = 0;
  for (let index = 0; index < ranges.count; index++) {
    const start = ranges.starts[index]!;
    const length = ranges.lengths[index]!;
    gathered.set(bytes.subarray(start, start + length), end);
    end += length;
  }
  return writeSync(fd, gathered, 0, end, position);
}
