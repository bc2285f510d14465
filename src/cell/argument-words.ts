/**
 * Arguments of a pending call as they lie in an image: integers of 32 or 64 bits, since a float of a
 * number type can't be told from an integer there. A float is written as its bits.
 *
 * A NaN that went through JavaScript has lost its payload before, so every NaN is the one of JavaScript.
 */
import type { FunctionType } from '../wasm/section-type.ts';
import { F32, F64, I64 } from '../wasm/value-type.ts';

type Argument = number | bigint;

const view = new DataView(new ArrayBuffer(8));

export function toWords(args: readonly Argument[], { params }: FunctionType): readonly Argument[] {
  return args.map((value, at) => {
    if (params[at] === F32) {
      view.setFloat32(0, value as number);
      return view.getInt32(0);
    }
    if (params[at] !== F64) return value;
    view.setFloat64(0, value as number);
    return view.getBigInt64(0);
  });
}

/** The other way. Null when there are not as many arguments as parameters, or one has another width. */
export function fromWords(
  words: readonly Argument[],
  { params }: FunctionType,
): readonly Argument[] | null {
  const isWide = (type: number): boolean => type === I64 || type === F64;
  const fits =
    words.length === params.length &&
    words.every((word, at) =>
      isWide(params[at]!)
        ? typeof word === 'bigint' && BigInt.asIntN(64, word) === word
        : typeof word === 'number' && (word | 0) === word && !Object.is(word, -0),
    );
  if (!fits) return null;
  return words.map((word, at) => {
    if (params[at] === F32) {
      view.setInt32(0, word as number);
      return view.getFloat32(0);
    }
    if (params[at] !== F64) return word;
    view.setBigInt64(0, word as bigint);
    return view.getFloat64(0);
  });
}
