/**
 * What the groups of calls give and how their calls keep from throwing.
 *
 * A call takes i32 as (possibly negative) number and i64 as bigint and returns an errno or INTERRUPTED.
 */
import { AssertionError } from 'node:assert';
import { errnoOf } from '../abi/errno.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import { GuestExit } from './environment.ts';

// biome-ignore lint/suspicious/noExplicitAny: the parameters of wasm imports are numbers and bigints by position
export type Call = (...args: any[]) => number;
export type Calls = Readonly<Record<string, Call>>;

const STACK_EXHAUSTED = 'Maximum call stack size exceeded';

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

/** A guest deep in its recursion ends by its stack, wherever the last frame was; our own bugs are not hidden. */
function outcome(error: unknown): number {
  const isEnd = error instanceof GuestExit || error instanceof LimitReached;
  if (isEnd || error instanceof AssertionError) throw error;
  if (error instanceof RangeError && error.message === STACK_EXHAUSTED) throw error;
  return errnoOf(error);
}
