/**
 * What SQLite says, as an errno. Source: "Result and Error Codes", sqlite.org/rescode.html; the lowest
 * eight bits of an extended code are the plain one.
 */
import { ERRNO } from '../abi/errno.ts';

const ERRNO_OF: Readonly<Record<number, number>> = {
  5: ERRNO.BUSY,
  6: ERRNO.BUSY,
  7: ERRNO.NOMEM,
  8: ERRNO.ROFS,
  13: ERRNO.NOSPC,
  18: ERRNO.FBIG,
};

/** What else fails (disk, damage) is IO. Null when SQLite did not say this. */
export function errnoOfSqlite(error: unknown): number | null {
  if (!(error instanceof Error) || !('code' in error) || error.code !== 'ERR_SQLITE_ERROR') {
    return null;
  }
  const code = 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : 0;
  return ERRNO_OF[code & 0xff] ?? ERRNO.IO;
}
