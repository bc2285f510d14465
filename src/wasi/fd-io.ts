/** Reading, writing and seeking. */
import { fstatSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { FDFLAGS } from '../abi/flags.ts';
import { RIGHT } from '../abi/rights.ts';
import type { Snapshot } from '../abi/snapshot.ts';
import type { FileHandle } from '../handle/file.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { readAt, writeAt, writeAtOf } from './file-transfer.ts';
import { heldFile } from './held.ts';
import { createRanges, readRanges } from './iovec.ts';
import { PLAIN, receive, send } from './socket-transfer.ts';
import { readFromStdin, writeToOutput } from './stream-transfer.ts';

const OFFSET_MAX = Number.MAX_SAFE_INTEGER;
const I64_MAX = 2n ** 63n - 1n;

export function fdIoCalls(environment: WasiEnvironment, { whence: WHENCE }: Snapshot): Calls {
  const { memory, handles } = environment;
  const ranges = createRanges();

  /** Checks what all four transfers are given: the place for the size, and the iovecs. */
  const prepare = (iovecs: number, count: number, size: number): number => {
    if (!memory.holds(size, 4)) return ERRNO.FAULT;
    return readRanges(memory, iovecs, count, ranges);
  };

  /** Writes how many bytes were moved; `moved` is minus an errno if that failed. */
  const finish = (moved: number, size: number): number => {
    if (moved < 0) return -moved;
    memory.view.setUint32(size >>> 0, moved, true);
    return ERRNO.SUCCESS;
  };

  const readFile = (file: FileHandle): number => {
    const read = readAt(memory, file, ranges, file.offsetBytes);
    if (read > 0) file.offsetBytes += read;
    return read;
  };

  const writeFile = (file: FileHandle): number => {
    if (file.flags & FDFLAGS.APPEND) {
      const written = writeAt(memory, file, ranges, null);
      if (written > 0) file.offsetBytes = fstatSync(file.hostFd).size;
      return written;
    }
    if (file.offsetBytes > OFFSET_MAX - ranges.totalBytes) return -ERRNO.FBIG;
    const written = writeAt(memory, file, ranges, file.offsetBytes);
    if (written > 0) file.offsetBytes += written;
    return written;
  };

  return {
    /**
     * `fd_read`: bytes from where the handle stands, which moves on. Waits on stdin and connections until
     * there are some, unless NONBLOCK is set. 0 bytes are the end.
     *
     * Writes into the `count` iovecs at `iovecs`, in order, and the bytes read, u32, at `size`.
     *
     * - BADF: `fd` is not open, or not for reading, or a directory.
     * - INVAL: more than 1024 iovecs, or 4 GiB or more in all.
     * - FAULT: the iovecs, a buffer or `size` isn't within memory; nothing was read.
     * - AGAIN: nothing there yet, and NONBLOCK is set.
     * - CONNRESET: the other side of a connection broke off, or the guest was restored since.
     * - IO: the host failed to read.
     *
     * Source: WASI snapshot preview1, `fd_read`; compare readv(2).
     */
    fd_read: (fd: number, iovecs: number, count: number, size: number) => {
      const handle = handles.get(fd);
      if (handle === undefined || (handle.rights & RIGHT.FD_READ) === 0) return ERRNO.BADF;
      const errno = prepare(iovecs, count, size);
      if (errno !== ERRNO.SUCCESS) return errno;
      if (handle.kind === 'file') return finish(readFile(handle), size);
      if (handle.kind !== 'stdin' && handle.kind !== 'connection') return ERRNO.BADF;
      const read =
        handle.kind === 'stdin'
          ? readFromStdin(environment, handle, ranges)
          : receive(environment, handle, ranges, PLAIN);
      return read === 'interrupted' ? INTERRUPTED : finish(read, size);
    },

    /**
     * `fd_pread`: bytes from `offset`, i64; the handle stands where it stood.
     *
     * Writes into the `count` iovecs at `iovecs`, in order, and the bytes read, u32, at `size`.
     *
     * - BADF: `fd` is not open, or not for reading, or a directory. SPIPE: it is a stream.
     * - INVAL: `offset` is negative; more than 1024 iovecs, or 4 GiB or more in all.
     * - FAULT: the iovecs, a buffer or `size` isn't within memory; nothing was read.
     * - NOTCAPABLE: the right FD_SEEK is missing.
     *
     * Source: WASI snapshot preview1, `fd_pread`; compare preadv(2).
     */
    fd_pread: (fd: number, iovecs: number, count: number, offset: bigint, size: number) => {
      const file = heldFile(handles, fd, 0);
      if (typeof file === 'number') return file;
      if ((file.rights & RIGHT.FD_READ) === 0) return ERRNO.BADF;
      if ((file.rights & RIGHT.FD_SEEK) === 0) return ERRNO.NOTCAPABLE;
      const errno = prepare(iovecs, count, size);
      if (errno !== ERRNO.SUCCESS) return errno;
      // A BigInt is the slow way to a system call.
      const at = Number(offset);
      if (at >= 0 && at <= OFFSET_MAX) return finish(readAt(memory, file, ranges, at), size);
      const position = BigInt.asIntN(64, offset);
      if (position < 0n || position > I64_MAX - BigInt(ranges.totalBytes)) return ERRNO.INVAL;
      return finish(readAt(memory, file, ranges, position), size);
    },

    /**
     * `fd_write`: bytes to where the handle stands, which moves on; to the end with APPEND.
     *
     * Takes the `count` ciovecs at `iovecs`, in order, and writes the bytes written, u32, at `size`.
     *
     * - BADF: `fd` is not open, or not for writing, or a directory.
     * - INVAL: more than 1024 ciovecs, or 4 GiB or more in all.
     * - FAULT: the ciovecs, a buffer or `size` isn't within memory; nothing was written.
     * - AGAIN, PIPE, CONNRESET: as `sock_send`, which this is on a connection.
     * - FBIG, NOSPC, DQUOT, IO: the host can't.
     *
     * Source: WASI snapshot preview1, `fd_write`; compare writev(2).
     */
    fd_write: (fd: number, iovecs: number, count: number, size: number) => {
      const handle = handles.get(fd);
      if (handle === undefined || (handle.rights & RIGHT.FD_WRITE) === 0) return ERRNO.BADF;
      const errno = prepare(iovecs, count, size);
      if (errno !== ERRNO.SUCCESS) return errno;
      if (handle.kind === 'file') return finish(writeFile(handle), size);
      if (handle.kind !== 'output' && handle.kind !== 'connection') return ERRNO.BADF;
      const written =
        handle.kind === 'output'
          ? writeToOutput(environment, handle, ranges)
          : send(environment, handle, ranges);
      return written === 'interrupted' ? INTERRUPTED : finish(written, size);
    },

    /**
     * `fd_pwrite`: bytes to `offset`, i64, also with APPEND; the handle stands where it stood.
     *
     * Takes the `count` ciovecs at `iovecs`, in order, and writes the bytes written, u32, at `size`.
     *
     * - BADF: `fd` is not open, or not for writing, or a directory. SPIPE: it is a stream.
     * - INVAL: `offset` is negative; more than 1024 ciovecs, or 4 GiB or more in all.
     * - FAULT: the ciovecs, a buffer or `size` isn't within memory; nothing was written.
     * - NOTCAPABLE: the right FD_SEEK is missing.
     * - FBIG, NOSPC, DQUOT, IO: the host can't.
     *
     * Source: WASI snapshot preview1, `fd_pwrite`; compare pwritev(2).
     */
    fd_pwrite: (fd: number, iovecs: number, count: number, offset: bigint, size: number) => {
      const file = heldFile(handles, fd, 0);
      if (typeof file === 'number') return file;
      if ((file.rights & RIGHT.FD_WRITE) === 0) return ERRNO.BADF;
      if ((file.rights & RIGHT.FD_SEEK) === 0) return ERRNO.NOTCAPABLE;
      const errno = prepare(iovecs, count, size);
      if (errno !== ERRNO.SUCCESS) return errno;
      // Where this is not exact, it is beyond what an offset can be.
      const position = Number(BigInt.asIntN(64, offset));
      if (position < 0) return ERRNO.INVAL;
      if (position > OFFSET_MAX - ranges.totalBytes) return ERRNO.FBIG;
      return finish(writeAtOf(memory, file, ranges, position), size);
    },

    /**
     * `fd_seek`: moves where the handle stands, by `offset`, i64, from the start, from there, or from
     * the end of the file. Beyond the end is allowed; a write there leaves a gap of zeros.
     *
     * Writes the new offset, u64, bytes from the start of the file, at `result`.
     *
     * - BADF: `fd` is not open, or a directory. SPIPE: it is a stream.
     * - INVAL: `whence` is none of the three, or the new offset is negative or beyond 2^53.
     * - FAULT: `result` + 8 lies past the end of memory; nothing was moved.
     * - NOTCAPABLE: the right FD_SEEK is missing; to move by 0 from there, FD_TELL will do.
     *
     * Source: WASI snapshot preview1, `fd_seek`; compare lseek(2).
     */
    fd_seek: (fd: number, offset: bigint, whence: number, result: number) => {
      const file = heldFile(handles, fd, 0);
      if (typeof file === 'number') return file;
      // Asking where it stands takes less than moving it.
      const asks = whence === WHENCE.CUR && offset === 0n;
      const rights = asks ? RIGHT.FD_SEEK | RIGHT.FD_TELL : RIGHT.FD_SEEK;
      if ((file.rights & rights) === 0) return ERRNO.NOTCAPABLE;
      if (!memory.holds(result, 8)) return ERRNO.FAULT;
      let base: number;
      if (whence === WHENCE.SET) base = 0;
      else if (whence === WHENCE.CUR) base = file.offsetBytes;
      else if (whence === WHENCE.END) base = fstatSync(file.hostFd).size;
      else return ERRNO.INVAL;
      // Where this is not exact, it is beyond what an offset can be.
      const target = base + Number(BigInt.asIntN(64, offset));
      if (target < 0 || target > OFFSET_MAX) return ERRNO.INVAL;
      file.offsetBytes = target;
      memory.setWide(result, target);
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_tell`: where the next read or write on `fd` begins.
     *
     * Writes `offset`, u64, bytes from the start of the file, at `result`.
     *
     * - BADF: `fd` is not open, or a directory. SPIPE: it is a stream.
     * - FAULT: `result` + 8 lies past the end of memory; nothing was written.
     * - NOTCAPABLE: both rights FD_TELL and FD_SEEK are missing.
     *
     * Source: WASI snapshot preview1, `fd_tell`; compare lseek(2) with SEEK_CUR.
     */
    fd_tell: (fd: number, result: number) => {
      const file = heldFile(handles, fd, 0);
      if (typeof file === 'number') return file;
      if ((file.rights & (RIGHT.FD_SEEK | RIGHT.FD_TELL)) === 0) return ERRNO.NOTCAPABLE;
      if (!memory.holds(result, 8)) return ERRNO.FAULT;
      memory.setWide(result, file.offsetBytes);
      return ERRNO.SUCCESS;
    },
  };
}
