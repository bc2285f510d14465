/**
 * Instructions that came after the first version, apart from vectors, threads and garbage collection.
 *
 * Source: WebAssembly core specification 3.0, appendix "Index of Instructions"; for the legacy flavour
 * of exceptions, the "legacy" document of the exception-handling proposal.
 */
import {
  BLOCK_TYPE,
  CALL_INDIRECT,
  DATA,
  DATA_MEMORY,
  ELEM,
  ELEM_TABLE,
  FUNC,
  HEAP_TYPE,
  LABEL,
  MEMORY,
  MEMORY_MEMORY,
  NONE,
  type OpcodeRows,
  SELECT_TYPES,
  TABLE,
  TABLE_TABLE,
  TAG,
  TRY_TABLE,
  TYPE,
} from './opcode-row.ts';

/** Sign extension within a type. */
export const SIGN_EXTENSION_ROWS = {
  'i32.extend8_s': [0xc0, NONE, 'i>i'],
  'i32.extend16_s': [0xc1, NONE, 'i>i'],
  'i64.extend8_s': [0xc2, NONE, 'l>l'],
  'i64.extend16_s': [0xc3, NONE, 'l>l'],
  'i64.extend32_s': [0xc4, NONE, 'l>l'],
} as const satisfies OpcodeRows;

/** Float to integer without a trap (0xfc). */
export const SATURATING_ROWS = {
  'i32.trunc_sat_f32_s': [0x200, NONE, 'f>i'],
  'i32.trunc_sat_f32_u': [0x201, NONE, 'f>i'],
  'i32.trunc_sat_f64_s': [0x202, NONE, 'd>i'],
  'i32.trunc_sat_f64_u': [0x203, NONE, 'd>i'],
  'i64.trunc_sat_f32_s': [0x204, NONE, 'f>l'],
  'i64.trunc_sat_f32_u': [0x205, NONE, 'f>l'],
  'i64.trunc_sat_f64_s': [0x206, NONE, 'd>l'],
  'i64.trunc_sat_f64_u': [0x207, NONE, 'd>l'],
} as const satisfies OpcodeRows;

/** Bulk memory and tables (0xfc). Operands as on 32-bit memories and tables. */
export const BULK_MEMORY_ROWS = {
  'memory.init': [0x208, DATA_MEMORY, 'iii>'],
  'data.drop': [0x209, DATA, '>'],
  'memory.copy': [0x20a, MEMORY_MEMORY, 'iii>'],
  'memory.fill': [0x20b, MEMORY, 'iii>'],
  'table.init': [0x20c, ELEM_TABLE, 'iii>'],
  'elem.drop': [0x20d, ELEM, '>'],
  'table.copy': [0x20e, TABLE_TABLE, 'iii>'],
} as const satisfies OpcodeRows;

/** References, and tables of them. */
export const REFERENCE_ROWS = {
  select_t: [0x1c, SELECT_TYPES, undefined, 'select'],
  'table.get': [0x25, TABLE],
  'table.set': [0x26, TABLE],
  'ref.null': [0xd0, HEAP_TYPE],
  'ref.is_null': [0xd1, NONE],
  'ref.func': [0xd2, FUNC],
  'table.grow': [0x20f, TABLE],
  'table.size': [0x210, TABLE, '>i'],
  'table.fill': [0x211, TABLE],
} as const satisfies OpcodeRows;

/** Tail calls. */
export const TAIL_CALL_ROWS = {
  return_call: [0x12, FUNC],
  return_call_indirect: [0x13, CALL_INDIRECT],
} as const satisfies OpcodeRows;

/** Exceptions, legacy flavour; `throw` belongs to both flavours and stands below. */
export const LEGACY_EXCEPTION_ROWS = {
  try: [0x06, BLOCK_TYPE],
  catch: [0x07, TAG],
  rethrow: [0x09, LABEL],
  delegate: [0x18, LABEL],
  catch_all: [0x19, NONE],
} as const satisfies OpcodeRows;

/** Exceptions of 3.0, with `exnref`. */
export const EXCEPTION_ROWS = {
  throw: [0x08, TAG],
  throw_ref: [0x0a, NONE],
  try_table: [0x1f, TRY_TABLE],
} as const satisfies OpcodeRows;

/** Typed function references. */
export const TYPED_REFERENCE_ROWS = {
  call_ref: [0x14, TYPE],
  return_call_ref: [0x15, TYPE],
  'ref.as_non_null': [0xd4, NONE],
  br_on_null: [0xd5, LABEL],
  br_on_non_null: [0xd6, LABEL],
} as const satisfies OpcodeRows;
