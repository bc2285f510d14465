/**
 * How one instruction is described in the opcode table.
 *
 * A row is `[number, immediate kind, signature, text name]`:
 * - number: the flattened opcode (see `opcodes.ts`);
 * - immediate kind: what follows the opcode in the byte stream, one of the constants below;
 * - signature, such as `'ii>i'`: operands and results with one letter each (i = i32, l = i64, f = f32,
 *   d = f64, v = v128). Absent where operands or results depend on the context;
 * - text name, where it is not the row's own key.
 */

/** Nothing follows. */
export const NONE = 0;
/** A block type: empty (0x40), one value type, or a type index as s33. */
export const BLOCK_TYPE = 1;
/** u32 label: how many enclosing blocks to leave. */
export const LABEL = 2;
/** u32 count, that many u32 labels, then the default label. */
export const BR_TABLE = 3;
/** u32 function index. */
export const FUNC = 4;
/** u32 type index, u32 table index. */
export const CALL_INDIRECT = 5;
/** u32 local index. */
export const LOCAL = 6;
/** u32 global index. */
export const GLOBAL = 7;
/** u32 table index. */
export const TABLE = 8;
/** u32 flags (log2 of the alignment; bit 6: a u32 memory index follows), offset as u32 or u64. */
export const MEMARG = 9;
/** u32 memory index. */
export const MEMORY = 10;
/** s32. */
export const I32 = 11;
/** s64. */
export const I64 = 12;
/** 4 bytes, little-endian. */
export const F32 = 13;
/** 8 bytes, little-endian. */
export const F64 = 14;
/** 16 bytes, little-endian. */
export const V128 = 15;
/** 16 lane numbers, one byte each. */
export const SHUFFLE = 16;
/** One byte: a lane number. */
export const LANE = 17;
/** As `MEMARG`, then one byte: a lane number. */
export const MEMARG_LANE = 18;
/** A heap type as s33: an abstract one (negative) or a type index. */
export const HEAP_TYPE = 19;
/** u32 count, that many value types. */
export const SELECT_TYPES = 20;
/** u32 data segment, u32 memory index. */
export const DATA_MEMORY = 21;
/** u32 data segment. */
export const DATA = 22;
/** u32 memory index of the destination, u32 memory index of the source. */
export const MEMORY_MEMORY = 23;
/** u32 element segment, u32 table index. */
export const ELEM_TABLE = 24;
/** u32 element segment. */
export const ELEM = 25;
/** u32 table index of the destination, u32 table index of the source. */
export const TABLE_TABLE = 26;
/** u32 tag index. */
export const TAG = 27;
/** u32 type index. */
export const TYPE = 28;
/** A block type, u32 count, that many clauses: a kind byte, a tag for kinds 0 and 1, and a label. */
export const TRY_TABLE = 29;
/** u32 type index, u32 field number. */
export const TYPE_FIELD = 30;
/** u32 type index, u32 count of elements. */
export const TYPE_COUNT = 31;
/** u32 type index, u32 data segment. */
export const TYPE_DATA = 32;
/** u32 type index, u32 element segment. */
export const TYPE_ELEM = 33;
/** u32 type index of the destination, u32 type index of the source. */
export const TYPE_TYPE = 34;
/** One byte of flags, u32 label, two heap types. */
export const CAST_BRANCH = 35;
/** One zero byte. */
export const ZERO = 36;
/** No such instruction. */
export const UNKNOWN = 0xff;

/** One instruction; see the head of this file. */
export type OpcodeRow = readonly [
  opcode: number,
  immediate: number,
  signature?: string | undefined,
  textName?: string,
];

/** Instructions by name, dots as in the text format. */
export type OpcodeRows = Readonly<Record<string, OpcodeRow>>;
