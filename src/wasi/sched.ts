/** Scheduling. */
import { ERRNO } from '../abi/errno.ts';
import type { Calls } from './calls.ts';

export function schedCalls(): Calls {
  return {
    /**
     * `sched_yield`: lets others run. The guest is its cell's only thread, so there is nothing to do.
     *
     * Source: WASI snapshot preview1, `sched_yield`.
     */
    sched_yield: () => ERRNO.SUCCESS,
  };
}
