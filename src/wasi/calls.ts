/**
 * What the groups of calls give and how their calls keep from throwing.
 *
 * A call takes i32 as (possibly negative) number and i64 as bigint and returns an errno or INTERRUPTED.
 */
import { ERRNO, errnoOf, isRefusal } from '../abi/errno.ts';

// biome-ignore lint/suspicious/noExplicitAny: the parameters of wasm imports are numbers and bigints by position
export type Call = (...args: any[]) => number;
export type Calls = Readonly<Record<string, Call>>;

const NO_MEMORY = 'Array buffer allocation failed';

/**
 * `call` with what a host call throws turned into an errno, as far as that is right: see `outcome`. One
 * wrapper an arity: rest parameters would cost an array on every call.
 */
export function contained(call: Call): Call {
  switch (call.length) {
    case 0:
      return () => {
        try {
          return call();
        } catch (error) {
          return outcome(error);
        }
      };
    case 1:
      return (a) => {
        try {
          return call(a);
        } catch (error) {
          return outcome(error);
        }
      };
    case 2:
      return (a, b) => {
        try {
          return call(a, b);
        } catch (error) {
          return outcome(error);
        }
      };
    case 3:
      return (a, b, c) => {
        try {
          return call(a, b, c);
        } catch (error) {
          return outcome(error);
        }
      };
    case 4:
      return (a, b, c, d) => {
        try {
          return call(a, b, c, d);
        } catch (error) {
          return outcome(error);
        }
      };
    default:
      return (a, b, c, d, e, f, g, h, i) => {
        try {
          return call(a, b, c, d, e, f, g, h, i);
        } catch (error) {
          return outcome(error);
        }
      };
  }
}

/**
 * What the system refused is an errno, and a buffer that it had no memory for NOMEM. A guest deep in its
 * recursion ends by its stack, wherever the last frame was. All else is thrown on: as an errno, a bug of ours
 * would be a fault of the guest's disk.
 */
function outcome(error: unknown): number {
  if (isRefusal(error)) return errnoOf(error);
  if (error instanceof RangeError && error.message === NO_MEMORY) return ERRNO.NOMEM;
  throw error;
}
