/**
 * A lock on a whole file that one process has for as long as it lives: the kernel lets go of it at its death,
 * however that comes (flock).
 */
import { closeSync, openSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { openNativeLibrary } from './library.ts';

const LOCK_EX = 2;
const LOCK_NB = 4;

const SIGNATURES = { flock: { arguments: ['int32', 'int32'], return: 'int32' } } as const;

export type LockAttempt = 'locked' | 'taken' | 'unsupported';

/** Makes the file if it is not there, and never lets go. Throws the system's errors of opening it. */
export function lockWholeFile(path: string): LockAttempt {
  const library = openNativeLibrary(
    SIGNATURES,
    ({ functions, errno }) =>
      functions.flock(-1, LOCK_EX | LOCK_NB) === -1 && errno() === ERRNO.BADF,
  );
  if (library === null) return 'unsupported';
  const fd = openSync(path, 'a', 0o600);
  if (library.functions.flock(fd, LOCK_EX | LOCK_NB) === 0) return 'locked';
  closeSync(fd);
  return 'taken';
}
