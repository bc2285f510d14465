/**
 * Value types, reference types and heap types as sections spell them.
 *
 * A value type that is one byte is that byte. `(ref null ht)` with an abstract heap type has a one-byte
 * spelling too, and reads as that one, so both spellings compare equal. Everything else is a
 * `TypedReference`, which the rest of the room carries along and the instrumenter may refuse.
 */
import type { ByteReader } from './byte-reader.ts';
import { isReferenceType, isValueType, REF, REF_NULL } from './value-type.ts';

/** `(ref ht)`, or `(ref null $t)`. */
export interface TypedReference {
  readonly nullable: boolean;
  /** A type index, or an abstract heap type's byte less 0x80. */
  readonly heapType: number;
  /** Where it stands in the file. */
  readonly offset: number;
}

/** One byte (see `value-type.ts`), or a reference to something more exact. */
export type ValueType = number | TypedReference;

/** Reads one value type. */
export function readValueType(reader: ByteReader): ValueType {
  const offset = reader.at;
  const byte = reader.byte();
  if (isValueType(byte)) return byte;
  if (byte === REF || byte === REF_NULL) return readTypedReference(reader, byte, offset);
  throw reader.refusal(`has an unknown value type 0x${byte.toString(16)}`, offset);
}

/** Reads one reference type. */
export function readReferenceType(reader: ByteReader): ValueType {
  const offset = reader.at;
  const type = readValueType(reader);
  if (typeof type === 'number' && !isReferenceType(type)) {
    throw reader.refusal('has a value type where a reference type belongs', offset);
  }
  return type;
}

function readTypedReference(reader: ByteReader, byte: number, offset: number): ValueType {
  const nullable = byte === REF_NULL;
  const heapType = reader.s33();
  if (heapType < 0) {
    const abstract = heapType + 0x80;
    if (!isReferenceType(abstract)) {
      throw reader.refusal('has an unknown heap type', offset);
    }
    if (nullable) return abstract;
  }
  return { nullable, heapType, offset };
}
