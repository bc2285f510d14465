/** What a handle is, and changing that: flags, rights, size, times; and the names of granted directories. */
import { type BigIntStats, closeSync, fstatSync, ftruncateSync, openSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import {
  FDFLAGS,
  FDFLAGS_ALL,
  FILETYPE,
  PREOPENTYPE_DIR,
  PREOPENTYPE_OTHER,
} from '../abi/flags.ts';
import { type Filestat, SIZE, writeFdstat } from '../abi/layout.ts';
import { RIGHT, rightsOf } from '../abi/rights.ts';
import type { Snapshot } from '../abi/snapshot.ts';
import { pathOfDescriptor } from '../handle/anchor.ts';
import { beforeTimesOf } from '../handle/changes.ts';
import { anchorOf } from '../handle/directory.ts';
import { type FileHandle, reopenFlags } from '../handle/file.ts';
import type { Handle, HandleTable } from '../handle/handle-table.ts';
import { filetypeOf } from '../handle/listing.ts';
import type { Preopen } from '../handle/preopens.ts';
import { setTimesOfFile, setTimesOfPath } from '../handle/times.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { heldFile } from './held.ts';
import { timesToSet } from './times-to-set.ts';

const SIZE_MAX = BigInt(Number.MAX_SAFE_INTEGER);

/** Flags that the host's descriptor has; the others are ours. */
const HOST_FLAGS = FDFLAGS.APPEND | FDFLAGS.DSYNC | FDFLAGS.RSYNC | FDFLAGS.SYNC;

export function fdStatCalls(
  { memory, handles, clock }: WasiEnvironment,
  { filestatBytes, writeFilestat }: Snapshot,
): Calls {
  return {
    /**
     * `fd_fdstat_get`: type, flags and rights of a handle.
     *
     * Writes an fdstat, 24 bytes, at `result`.
     *
     * - BADF: `fd` is not open.
     * - FAULT: `result` + 24 lies past the end of memory.
     *
     * Source: WASI snapshot preview1, `fd_fdstat_get`; compare fcntl(2) with F_GETFL.
     */
    fd_fdstat_get: (fd: number, result: number) => {
      const handle = handles.get(fd);
      if (handle === undefined) return ERRNO.BADF;
      if (!memory.holds(result, SIZE.FDSTAT)) return ERRNO.FAULT;
      const { flags, rights, rightsInheriting } = handle;
      const filetype = filetypeOfHandle(handle);
      writeFdstat(memory.view, result >>> 0, { filetype, flags, rights, rightsInheriting });
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_fdstat_set_flags`: sets APPEND, DSYNC, NONBLOCK, RSYNC, SYNC, and clears those not named.
     *
     * - BADF: `fd` is not open.
     * - INVAL: a flag that doesn't exist.
     * - NOTCAPABLE: the right FD_FDSTAT_SET_FLAGS is missing.
     * - NOTSUP: the host can't change them on an open file.
     *
     * Source: WASI snapshot preview1, `fd_fdstat_set_flags`; compare fcntl(2) with F_SETFL.
     */
    fd_fdstat_set_flags: (fd: number, flags: number) => {
      const handle = handles.get(fd);
      if (handle === undefined) return ERRNO.BADF;
      if ((flags & ~FDFLAGS_ALL) !== 0) return ERRNO.INVAL;
      if ((handle.rights & RIGHT.FD_FDSTAT_SET_FLAGS) === 0) return ERRNO.NOTCAPABLE;
      if (handle.kind === 'file' && ((handle.flags ^ flags) & HOST_FLAGS) !== 0) {
        return setHostFlags(handle, flags);
      }
      handle.flags = flags;
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_fdstat_set_rights`: gives up rights, both i64: the handle's and those that it passes on.
     *
     * - BADF: `fd` is not open.
     * - NOTCAPABLE: the handle doesn't have one of them.
     *
     * Source: WASI snapshot preview1, `fd_fdstat_set_rights`.
     */
    fd_fdstat_set_rights: (fd: number, rights: bigint, inheriting: bigint) => {
      const handle = handles.get(fd);
      if (handle === undefined) return ERRNO.BADF;
      if (!isPartOf(rights, handle.rights)) return ERRNO.NOTCAPABLE;
      if (!isPartOf(inheriting, handle.rightsInheriting)) return ERRNO.NOTCAPABLE;
      handle.rights = rightsOf(rights);
      handle.rightsInheriting = rightsOf(inheriting);
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_filestat_get`: what the host knows of an open file or directory. A stream has zeros.
     *
     * Writes a filestat, 64 bytes, at `result`.
     *
     * - BADF: `fd` is not open.
     * - FAULT: `result` + 64 lies past the end of memory.
     * - NOTCAPABLE: the right FD_FILESTAT_GET is missing.
     *
     * Source: WASI snapshot preview1, `fd_filestat_get`; compare fstat(2).
     */
    fd_filestat_get: (fd: number, result: number) => {
      const handle = handles.get(fd);
      if (handle === undefined) return ERRNO.BADF;
      if (!memory.holds(result, filestatBytes)) return ERRNO.FAULT;
      if ((handle.rights & RIGHT.FD_FILESTAT_GET) === 0) return ERRNO.NOTCAPABLE;
      writeFilestat(
        memory.view,
        result >>> 0,
        withTimesAs(clock.resolutionNs, filestatOfHandle(handle)),
      );
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_filestat_set_size`: cuts a file to `size`, u64 bytes, or lets it grow to that with zeros.
     *
     * - BADF: `fd` is not open, or a directory. SPIPE: it is a stream.
     * - NOTCAPABLE: the right FD_FILESTAT_SET_SIZE is missing.
     * - INVAL: 2^63 or more. FBIG: larger than a file can be. NOSPC, DQUOT, IO: the host can't.
     *
     * Source: WASI snapshot preview1, `fd_filestat_set_size`; compare ftruncate(2).
     */
    fd_filestat_set_size: (fd: number, size: bigint) => {
      const file = heldFile(handles, fd, RIGHT.FD_FILESTAT_SET_SIZE);
      if (typeof file === 'number') return file;
      const sizeBytes = BigInt.asIntN(64, size);
      if (sizeBytes < 0n) return ERRNO.INVAL;
      if (sizeBytes > SIZE_MAX) return ERRNO.FBIG;
      // What is cut off is kept where it can be put back; a file made longer takes no room yet.
      const cutBytes = Math.max(0, fstatSync(file.hostFd).size - Number(sizeBytes));
      file.preopen.kept?.take(cutBytes);
      const errno = file.preopen.rollback?.beforeResize(file, Number(sizeBytes)) ?? 0;
      if (errno !== ERRNO.SUCCESS) return errno;
      file.unsynced = true;
      ftruncateSync(file.hostFd, Number(sizeBytes));
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_filestat_set_times`: sets times of access and modification, u64 nanoseconds since 1970, as
     * `flags` says: each to the time given, to now, or not at all.
     *
     * - BADF: `fd` is not open, or a stream.
     * - INVAL: `flags` sets a time twice, or has a flag that doesn't exist.
     * - NOTCAPABLE: the right FD_FILESTAT_SET_TIMES is missing.
     * - ROFS: it was granted read-only. NOTSUP: the host can't.
     *
     * Source: WASI snapshot preview1, `fd_filestat_set_times`; compare futimens(2).
     */
    fd_filestat_set_times: (fd: number, atime: bigint, mtime: bigint, flags: number) => {
      const handle = handles.get(fd);
      if (handle === undefined) return ERRNO.BADF;
      const times = timesToSet(atime, mtime, flags, clock);
      if (typeof times === 'number') return times;
      if (handle.kind !== 'file' && handle.kind !== 'directory') return ERRNO.BADF;
      if ((handle.rights & RIGHT.FD_FILESTAT_SET_TIMES) === 0) return ERRNO.NOTCAPABLE;
      if (handle.preopen.grant.readOnly) return ERRNO.ROFS;
      const errno = beforeTimesOf(handle);
      if (errno !== ERRNO.SUCCESS) return errno;
      if (handle.kind === 'directory') return setTimesOfPath(`${anchorOf(handle).prefix}.`, times);
      const path = pathOfDescriptor(handle.hostFd, handle.preopen.root);
      return setTimesOfFile(handle.hostFd, path, times);
    },

    /**
     * `fd_prestat_get`: what kind of thing a guest was started with.
     *
     * Writes a prestat, 8 bytes, at `result`. For a directory: tag 0, and the bytes of its name, u32. For
     * a listener: tag 1, and 0; see `PREOPENTYPE_OTHER`.
     *
     * - BADF: `fd` is not open, or the guest was not started with it.
     * - FAULT: `result` + 8 lies past the end of memory.
     *
     * Source: WASI snapshot preview1, `fd_prestat_get`.
     */
    fd_prestat_get: (fd: number, result: number) => {
      const name = preopenName(handles, fd);
      const isListener = handles.get(fd)?.kind === 'listener';
      if (name === null && !isListener) return ERRNO.BADF;
      if (!memory.holds(result, SIZE.PRESTAT)) return ERRNO.FAULT;
      const tag = isListener ? PREOPENTYPE_OTHER : PREOPENTYPE_DIR;
      memory.view.setUint32(result >>> 0, tag, true);
      memory.view.setUint32((result >>> 0) + 4, name?.length ?? 0, true);
      return ERRNO.SUCCESS;
    },

    /**
     * `fd_prestat_dir_name`: the guest's name of a directory that it was started with.
     *
     * Writes the name, without a NUL, at `buffer`.
     *
     * - BADF: `fd` is not open, or the guest was not started with it.
     * - NAMETOOLONG: the name has more than `length` bytes.
     * - FAULT: the buffer isn't within memory.
     *
     * Source: WASI snapshot preview1, `fd_prestat_dir_name`.
     */
    fd_prestat_dir_name: (fd: number, buffer: number, length: number) => {
      const name = preopenName(handles, fd);
      if (name === null) return ERRNO.BADF;
      if (length >>> 0 < name.length) return ERRNO.NAMETOOLONG;
      if (!memory.holds(buffer, length)) return ERRNO.FAULT;
      memory.bytes.set(name, buffer >>> 0);
      return ERRNO.SUCCESS;
    },
  };
}

/** A filestat of what the host says, but for names that only the host gave to a thing. */
export function filestatOf(stats: BigIntStats, { rollback, view }: Preopen): Filestat {
  if (view !== null) return view.filestat(stats);
  const nlink = rollback?.linksOf(stats) ?? stats.nlink;
  const { dev, ino, size, atimeNs, mtimeNs, ctimeNs } = stats;
  return { dev, ino, filetype: filetypeOf(stats), nlink, size, atimeNs, mtimeNs, ctimeNs };
}

/**
 * With times rounded down as the guest's clock is: of a file that it has just written, they would be a finer
 * one.
 */
export function withTimesAs(grainNs: bigint, stat: Filestat): Filestat {
  if (grainNs === 1n) return stat;
  const rounded = (ns: bigint): bigint => ns - (((ns % grainNs) + grainNs) % grainNs);
  const { atimeNs, mtimeNs, ctimeNs } = stat;
  return {
    ...stat,
    atimeNs: rounded(atimeNs),
    mtimeNs: rounded(mtimeNs),
    ctimeNs: rounded(ctimeNs),
  };
}

function filestatOfHandle(handle: Handle): Filestat {
  if (handle.kind === 'file') {
    return filestatOf(fstatSync(handle.hostFd, { bigint: true }), handle.preopen);
  }
  if (handle.kind === 'directory') {
    return filestatOf(fstatSync(anchorOf(handle).fd, { bigint: true }), handle.preopen);
  }
  const none = { dev: 0n, ino: 0n, nlink: 0n, size: 0n, atimeNs: 0n, mtimeNs: 0n, ctimeNs: 0n };
  return { ...none, filetype: filetypeOfHandle(handle) };
}

function filetypeOfHandle(handle: Handle): number {
  if (handle.kind === 'file') return FILETYPE.REGULAR_FILE;
  if (handle.kind === 'directory') return FILETYPE.DIRECTORY;
  if (handle.kind === 'listener' || handle.kind === 'connection') return FILETYPE.SOCKET_STREAM;
  const { isTerminal } = handle.kind === 'stdin' ? handle.source : handle.sink;
  return isTerminal ? FILETYPE.CHARACTER_DEVICE : FILETYPE.UNKNOWN;
}

/** Node has no F_SETFL: the file is opened a second time, by descriptor, and takes the first's place. */
function setHostFlags(file: FileHandle, flags: number): number {
  const path = pathOfDescriptor(file.hostFd, file.preopen.root);
  if (path === null) return ERRNO.NOTSUP;
  const { readable, writable } = file;
  const fd = openSync(path, reopenFlags({ readable, writable, flags }));
  closeSync(file.hostFd);
  file.hostFd = fd;
  file.flags = flags;
  return ERRNO.SUCCESS;
}

function isPartOf(asked: bigint, held: number): boolean {
  return (BigInt.asUintN(64, asked) & ~BigInt(held)) === 0n;
}

const encoder = new TextEncoder();

function preopenName(handles: HandleTable, fd: number): Uint8Array | null {
  const handle = handles.get(fd);
  if (handle?.kind !== 'directory' || handle.preopenName === null) return null;
  return encoder.encode(handle.preopenName);
}
