/** The clocks: wall, monotonic, and processor time; the latter two go on across a restart. */
import { ERRNO } from '../abi/errno.ts';
import { CLOCKID } from '../abi/flags.ts';
import type { Clock } from '../resource/clock.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';

/** Nanoseconds on the clock of number `id`; null when there is none. */
export function timeOn(clock: Clock, id: number): bigint | null {
  switch (id) {
    case CLOCKID.REALTIME:
      return clock.realtimeNs();
    case CLOCKID.MONOTONIC:
      return clock.monotonicNs();
    // A guest is one thread.
    case CLOCKID.PROCESS_CPUTIME:
    case CLOCKID.THREAD_CPUTIME:
      return clock.cpuNs();
    default:
      return null;
  }
}

export function clockCalls({ memory, clock }: WasiEnvironment): Calls {
  return {
    /**
     * `clock_res_get`: how fine a clock is.
     *
     * Writes nanoseconds, u64, at `result`.
     *
     * - INVAL: there is no clock `id`.
     * - FAULT: `result` + 8 lies past the end of memory.
     *
     * Source: WASI snapshot preview1, `clock_res_get`; compare clock_getres(2).
     */
    clock_res_get: (id: number, result: number) => {
      if (!memory.holds(result, 8)) return ERRNO.FAULT;
      if (timeOn(clock, id) === null) return ERRNO.INVAL;
      memory.view.setBigUint64(result >>> 0, clock.resolutionNs, true);
      return ERRNO.SUCCESS;
    },

    /**
     * `clock_time_get`: what a clock shows. `precision` is no matter: the answer is as exact as it gets.
     *
     * Writes nanoseconds, u64, at `result`.
     *
     * - INVAL: there is no clock `id`.
     * - FAULT: `result` + 8 lies past the end of memory.
     *
     * Source: WASI snapshot preview1, `clock_time_get`; compare clock_gettime(2).
     */
    clock_time_get: (id: number, _precision: bigint, result: number) => {
      if (!memory.holds(result, 8)) return ERRNO.FAULT;
      const now = timeOn(clock, id);
      if (now === null) return ERRNO.INVAL;
      memory.view.setBigUint64(result >>> 0, now, true);
      return ERRNO.SUCCESS;
    },
  };
}
