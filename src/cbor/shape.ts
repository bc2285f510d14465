/**
 * Shapes: what a decoded value must look like before anything relies on it.
 *
 * A `Shape<T>` is a function that gives back the value as a `T`, or throws. Shapes are built from the
 * ones below and nest as the data does:
 *
 *     const runShape = mapOf({ first: integer(0, 0xffff), count: integer(1) });
 *     const run = checkShape(runShape, decodeCbor(bytes), { what: 'run' });
 *
 * Invariants:
 * 1. A map has exactly the fields of its shape: an unknown one is refused, and a missing one unless the shape
 *    says that it is rare.
 * 2. A refusal names the path to the value and what was expected there, never what was found: neither
 *    values nor the names of unknown fields.
 */
import type { ErrorCode } from '../fault/codes.ts';
import { HostError } from '../fault/host-error.ts';
import type { CborValue } from './cbor.ts';

export type Shape<T> = (value: CborValue) => T;
export type ShapeOf<S> = S extends Shape<infer T> ? T : never;

type Fields = Readonly<Record<string, Shape<unknown>>>;
type MapOf<F extends Fields> = { readonly [K in keyof F]: ShapeOf<F[K]> };

/** Travels from the place of the mismatch to `checkShape`, gathering the path on its way out. */
class Mismatch extends Error {
  readonly expected: string;
  readonly path: (string | number)[] = [];

  constructor(expected: string) {
    super();
    this.expected = expected;
  }
}

/**
 * `value` as what `shape` describes. Throws a HostError of `code` (default ERR_MALFORMED_CBOR) whose
 * sentence names `what` and the path.
 */
export function checkShape<T>(
  shape: Shape<T>,
  value: CborValue,
  options: { readonly what: string; readonly code?: ErrorCode },
): T {
  try {
    return shape(value);
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error;
    const path = formatPath(error.path);
    throw new HostError(
      options.code ?? 'ERR_MALFORMED_CBOR',
      `The ${options.what} is malformed: ${path} is not ${error.expected}.`,
      { facts: { path, expected: error.expected } },
    );
  }
}

/** For shapes written by hand: refuses the value at hand. `expected` completes "is not …". */
export function mismatch(expected: string): Error {
  return new Mismatch(expected);
}

function formatPath(reversed: readonly (string | number)[]): string {
  let path = '';
  for (const step of reversed.toReversed()) {
    if (typeof step === 'number') path += `[${step}]`;
    else path += path === '' ? step : `.${step}`;
  }
  return path === '' ? 'the whole' : path;
}

function within<T>(step: string | number, shape: Shape<T>, value: CborValue): T {
  try {
    return shape(value);
  } catch (error) {
    if (error instanceof Mismatch) error.path.push(step);
    throw error;
  }
}

/** Anything that decodes. */
export const anyValue: Shape<CborValue> = (value) => value;

export const boolean: Shape<boolean> = (value) => {
  if (typeof value !== 'boolean') throw new Mismatch('a boolean');
  return value;
};

/** A number of any kind, NaN and infinities too. */
export const number: Shape<number> = (value) => {
  if (typeof value !== 'number') throw new Mismatch('a number');
  return value;
};

/** A safe integer in the range, both ends in it. */
export function integer(min: number, max = Number.MAX_SAFE_INTEGER): Shape<number> {
  return (value) => {
    // -0 passes `isSafeInteger` and every comparison, yet isn't an integer of the format.
    if (!Number.isSafeInteger(value) || Object.is(value, -0)) throw new Mismatch('an integer');
    const found = value as number;
    if (found < min || found > max) throw new Mismatch(`an integer from ${min} to ${max}`);
    return found;
  };
}

/** An integer in the range, both ends in it, always as a bigint. */
export function wideInteger(min: bigint, max: bigint): Shape<bigint> {
  return (value) => {
    const whole =
      typeof value === 'bigint' || (Number.isSafeInteger(value) && !Object.is(value, -0));
    if (!whole) throw new Mismatch('an integer');
    const found = BigInt(value as number | bigint);
    if (found < min || found > max) throw new Mismatch(`an integer from ${min} to ${max}`);
    return found;
  };
}

/** As wide as the machine's: sizes, inode numbers, counters. */
export const u64 = wideInteger(0n, 2n ** 64n - 1n);
/** The same with a sign: times before 1970 have one. */
export const i64 = wideInteger(-(2n ** 63n), 2n ** 63n - 1n);

/** Text of at most `lengthMax` UTF-16 units. */
export function text(lengthMax = Number.MAX_SAFE_INTEGER): Shape<string> {
  return (value) => {
    if (typeof value !== 'string') throw new Mismatch('text');
    if (value.length > lengthMax) throw new Mismatch(`text of at most ${lengthMax} characters`);
    return value;
  };
}

/** A byte string of `lengthMin` to `lengthMax` bytes. */
export function bytes(lengthMin = 0, lengthMax = Number.MAX_SAFE_INTEGER): Shape<Uint8Array> {
  return (value) => {
    if (!(value instanceof Uint8Array)) throw new Mismatch('a byte string');
    if (value.length < lengthMin || value.length > lengthMax) {
      throw new Mismatch(`a byte string of ${lengthMin} to ${lengthMax} bytes`);
    }
    return value;
  };
}

