/** The guest's own end. */
import { ERRNO } from '../abi/errno.ts';
import { SIGNAL_MAX } from '../abi/flags.ts';
import type { Calls } from './calls.ts';
import { GuestExit } from './environment.ts';

/** Signals that end nobody unless handled, and a guest can't handle any: CHLD, CONT, URG, WINCH. */
const IGNORED: ReadonlySet<number> = new Set([16, 17, 22, 27]);
/** Signals that would stop the guest until somebody continues it: STOP, TSTP, TTIN, TTOU. */
const STOPPING: ReadonlySet<number> = new Set([18, 19, 20, 21]);

export function procCalls(): Calls {
  return {
    /**
     * `proc_exit`: ends the guest with `code`, u32. Does not return.
     *
     * Source: WASI snapshot preview1, `proc_exit`.
     */
    proc_exit: (code: number) => {
      throw new GuestExit(code >>> 0);
    },

    /**
     * `proc_raise`: sends the guest a signal; none can be handled, so its default action happens. One
     * that ends a process ends the guest as a shell shows it, exit code 128 + `signal`.
     *
     * - INVAL: there is no signal of that number.
     * - NOTSUP: a signal that stops a process: there would be nobody to continue it.
     *
     * Source: WASI snapshot preview1, `proc_raise`; signal(7) for the default actions.
     */
    proc_raise: (signal: number) => {
      const number = signal >>> 0;
      if (number > SIGNAL_MAX) return ERRNO.INVAL;
      if (number === 0 || IGNORED.has(number)) return ERRNO.SUCCESS;
      if (STOPPING.has(number)) return ERRNO.NOTSUP;
      throw new GuestExit(128 + number);
    },
  };
}
