/**
 * Type section: what functions, blocks and tags take and give.
 *
 * Layout: u32 count, then that many of
 * - 0x60, params, results: a function type; params and results are u32 count and value types;
 * - 0x5f, u32 count, fields: a struct; 0x5e, field: an array; a field is a storage type and a mutability;
 * - 0x50 or 0x4f, u32 count, type indices, one of the above: open or final, with supertypes;
 * - 0x4e, u32 count, that many of the above: a recursion group, which defines as many types.
 *
 * Invariants:
 * 1. `types[i]` is the module's type i, whatever groups they were written in.
 * 2. A function type whose types are each one byte is a `FunctionType`; anything else is an
 *    `UnsupportedType` that says which feature it needs and where it stands.
 */
import { ByteReader } from './byte-reader.ts';
import { PARAMS_MAX, RESULTS_MAX, STRUCT_FIELDS_MAX, SUPERTYPES_MAX, TYPES_MAX } from './limits.ts';
import { readValueType } from './read-value-type.ts';
import { SECTION, sectionName } from './section-id.ts';

export interface FunctionType {
  readonly kind: 'func';
  /** Value type bytes. */
  readonly params: Uint8Array;
  readonly results: Uint8Array;
}

export interface UnsupportedType {
  readonly kind: 'unsupported';
  /** The feature that the type needs, as a refusal names it. */
  readonly feature: 'garbage collection' | 'typed function references';
  /** Where the type stands in the file. */
  readonly offset: number;
}

export type ModuleType = FunctionType | UnsupportedType;

const FUNC = 0x60;
const STRUCT = 0x5f;
const ARRAY = 0x5e;
const SUB = 0x50;
const SUB_FINAL = 0x4f;
const REC = 0x4e;
const PACKED_I8 = 0x78;
const PACKED_I16 = 0x77;

/** Hands out one array for equal lists of value types, so that a million equal types cost little. */
type ShareTypes = (types: readonly number[]) => Uint8Array;

export function readTypeSection(bytes: Uint8Array, start: number, end: number): ModuleType[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.type));
  const share = sharedTypes();
  const types: ModuleType[] = [];
  const groups = reader.count(TYPES_MAX, 2);
  for (let i = 0; i < groups; i++) {
    if (reader.peek() !== REC) {
      types.push(readSubtype(reader, share));
      continue;
    }
    const offset = reader.at;
    reader.byte();
    const members = reader.count(TYPES_MAX - types.length, 2);
    for (let member = 0; member < members; member++) {
      const type = readSubtype(reader, share);
      // Alone in its group a type is what it would be outside; in company its identity is the group's.
      types.push(members === 1 ? type : unsupported('garbage collection', offset));
    }
  }
  reader.finish();
  return types;
}

function readSubtype(reader: ByteReader, share: ShareTypes): ModuleType {
  const offset = reader.at;
  const form = reader.peek();
  if (form !== SUB && form !== SUB_FINAL) return readCompositeType(reader, share);
  reader.byte();
  const supertypes = reader.count(SUPERTYPES_MAX, 1);
  for (let i = 0; i < supertypes; i++) reader.u32();
  const type = readCompositeType(reader, share);
  return form === SUB_FINAL && supertypes === 0 ? type : unsupported('garbage collection', offset);
}

function readCompositeType(reader: ByteReader, share: ShareTypes): ModuleType {
  const offset = reader.at;
  const form = reader.byte();
  if (form === FUNC) {
    const params = readTypes(reader, PARAMS_MAX);
    const results = readTypes(reader, RESULTS_MAX);
    if (params === undefined || results === undefined) {
      return unsupported('typed function references', offset);
    }
    return { kind: 'func', params: share(params), results: share(results) };
  }
  if (form === STRUCT) {
    const fields = reader.count(STRUCT_FIELDS_MAX, 2);
    for (let i = 0; i < fields; i++) readField(reader);
    return unsupported('garbage collection', offset);
  }
  if (form === ARRAY) {
    readField(reader);
    return unsupported('garbage collection', offset);
  }
  throw reader.refusal(`has an unknown kind of type 0x${form.toString(16)}`, offset);
}

/** The value types of a list, or undefined when one of them takes more than a byte. */
function readTypes(reader: ByteReader, limit: number): number[] | undefined {
  const count = reader.count(limit, 1);
  const types: number[] = [];
  let exact = true;
  for (let i = 0; i < count; i++) {
    const type = readValueType(reader);
    if (typeof type === 'number') types.push(type);
    else exact = false;
  }
  return exact ? types : undefined;
}

function readField(reader: ByteReader): void {
  const packed = reader.peek();
  if (packed === PACKED_I8 || packed === PACKED_I16) reader.byte();
  else readValueType(reader);
  const offset = reader.at;
  if (reader.byte() > 1) throw reader.refusal('has an unknown mutability', offset);
}

function unsupported(feature: UnsupportedType['feature'], offset: number): UnsupportedType {
  return { kind: 'unsupported', feature, offset };
}

function sharedTypes(): ShareTypes {
  const known = new Map<string, Uint8Array>();
  return (types) => {
    const key = String.fromCharCode(...types);
    let shared = known.get(key);
    if (shared === undefined) {
      shared = Uint8Array.from(types);
      known.set(key, shared);
    }
    return shared;
  };
}