/** One of the given constants. */
export function oneOf<const T extends null | boolean | number | string>(
  ...allowed: readonly T[]
): Shape<T> {
  return (value) => {
    if (!allowed.includes(value as T)) throw new Mismatch(`one of ${allowed.join(', ')}`);
    return value as T;
  };
}

export function nullable<T>(shape: Shape<T>): Shape<T | null> {
  return (value) => (value === null ? null : shape(value));
}

/** An array of `lengthMin` to `lengthMax` elements of one shape. */
export function arrayOf<T>(
  shape: Shape<T>,
  lengthMin = 0,
  lengthMax = Number.MAX_SAFE_INTEGER,
): Shape<readonly T[]> {
  return (value) => {
    if (!Array.isArray(value)) throw new Mismatch('an array');
    if (value.length < lengthMin || value.length > lengthMax) {
      throw new Mismatch(`an array of ${lengthMin} to ${lengthMax} elements`);
    }
    const result: T[] = new Array(value.length);
    for (let index = 0; index < value.length; index++) {
      result[index] = within(index, shape, value[index]);
    }
    return result;
  };
}

/** An array of exactly these elements, each with a shape of its own. */
export function tupleOf<const S extends readonly Shape<unknown>[]>(
  ...shapes: S
): Shape<{ readonly [K in keyof S]: ShapeOf<S[K]> }> {
  return (value) => {
    if (!Array.isArray(value) || value.length !== shapes.length) {
      throw new Mismatch(`an array of ${shapes.length} elements`);
    }
    const result = shapes.map((shape, index) => within(index, shape, value[index]));
    return result as { readonly [K in keyof S]: ShapeOf<S[K]> };
  };
}

/** A map with exactly these fields; those of `rare` may be missing. */
export function mapOf<F extends Fields, R extends Fields = Record<never, never>>(
  fields: F,
  rare?: R,
): Shape<MapOf<F> & Partial<MapOf<R>>> {
  const names = Object.keys(fields);
  const rareNames = Object.keys(rare ?? {});
  const all: Fields = { ...rare, ...fields };
  return (value) => {
    const map = asMap(value);
    const result: Record<string, unknown> = {};
    for (const name of names) {
      if (!Object.hasOwn(map, name)) throw new Mismatch(`a map with the field ${name}`);
    }
    const found = [...names, ...rareNames.filter((name) => Object.hasOwn(map, name))];
    for (const name of found) result[name] = within(name, all[name]!, map[name]!);
    if (Object.keys(map).length !== found.length) {
      throw new Mismatch(`a map of only the fields ${[...names, ...rareNames].join(', ')}`);
    }
    return result as MapOf<F> & Partial<MapOf<R>>;
  };
}

/** A map with some of these fields, or none; those that are absent stay absent. */
export function partOf<F extends Fields>(fields: F): Shape<Partial<MapOf<F>>> {
  return (value) => {
    const map = asMap(value);
    const result: Record<string, unknown> = {};
    for (const [name, shape] of Object.entries(fields)) {
      if (Object.hasOwn(map, name)) result[name] = within(name, shape, map[name]!);
    }
    if (Object.keys(map).length !== Object.keys(result).length) {
      throw new Mismatch(`a map of only the fields ${Object.keys(fields).join(', ')}`);
    }
    return result as Partial<MapOf<F>>;
  };
}

/** A map of any text keys to values of one shape, as a Map: keys that others chose are data, not fields. */
export function recordOf<T>(shape: Shape<T>): Shape<ReadonlyMap<string, T>> {
  return (value) => {
    const map = asMap(value);
    const result = new Map<string, T>();
    // The step of the path is a position: the key itself is somebody else's text.
    for (const [index, key] of Object.keys(map).entries()) {
      result.set(key, within(index, shape, map[key]!));
    }
    return result;
  };
}

/** One of several maps, told apart by the text in their field `tag`; each shape includes that field. */
export function variantOf<S extends Readonly<Record<string, Shape<unknown>>>>(
  tag: string,
  shapes: S,
): Shape<ShapeOf<S[keyof S]>> {
  return (value) => {
    const map = asMap(value);
    const kind = Object.hasOwn(map, tag) ? map[tag] : undefined;
    if (typeof kind !== 'string' || !Object.hasOwn(shapes, kind)) {
      throw new Mismatch(`a map whose ${tag} is one of ${Object.keys(shapes).join(', ')}`);
    }
    return shapes[kind]!(value) as ShapeOf<S[keyof S]>;
  };
}

function asMap(value: CborValue): { readonly [key: string]: CborValue } {
  if (
    typeof value !== 'object' ||
    value === null ||
    value instanceof Uint8Array ||
    Array.isArray(value)
  ) {
    throw new Mismatch('a map');
  }
  return value as { readonly [key: string]: CborValue };
}
