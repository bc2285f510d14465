/**
 * Garbage-collected structs, arrays and casts (0xfb), numbered 0x100 + sub-opcode.
 *
 * Source: WebAssembly core specification 3.0, appendix "Index of Instructions".
 */
import {
  CAST_BRANCH,
  HEAP_TYPE,
  NONE,
  type OpcodeRows,
  TYPE,
  TYPE_COUNT,
  TYPE_DATA,
  TYPE_ELEM,
  TYPE_FIELD,
  TYPE_TYPE,
} from './opcode-row.ts';

/** None has a signature of its own: all depend on declared types or on references. */
export const GC_ROWS = {
  'ref.eq': [0xd3, NONE],
  'struct.new': [0x100, TYPE],
  'struct.new_default': [0x101, TYPE],
  'struct.get': [0x102, TYPE_FIELD],
  'struct.get_s': [0x103, TYPE_FIELD],
  'struct.get_u': [0x104, TYPE_FIELD],
  'struct.set': [0x105, TYPE_FIELD],
  'array.new': [0x106, TYPE],
  'array.new_default': [0x107, TYPE],
  'array.new_fixed': [0x108, TYPE_COUNT],
  'array.new_data': [0x109, TYPE_DATA],
  'array.new_elem': [0x10a, TYPE_ELEM],
  'array.get': [0x10b, TYPE],
  'array.get_s': [0x10c, TYPE],
  'array.get_u': [0x10d, TYPE],
  'array.set': [0x10e, TYPE],
  'array.len': [0x10f, NONE],
  'array.fill': [0x110, TYPE],
  'array.copy': [0x111, TYPE_TYPE],
  'array.init_data': [0x112, TYPE_DATA],
  'array.init_elem': [0x113, TYPE_ELEM],
  'ref.test': [0x114, HEAP_TYPE],
  'ref.test_null': [0x115, HEAP_TYPE, undefined, 'ref.test'],
  'ref.cast': [0x116, HEAP_TYPE],
  'ref.cast_null': [0x117, HEAP_TYPE, undefined, 'ref.cast'],
  br_on_cast: [0x118, CAST_BRANCH],
  br_on_cast_fail: [0x119, CAST_BRANCH],
  'any.convert_extern': [0x11a, NONE],
  'extern.convert_any': [0x11b, NONE],
  'ref.i31': [0x11c, NONE],
  'i31.get_s': [0x11d, NONE],
  'i31.get_u': [0x11e, NONE],
} as const satisfies OpcodeRows;
