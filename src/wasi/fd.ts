/** Closing, renumbering, making durable, and hints to the host. */
import { fstatSync, ftruncateSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { ADVICE_MAX } from '../abi/flags.ts';
import { RIGHT } from '../abi/rights.ts';
import { anchorOf, closeDirectory } from '../handle/directory.ts';
import { syncDirectory, syncFile } from '../handle/durability.ts';
import { closeFile } from '../handle/file.ts';
import type { Handle } from '../handle/handle-table.ts';
import { closeListener } from '../handle/listener.ts';
import { nativeCalls } from '../handle/native-calls.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { heldFile } from './held.ts';

const SIZE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

export function fdCalls({ handles, connections }: WasiEnvironment): Calls {
  const letGo = (handle: Handle): number => {
    if (handle.kind === 'file') {
      handle.preopen.rollback?.noteClosed(handle);
      return closeFile(handle);
    }
    if (handle.kind === 'directory') closeDirectory(handle);
    else if (handle.kind === 'listener') closeListener(handle.listener);
    else if (handle.kind === 'connection') connections.close(handle.serial);
    return ERRNO.SUCCESS;
  };

  const sync = (fd: number, right: number, dataOnly: boolean): number => {
    const handle = handles.get(fd);
    if (handle === undefined) return ERRNO.BADF;
    if (handle.kind !== 'file' && handle.kind !== 'directory') return ERRNO.INVAL;
    // To sync all is more than to sync the data: either right will do for the latter.
    const rights = dataOnly ? right | RIGHT.FD_SYNC : right;
    if ((handle.rights & rights) === 0) return ERRNO.NOTCAPABLE;
    if (handle.kind === 'directory') return syncDirectory(anchorOf(handle));
    const errno = syncFile(handle.hostFd, dataOnly);
    if (errno === ERRNO.SUCCESS) handle.unsynced = false;
    return errno;
  };

  return {
    /**
     * `fd_close`: closes a handle; its number is free again.
     *
     * - BADF: `fd` is not open.
     * - IO, NOSPC, DQUOT: the host failed to write what it had held back; `fd` is closed all the same.
     *
     * Source: WASI snapshot preview1, `fd_close`; compare close(2).
     */
    fd_close: (fd: number) => {
      const handle = handles.remove(fd);
      return handle === undefined ? ERRNO.BADF : letGo(handle);
    },

    /**
     * `fd_renumber`: the handle of number `from` gets the number `to`, whose handle is closed.
     *
     * - BADF: one of the two is not open.
     *
     * Source: WASI snapshot preview1, `fd_renumber`; compare dup2(2), but `to` must be open.
     */
    fd_renumber: (from: number, to: number) => {
      if (handles.get(from) === undefined || handles.get(to) === undefined) return ERRNO.BADF;
      const replaced = handles.move(from, to);
      if (replaced !== undefined) letGo(replaced);
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_sync`: waits until the file's contents and metadata are durable; a directory's, its entries.
     *
     * - BADF: `fd` is not open. INVAL: it is a stream.
     * - NOTCAPABLE: the right FD_SYNC is missing.
     * - NOTSUP: the host has no way to.
     * - IO, NOSPC, DQUOT: the host failed to.
     *
     * Source: WASI snapshot preview1, `fd_sync`; compare fsync(2).
     */
    fd_sync: (fd: number) => sync(fd, RIGHT.FD_SYNC, false),

    /**
     * `fd_datasync`: waits until the file's contents are durable, and what is needed to find them.
     *
     * - BADF: `fd` is not open. INVAL: it is a stream.
     * - NOTCAPABLE: both rights FD_DATASYNC and FD_SYNC are missing.
     * - NOTSUP: the host has no way to.
     * - IO, NOSPC, DQUOT: the host failed to.
     *
     * Source: WASI snapshot preview1, `fd_datasync`; compare fdatasync(2).
     */
    fd_datasync: (fd: number) => sync(fd, RIGHT.FD_DATASYNC, true),

    /**
     * `fd_advise`: says how `length` bytes from `offset` will be used. The host is not told.
     *
     * - BADF: `fd` is not open, or a directory. SPIPE: it is a stream.
     * - INVAL: `advice` is none of those known, or `offset` or `length` is negative.
     * - NOTCAPABLE: the right FD_ADVISE is missing.
     *
     * Source: WASI snapshot preview1, `fd_advise`; compare posix_fadvise(2).
     */
    fd_advise: (fd: number, offset: bigint, length: bigint, advice: number) => {
      const file = heldFile(handles, fd, RIGHT.FD_ADVISE);
      if (typeof file === 'number') return file;
      if (advice >>> 0 > ADVICE_MAX) return ERRNO.INVAL;
      const negative = BigInt.asIntN(64, offset) < 0n || BigInt.asIntN(64, length) < 0n;
      return negative ? ERRNO.INVAL : ERRNO.SUCCESS;
    },

    /**
     * `fd_allocate`: makes sure that `length` bytes from `offset` can be written. The file grows to
     * their end if it was shorter; what is there stays. Where the host can't set space aside, the file
     * only grows.
     *
     * - BADF: `fd` is not open, or a directory. SPIPE: it is a stream.
     * - INVAL: `offset` is negative, or `length` is not positive. FBIG: beyond what a file can be.
     * - NOTCAPABLE: the right FD_ALLOCATE is missing.
     * - NOSPC, DQUOT, IO: the host can't.
     *
     * Source: WASI snapshot preview1, `fd_allocate`; compare posix_fallocate(3).
     */
    fd_allocate: (fd: number, offset: bigint, length: bigint) => {
      const file = heldFile(handles, fd, RIGHT.FD_ALLOCATE);
      if (typeof file === 'number') return file;
      const from = BigInt.asIntN(64, offset);
      const size = BigInt.asIntN(64, length);
      if (from < 0n || size <= 0n) return ERRNO.INVAL;
      if (from + size > SIZE_MAX) return ERRNO.FBIG;
      file.preopen.kept?.take(Number(size));
      const before = file.preopen.rollback?.beforeResize(file, Number(from + size)) ?? 0;
      if (before !== ERRNO.SUCCESS) return before;
      file.unsynced = true;
      const errno = nativeCalls()?.allocate(file.hostFd, from, size) ?? ERRNO.NOTSUP;
      if (errno !== ERRNO.NOTSUP && errno !== ERRNO.NOSYS) return errno;
      if (fstatSync(file.hostFd).size < Number(from + size)) {
        ftruncateSync(file.hostFd, Number(from + size));
      }
      return ERRNO.SUCCESS;
    },
  };
}
