/**
 * The instruction walker.
 *
 * Invariants:
 * 1. A walk ends: every step moves on, and steps beyond the end of `bytes` stop at once.
 * 2. `skipImmediates` never throws. When an instruction is cut off, the place it returns lies beyond the
 *    end of `bytes`, or of whatever shorter range the caller compares it with.
 * 3. What an instruction means, and whether blocks close, is not looked at: an engine validates that.
 */
import { readU32At, skipLeb } from './leb.ts';
import { malformed } from './malformed.ts';
import { IMM, IMMEDIATE, OPCODE_COUNT, opcodeName, PREFIX_BASE } from './opcodes.ts';
import { REF, REF_NULL } from './value-type.ts';

/** How an opcode's immediates are stepped over; most are a fixed number of LEB128 numbers. */
const LEBS_NONE = 0;
const LEBS_ONE = 1;
const LEBS_TWO = 2;
const MEMORY_ARGUMENT = 3;
const OTHER = 4;

const SHAPE_OF_KIND: ReadonlyMap<number, number> = new Map([
  [IMM.none, LEBS_NONE],
  ...[
    IMM.label,
    IMM.func,
    IMM.local,
    IMM.global,
    IMM.table,
    IMM.memory,
    IMM.i32,
    IMM.i64,
    IMM.heapType,
    IMM.data,
    IMM.elem,
    IMM.tag,
    IMM.type,
  ].map((kind): [number, number] => [kind, LEBS_ONE]),
  ...[
    IMM.callIndirect,
    IMM.dataMemory,
    IMM.memoryMemory,
    IMM.elemTable,
    IMM.tableTable,
    IMM.typeField,
    IMM.typeCount,
    IMM.typeData,
    IMM.typeElem,
    IMM.typeType,
  ].map((kind): [number, number] => [kind, LEBS_TWO]),
  [IMM.memarg, MEMORY_ARGUMENT],
]);

const SHAPE = Uint8Array.from(IMMEDIATE, (kind) => SHAPE_OF_KIND.get(kind) ?? OTHER);

/** In a memory argument's flags: a memory index follows them. */
const HAS_MEMORY_INDEX = 0x40;

/** The place after the immediates that begin at `at`, of the flattened opcode `op`. */
export function skipImmediates(op: number, bytes: Uint8Array, at: number): number {
  const shape = SHAPE[op]!;
  let next = at;
  if (shape === LEBS_NONE) return next;
  if (shape === LEBS_ONE) {
    while (bytes[next++]! & 0x80);
    return next;
  }
  if (shape === LEBS_TWO) return skipLeb(bytes, skipLeb(bytes, next));
  if (shape === MEMORY_ARGUMENT) return skipMemoryArgument(bytes, next);
  switch (IMMEDIATE[op]) {
    case IMM.blockType:
      return skipBlockType(bytes, next);
    case IMM.brTable:
      return skipLeb(bytes, skipVector(bytes, next, skipLeb));
    case IMM.selectTypes:
      return skipVector(bytes, next, skipBlockType);
    case IMM.tryTable:
      return skipVector(bytes, skipBlockType(bytes, next), skipCatchClause);
    case IMM.f32:
      return next + 4;
    case IMM.f64:
      return next + 8;
    case IMM.v128:
    case IMM.shuffle16:
      return next + 16;
    case IMM.lane:
    case IMM.zero:
      return next + 1;
    case IMM.memargLane:
      return skipMemoryArgument(bytes, next) + 1;
    case IMM.castBranch:
      next = skipLeb(bytes, next + 1);
      return skipLeb(bytes, skipLeb(bytes, next));
    default:
      return next;
  }
}

function skipMemoryArgument(bytes: Uint8Array, at: number): number {
  let next = skipLeb(bytes, at);
  if (bytes[at]! & HAS_MEMORY_INDEX) next = skipLeb(bytes, next);
  return skipLeb(bytes, next);
}

/** A block type or a value type: both are one LEB128 number, or 0x63 or 0x64 and one. */
function skipBlockType(bytes: Uint8Array, at: number): number {
  const byte = bytes[at];
  return skipLeb(bytes, byte === REF || byte === REF_NULL ? at + 1 : at);
}

/** Kinds 0 and 1 (`catch`, `catch_ref`) name a tag; 2 and 3 catch all. A label follows. */
function skipCatchClause(bytes: Uint8Array, at: number): number {
  const label = bytes[at]! < 2 ? skipLeb(bytes, at + 1) : at + 1;
  return skipLeb(bytes, label);
}

function skipVector(
  bytes: Uint8Array,
  at: number,
  skipItem: (bytes: Uint8Array, at: number) => number,
): number {
  let next = skipLeb(bytes, at);
  for (let left = readU32At(bytes, at); left > 0 && next <= bytes.length; left--) {
    next = skipItem(bytes, next);
  }
  return next;
}

/** The flattened opcode at `at`; `OPCODE_COUNT` or more where there can be none. */
export function readOpcodeAt(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  return byte < 0xfb || byte === 0xff ? byte : prefixedOpcode(byte, readU32At(bytes, at + 1));
}

/** The place after the opcode at `at`, where its immediates begin. */
export function skipOpcode(bytes: Uint8Array, at: number): number {
  const byte = bytes[at]!;
  return byte < 0xfb || byte === 0xff ? at + 1 : skipLeb(bytes, at + 1);
}

function prefixedOpcode(prefix: number, sub: number): number {
  const room = prefix === 0xfd ? 0x200 : 0x100;
  return sub < room ? PREFIX_BASE[prefix as keyof typeof PREFIX_BASE] + sub : OPCODE_COUNT;
}

/**
 * Calls `visit` with each instruction from `start` up to `end`: its flattened opcode, where it begins,
 * and where the next one does.
 *
 * Throws `ERR_MALFORMED_MODULE` at a byte that begins no instruction, and when an instruction runs over
 * `end`; instructions before it were visited.
 */
export function forEachInstruction(
  bytes: Uint8Array,
  start: number,
  end: number,
  visit: (op: number, at: number, next: number) => void,
): void {
  let at = start;
  while (at < end) {
    let op = bytes[at]!;
    let next = at + 1;
    if (op >= 0xfb && op !== 0xff) {
      op = prefixedOpcode(op, readU32At(bytes, next));
      next = skipLeb(bytes, next);
    }
    if (op >= OPCODE_COUNT || IMMEDIATE[op] === IMM.unknown) {
      throw malformed('a function body', at, `has an unknown instruction (${bytesAt(bytes, at)})`);
    }
    next = skipImmediates(op, bytes, next);
    if (next > end) {
      throw malformed('a function body', at, `ends in the middle of ${opcodeName(op)}`);
    }
    visit(op, at, next);
    at = next;
  }
}

function bytesAt(bytes: Uint8Array, at: number): string {
  const length = skipOpcode(bytes, at) - at;
  const shown = bytes.subarray(at, at + Math.min(length, 6));
  return Array.from(shown, (byte) => `0x${byte.toString(16).padStart(2, '0')}`).join(' ');
}
