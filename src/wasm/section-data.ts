/**
 * Data section: u32 count, then that many segments of bytes for memories.
 *
 * A segment is u32 flags, then for 0 an offset (memory 0), for 1 nothing (passive), for 2 a u32 memory
 * and an offset; then a u32 length and that many bytes.
 */
import { ByteReader } from './byte-reader.ts';
import { type ByteRange, readConstantExpression } from './constant-expression.ts';
import { DATA_SEGMENTS_MAX } from './limits.ts';
import { SECTION, sectionName } from './section-id.ts';

export interface DataSegment {
  readonly mode: 'active' | 'passive';
  /** The memory that an active segment goes to; 0 otherwise. */
  readonly memory: number;
  /** Constant expression: the address that an active segment goes to. */
  readonly offset: ByteRange | undefined;
  /** The contents, in the file. */
  readonly content: ByteRange;
  /** The segment's own bytes in the file, flags included. */
  readonly range: ByteRange;
}

export function readDataSection(bytes: Uint8Array, start: number, end: number): DataSegment[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.data));
  const segments: DataSegment[] = [];
  const count = reader.count(DATA_SEGMENTS_MAX, 2);
  for (let i = 0; i < count; i++) {
    const segmentStart = reader.at;
    const flags = reader.u32();
    if (flags > 2) throw reader.refusal(`has unknown segment flags ${flags}`, segmentStart);
    const memory = flags === 2 ? reader.u32() : 0;
    const offset = flags === 1 ? undefined : readConstantExpression(reader);
    const length = reader.u32();
    const contentStart = reader.skip(length);
    const content = { start: contentStart, end: reader.at };
    segments.push({
      mode: flags === 1 ? 'passive' : 'active',
      memory,
      offset,
      content,
      range: { start: segmentStart, end: reader.at },
    });
  }
  reader.finish();
  return segments;
}
