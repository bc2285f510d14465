import { HostError } from './host-error.ts';

/** Errors of the system that say that there is no room, rather than that something is broken. */
const FULL = new Set(['ENOSPC', 'EDQUOT']);

/**
 * The HostError for a failed operation of the system: ERR_DISK_FULL or ERR_IO. `operation` completes
 * "Could not …"; it may name a path that the user gave, shown as it is.
 */
export function ioFailure(operation: string, cause: unknown): HostError {
  const code = errorCode(cause);
  if (code !== null && FULL.has(code)) {
    return new HostError('ERR_DISK_FULL', `Could not ${operation}: the disk is full.`, {
      facts: { system: code },
      hint: 'free some space and do it again; nothing that was there before is lost',
      cause,
    });
  }
  return new HostError('ERR_IO', `Could not ${operation}: ${code ?? 'an unknown error'}.`, {
    facts: { system: code },
    cause,
  });
}

/** The system's name for an error, such as ENOENT, if it has one. */
export function errorCode(error: unknown): string | null {
  if (typeof error !== 'object' || error === null || !('code' in error)) return null;
  return typeof error.code === 'string' ? error.code : null;
}
