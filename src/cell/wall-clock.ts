/**
 * The one place where time comes in. Everything else is handed these functions.
 */
import process, { hrtime } from 'node:process';
import { fastCalls } from '../handle/fast-calls.ts';

const NS_A_US = 1000n;

/** Nanoseconds from the epoch to the zero of `hrtime`, taken once: steps of `hrtime` are finer. */
const zeroNs = BigInt(Date.now()) * 1_000_000n - hrtime.bigint();

/** Now, by the machine's wall clock. */
export function wallClockNow(): Date {
  return new Date();
}

/** So long after it was compared with the machine's clock, the fine one is taken without that. */
const TRUSTED_NS = 1_000_000n;
let trustedUntilNs = 0n;

/**
 * Nanoseconds since 1970-01-01 UTC, to the microsecond or better. Corrected within a millisecond whenever
 * the machine's clock was set in the meantime.
 */
export function wallClockNs(): bigint {
  const fine = zeroNs + hrtime.bigint();
  if (fine < trustedUntilNs) return fine;
  const coarse = BigInt(Date.now()) * 1_000_000n;
  const apart = fine - coarse;
  if (apart <= -2_000_000n || apart >= 2_000_000n) return coarse;
  trustedUntilNs = fine + TRUSTED_NS;
  return fine;
}

/** Nanoseconds since an unspecified moment; never goes back. */
export function monotonicNs(): bigint {
  return hrtime.bigint();
}

/** The same in milliseconds, with fractions; for what asks often. */
export function monotonicMs(): number {
  return performance.now();
}

/**
 * Nanoseconds of processor time that this thread used. What Node tells moves on with the scheduler's
 * ticks, which can be milliseconds apart; so it is the second choice.
 */
export function threadCpuNs(): bigint {
  const fine = fastCalls()?.threadCpuNs() ?? -1n;
  if (fine >= 0n) return fine;
  const { user, system } = process.threadCpuUsage();
  return BigInt(user + system) * NS_A_US;
}
