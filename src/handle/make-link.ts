/** Making symbolic links, by whichever way this process has. */
import { symlinkSync } from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import { nativeCalls } from './native-calls.ts';

export function makeLink(target: string, path: string): Errno {
  const native = nativeCalls();
  if (native !== null) return native.symlink(target, path);
  try {
    symlinkSync(target, path);
    return ERRNO.SUCCESS;
  } catch (error) {
    const errno = errnoOf(error);
    // The permission model allows links only to those who may read and write everything.
    return errno === ERRNO.ACCES && process.permission !== undefined ? ERRNO.NOTSUP : errno;
  }
}
