/**
 * Setting access and modification times.
 *
 * With `node:ffi` to the nanosecond. Without it Node takes seconds as a double, good for about a
 * microsecond, and a time to keep is read and set again.
 */
import { type BigIntStats, fstatSync, lstatSync, lutimesSync, utimesSync } from 'node:fs';
import { ERRNO, type Errno, errnoOf } from '../abi/errno.ts';
import { type NativeCalls, nativeCalls, type TimeToSet } from './native-calls.ts';

export interface Times {
  readonly atime: TimeToSet;
  readonly mtime: TimeToSet;
  /** What `now` is where the host doesn't know it: wall clock, nanoseconds since 1970. */
  readonly nowNs: bigint;
}

/** Of what `path` names, without following a symbolic link. */
export function setTimesOfPath(
  path: string,
  times: Times,
  native: NativeCalls | null = nativeCalls(),
): Errno {
  if (native !== null) return native.setTimesAt(path, times.atime, times.mtime);
  try {
    const [atime, mtime] = inSeconds(lstatSync(path, { bigint: true }), times);
    lutimesSync(path, atime, mtime);
    return ERRNO.SUCCESS;
  } catch (error) {
    return errnoOf(error);
  }
}

/**
 * Of the open file `fd`. `path` names it whatever it is called by now (`/proc/self/fd/…`); where the
 * host has no such name it is null, and the answer without FFI is NOTSUP.
 */
export function setTimesOfFile(
  fd: number,
  path: string | null,
  times: Times,
  native: NativeCalls | null = nativeCalls(),
): Errno {
  if (native !== null) return native.setTimes(fd, times.atime, times.mtime);
  if (path === null) return ERRNO.NOTSUP;
  try {
    const [atime, mtime] = inSeconds(fstatSync(fd, { bigint: true }), times);
    utimesSync(path, atime, mtime);
    return ERRNO.SUCCESS;
  } catch (error) {
    return errnoOf(error);
  }
}

function inSeconds(stats: BigIntStats, times: Times): [atime: number, mtime: number] {
  const pick = (time: TimeToSet, keptNs: bigint): number => {
    if (time === 'keep') return Number(keptNs) / 1e9;
    return Number(time === 'now' ? times.nowNs : time) / 1e9;
  };
  return [pick(times.atime, stats.atimeNs), pick(times.mtime, stats.mtimeNs)];
}
