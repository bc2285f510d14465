/** Making what was written durable, by whichever way this process has. */
import { closeSync, constants, fdatasyncSync, fsyncSync, openSync } from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import type { Anchor } from './anchor.ts';
import { nativeCalls } from './native-calls.ts';

/**
 * Waits until the contents of the open file `fd` (with `dataOnly`: what is needed to read them back)
 * are on the disk. NOTSUP when this process has no way to: Node's permission model without FFI.
 */
export function syncFile(fd: number, dataOnly: boolean): Errno {
  const native = nativeCalls();
  if (native !== null) return dataOnly ? native.dataSync(fd) : native.sync(fd);
  try {
    if (dataOnly) fdatasyncSync(fd);
    else fsyncSync(fd);
    return ERRNO.SUCCESS;
  } catch (error) {
    const errno = errnoOf(error);
    return errno === ERRNO.ACCES ? ERRNO.NOTSUP : errno;
  }
}

/** The same for the entries of a directory. */
export function syncDirectory(anchor: Anchor): Errno {
  let fd: number;
  try {
    // The anchor itself only names the directory.
    fd = openSync(`${anchor.prefix}.`, constants.O_RDONLY | constants.O_DIRECTORY);
  } catch (error) {
    return errnoOf(error);
  }
  try {
    return syncFile(fd, false);
  } finally {
    closeSync(fd);
  }
}
