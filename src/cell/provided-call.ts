/**
 * A provider's function as a guest's import: held to the type that the guest gave it, and its failures
 * kept from the guest, whose handlers for exceptions would otherwise catch them.
 */
import { isBrokenInvariant } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { accessHint, reasonOf } from '../fault/reason.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { GuestFunction } from '../resource/provider.ts';
import type { FunctionType } from '../wasm/section-type.ts';
import { F32, F64, I32, I64 } from '../wasm/value-type.ts';
import type { HostFunction } from './host-calls.ts';

const STACK_EXHAUSTED = 'Maximum call stack size exceeded';
const NUMBERS: readonly number[] = [I32, F32, F64];

export interface ProvidedCallOptions {
  /** `module.name`, as it is told. */
  readonly what: string;
  readonly type: FunctionType;
  readonly call: GuestFunction;
  /** Ends the guest with this error. */
  readonly fail: (error: unknown) => never;
}

/** Throws ERR_PROVIDER when the guest wants a type that a provider's function can't have. */
export function providedCall({ what, type, call, fail }: ProvidedCallOptions): HostFunction {
  const { params, results } = type;
  const isPlain = (valueType: number): boolean => valueType === I64 || NUMBERS.includes(valueType);
  if (results.length > 1 || ![...params, ...results].every(isPlain)) {
    throw new HostError(
      'ERR_PROVIDER',
      `The module imports ${what} with a type that no provider can offer.`,
      { facts: { import: what }, hint: 'use i32, i64, f32 and f64, and one result at most' },
    );
  }
  const wanted = results.length === 0 ? null : results[0] === I64 ? 'bigint' : 'number';

  return (...args) => {
    let result: unknown;
    try {
      result = call(...args);
    } catch (error) {
      // A guest deep in its recursion ends by its stack, wherever the last frame was.
      if (error instanceof RangeError && error.message === STACK_EXHAUSTED) throw error;
      if (error instanceof HostError || isBrokenInvariant(error)) return fail(error);
      return fail(
        new HostError('ERR_PROVIDER', `The function ${what} failed: ${reasonOf(error)}.`, {
          cause: error,
          facts: { import: what },
          ...accessHint(error),
        }),
      );
    }
    if (result === INTERRUPTED) return result;
    if (wanted === null ? result === undefined : typeof result === wanted) return result;
    return fail(
      new HostError('ERR_PROVIDER', `The function ${what} gave something else than it has to.`, {
        facts: { import: what, wanted: wanted ?? 'nothing', given: kindOf(result) },
        hint: 'a function answers at once: a number for i32, f32 and f64, a bigint for i64',
      }),
    );
  };
}

function kindOf(value: unknown): string {
  return value instanceof Promise ? 'a promise' : value === null ? 'null' : typeof value;
}
