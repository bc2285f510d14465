/** Looking up the handle that a call names, with the rights that the call needs. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { DirectoryHandle } from '../handle/directory.ts';
import type { FileHandle } from '../handle/file.ts';
import type { HandleTable } from '../handle/handle-table.ts';
import { ENTRY_BYTES } from '../handle/kept-bytes.ts';

/**
 * The open file `fd` with all of `rights`, or an errno:
 *
 * - BADF: `fd` is not open, or a directory.
 * - SPIPE: `fd` is one of the streams: it has neither offset nor size.
 * - NOTCAPABLE: a right is missing.
 */
export function heldFile(handles: HandleTable, fd: number, rights: number): FileHandle | Errno {
  const handle = handles.get(fd);
  if (handle === undefined || handle.kind === 'directory') return ERRNO.BADF;
  if (handle.kind !== 'file') return ERRNO.SPIPE;
  return (handle.rights & rights) === rights ? handle : ERRNO.NOTCAPABLE;
}

/**
 * The open directory `fd` with all of `rights`, or an errno:
 *
 * - BADF: `fd` is not open. NOTDIR: it is no directory.
 * - NOTCAPABLE: a right is missing.
 */
export function heldDirectory(
  handles: HandleTable,
  fd: number,
  rights: number,
): DirectoryHandle | Errno {
  const handle = handles.get(fd);
  if (handle === undefined) return ERRNO.BADF;
  if (handle.kind !== 'directory') return ERRNO.NOTDIR;
  return (handle.rights & rights) === rights ? handle : ERRNO.NOTCAPABLE;
}

/**
 * The same for a call that changes something in the directory: ROFS when it is read-only. Throws
 * LimitReached when no more can be kept for the guest.
 */
export function heldForChange(
  handles: HandleTable,
  fd: number,
  rights: number,
): DirectoryHandle | Errno {
  const directory = heldDirectory(handles, fd, rights);
  if (typeof directory === 'number') return directory;
  if (directory.readOnly) return ERRNO.ROFS;
  directory.preopen.kept?.take(ENTRY_BYTES);
  return directory;
}
