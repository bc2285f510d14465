/**
 * The reader: the guard first, then cbor-x, which never sees a byte that the guard has not passed.
 *
 * `cbor-x/decode` is the entry without the native string extractor: no machine code reads hostile bytes.
 */
import { Decoder } from 'cbor-x/decode';
import { type CborLimits, type CborValue, DEFAULT_CBOR_LIMITS } from './cbor.ts';
import { guardCbor } from './guard.ts';
import { malformedCbor } from './malformed.ts';

const decoder = new Decoder({ useRecords: false, mapsAsObjects: true });

/**
 * The value that `bytes` hold. Integers in the safe range are numbers, others bigints. Byte strings alias
 * `bytes`; objects are plain and have text keys only.
 *
 * Throws ERR_MALFORMED_CBOR, with the offset, for anything but one whole value of the subset.
 */
export function decodeCbor(bytes: Uint8Array, limits: Partial<CborLimits> = {}): CborValue {
  const { wideIntegers } = guardCbor(bytes, { ...DEFAULT_CBOR_LIMITS, ...limits });
  // cbor-x leaves a property on the array it reads; a view of our own keeps that off the caller's.
  const view = new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let value: CborValue;
  try {
    value = decoder.decode(view);
  } catch (cause) {
    throw malformedCbor('it could not be decoded', undefined, cause);
  }
  return wideIntegers ? narrowIntegers(value) : value;
}

/** cbor-x gives every integer of the 64-bit form as a bigint; here the value decides, not the form. */
function narrowIntegers(value: CborValue): CborValue {
  if (typeof value === 'bigint') {
    return BigInt.asIntN(54, value) === value && value !== -(2n ** 53n) ? Number(value) : value;
  }
  if (typeof value !== 'object' || value === null || value instanceof Uint8Array) return value;
  // Fresh from the decoder and nobody else's yet, so it may be changed in place.
  if (Array.isArray(value)) {
    for (let index = 0; index < value.length; index++) value[index] = narrowIntegers(value[index]);
    return value;
  }
  const fresh = value as Record<string, CborValue>;
  for (const key of Object.keys(fresh)) fresh[key] = narrowIntegers(fresh[key]!);
  return fresh;
}
