/**
 * Code section: u32 count, then that many bodies: a u32 size in bytes, local declarations, instructions.
 *
 * Local declarations are u32 count and that many of a u32 count and a value type.
 * The instructions are not looked at here; `decode.ts` walks them.
 */
import { ByteReader } from './byte-reader.ts';
import { BODY_BYTES_MAX, FUNCTIONS_MAX, LOCALS_MAX } from './limits.ts';
import { readValueType, type ValueType } from './read-value-type.ts';
import { SECTION, sectionName } from './section-id.ts';

/** Where each body begins and ends in the file, its size field left out. By defined function. */
export interface CodeBodies {
  readonly bodyStart: Uint32Array;
  readonly bodyEnd: Uint32Array;
}

export function readCodeSection(bytes: Uint8Array, start: number, end: number): CodeBodies {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.code));
  // The least body is a size, no locals, and `end`.
  const count = reader.count(FUNCTIONS_MAX, 3);
  const bodyStart = new Uint32Array(count);
  const bodyEnd = new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    const offset = reader.at;
    const size = reader.u32();
    if (size > BODY_BYTES_MAX) {
      throw reader.refusal(`has a body of ${size} bytes; the limit is ${BODY_BYTES_MAX}`, offset);
    }
    if (size < 2) throw reader.refusal('has a body too short to end', offset);
    bodyStart[i] = reader.skip(size);
    bodyEnd[i] = reader.at;
  }
  reader.finish();
  return { bodyStart, bodyEnd };
}

/** A run of locals of one type. */
export interface LocalRun {
  readonly count: number;
  readonly type: ValueType;
}

/** The locals that a body declares (parameters not among them), and where its instructions begin. */
export function readLocals(
  bytes: Uint8Array,
  bodyStart: number,
  bodyEnd: number,
): { readonly runs: readonly LocalRun[]; readonly instructions: number } {
  const reader = new ByteReader(bytes, bodyStart, bodyEnd, sectionName(SECTION.code));
  const runs: LocalRun[] = [];
  const declarations = reader.count(LOCALS_MAX, 2);
  let total = 0;
  for (let i = 0; i < declarations; i++) {
    const offset = reader.at;
    const count = reader.u32();
    total += count;
    if (total > LOCALS_MAX) throw reader.refusal('has a function with too many locals', offset);
    runs.push({ count, type: readValueType(reader) });
  }
  return { runs, instructions: reader.at };
}
