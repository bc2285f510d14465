import { type Facts, HostError } from '../fault/host-error.ts';
import { errorCode } from '../fault/io-failure.ts';

/** A statement makes no sense to SQLite; also what it says of a file whose format it does not know. */
export const LOGIC = 1;
export const BUSY = 5;
const CORRUPT = 11;
const FULL = 13;
const NOT_A_DATABASE = 26;
const TOO_BIG = 18;
const CONSTRAINT = 19;
const MISMATCH = 20;

/** Another process holds the lock: worth another try. */
export function isBusy(error: unknown): boolean {
  return primaryCode(error) === BUSY;
}

export function isDiskFull(error: unknown): boolean {
  return primaryCode(error) === FULL;
}

/**
 * The HostError for a failure of SQLite while it was to `operation` (completes "Could not …"). Anything
 * else is given back as it is. `alsoDamage`: SQLite's codes that come of nothing but damage there.
 */
export function sqliteFailure(
  operation: string,
  error: unknown,
  alsoDamage: readonly number[] = [],
): unknown {
  const code = primaryCode(error);
  if (code === null) {
    // A number wider than any that we write.
    return errorCode(error) === 'ERR_OUT_OF_RANGE' ? damagedIndex({ operation }, error) : error;
  }
  const options = { facts: { operation, sqlite: code }, cause: error };
  if (code === FULL) {
    return new HostError('ERR_DISK_FULL', `Could not ${operation}: the disk is full.`, {
      ...options,
      hint: 'free some space and do it again; nothing that was there before is lost',
    });
  }
  if (code === BUSY) {
    return new HostError('ERR_VAULT_BUSY', `Could not ${operation}: the vault is in use.`, {
      ...options,
      hint: 'try again when the other processes on this vault are done',
    });
  }
  // A constraint fails or a type is off only where a row was changed behind our back.
  if ([CORRUPT, NOT_A_DATABASE, TOO_BIG, CONSTRAINT, MISMATCH, ...alsoDamage].includes(code)) {
    return damagedIndex(options.facts, error);
  }
  return new HostError(
    'ERR_IO',
    `Could not ${operation}: the database reports error ${code}.`,
    options,
  );
}

function damagedIndex(facts: Facts, cause: unknown): HostError {
  return new HostError('ERR_VAULT_DAMAGED', "The vault's index is damaged.", { facts, cause });
}

/** SQLite's primary result code, or null for an error that isn't SQLite's. */
function primaryCode(error: unknown): number | null {
  if (typeof error !== 'object' || error === null || !('errcode' in error)) return null;
  return typeof error.errcode === 'number' ? error.errcode & 0xff : null;
}
