/** What the two calls that set times are asked for. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import { FSTFLAGS, FSTFLAGS_ALL } from '../abi/flags.ts';
import type { Times } from '../handle/times.ts';
import type { Clock } from '../resource/clock.ts';

const BOTH_ATIM = FSTFLAGS.ATIM | FSTFLAGS.ATIM_NOW;
const BOTH_MTIM = FSTFLAGS.MTIM | FSTFLAGS.MTIM_NOW;

/** INVAL when `flags` (`fstflags`) sets a time twice, or has one that doesn't exist. */
export function timesToSet(
  atime: bigint,
  mtime: bigint,
  flags: number,
  clock: Clock,
): Times | Errno {
  if ((flags & ~FSTFLAGS_ALL) !== 0) return ERRNO.INVAL;
  if ((flags & BOTH_ATIM) === BOTH_ATIM || (flags & BOTH_MTIM) === BOTH_MTIM) return ERRNO.INVAL;
  const pick = (given: bigint, set: number, now: number) => {
    if (flags & now) return 'now';
    return flags & set ? BigInt.asUintN(64, given) : 'keep';
  };
  return {
    atime: pick(atime, FSTFLAGS.ATIM, FSTFLAGS.ATIM_NOW),
    mtime: pick(mtime, FSTFLAGS.MTIM, FSTFLAGS.MTIM_NOW),
    nowNs: clock.realtimeNs(),
  };
}
