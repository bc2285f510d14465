/**
 * What the pass has to do with each instruction, as one small number an opcode.
 *
 * Nine of ten instructions are plain: fixed operands, at most one result, nothing to change. The
 * numbers are literals in `switch` statements' cases by way of constants, so that the hot loop stays a
 * table lookup and a jump.
 */
import { featureOf, IMM, IMMEDIATE, OP, OPCODE_COUNT, SIGNATURE } from '../wasm/opcodes.ts';

export const PLAIN = 0;
export const BLOCK = 1;
export const LOOP = 2;
export const IF = 3;
export const ELSE = 4;
export const END = 5;
export const BR = 6;
export const BR_IF = 7;
export const BR_TABLE = 8;
export const RETURN = 9;
export const UNREACHABLE = 10;
export const CALL = 11;
export const CALL_INDIRECT = 12;
export const RETURN_CALL = 13;
export const RETURN_CALL_INDIRECT = 14;
export const DROP = 15;
export const SELECT = 16;
export const SELECT_TYPED = 17;
export const LOCAL_GET = 18;
export const LOCAL_SET = 19;
export const LOCAL_TEE = 20;
export const GLOBAL_GET = 21;
export const GLOBAL_SET = 22;
export const REF_NULL = 23;
export const REF_IS_NULL = 24;
export const REF_FUNC = 25;
export const TABLE_GET = 26;
export const TABLE_SET = 27;
export const TABLE_SIZE = 28;
export const TABLE_GROW = 29;
export const TABLE_FILL = 30;
export const MEMORY_SIZE = 31;
export const MEMORY_GROW = 32;
export const MEMORY_INIT = 33;
export const DATA_DROP = 34;
export const TABLE_INIT = 35;
export const ELEM_DROP = 36;
/** Plain, but writes a table: noted for the plan. */
export const TABLE_COPY = 37;
/** Known to the reader, not carried by this pass: refused by the feature's name. */
export const REFUSED = 254;
/** No such instruction. */
export const UNKNOWN = 255;

export const CLASS: Uint8Array = classify();

function classify(): Uint8Array {
  const classes = new Uint8Array(OPCODE_COUNT);
  for (let op = 0; op < OPCODE_COUNT; op++) {
    if (IMMEDIATE[op] === IMM.unknown) classes[op] = UNKNOWN;
    else if (SIGNATURE[op] === 0) classes[op] = REFUSED;
    else if (featureOf(op) === 'garbage collection') classes[op] = REFUSED;
  }
  const special: readonly (readonly [number, number])[] = [
    [OP.block, BLOCK],
    [OP.loop, LOOP],
    [OP.if, IF],
    [OP.else, ELSE],
    [OP.end, END],
    [OP.br, BR],
    [OP.br_if, BR_IF],
    [OP.br_table, BR_TABLE],
    [OP.return, RETURN],
    [OP.unreachable, UNREACHABLE],
    [OP.call, CALL],
    [OP.call_indirect, CALL_INDIRECT],
    [OP.return_call, RETURN_CALL],
    [OP.return_call_indirect, RETURN_CALL_INDIRECT],
    [OP.drop, DROP],
    [OP.select, SELECT],
    [OP.select_t, SELECT_TYPED],
    [OP.local_get, LOCAL_GET],
    [OP.local_set, LOCAL_SET],
    [OP.local_tee, LOCAL_TEE],
    [OP.global_get, GLOBAL_GET],
    [OP.global_set, GLOBAL_SET],
    [OP.ref_null, REF_NULL],
    [OP.ref_is_null, REF_IS_NULL],
    [OP.ref_func, REF_FUNC],
    [OP.table_get, TABLE_GET],
    [OP.table_set, TABLE_SET],
    [OP.table_size, TABLE_SIZE],
    [OP.table_grow, TABLE_GROW],
    [OP.table_fill, TABLE_FILL],
    [OP.table_copy, TABLE_COPY],
    [OP.memory_size, MEMORY_SIZE],
    [OP.memory_grow, MEMORY_GROW],
    [OP.memory_init, MEMORY_INIT],
    [OP.data_drop, DATA_DROP],
    [OP.table_init, TABLE_INIT],
    [OP.elem_drop, ELEM_DROP],
  ];
  for (const [op, kind] of special) classes[op] = kind;
  return classes;
}
