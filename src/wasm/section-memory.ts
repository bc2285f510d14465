/** Memory section: u32 count, then the limits of each memory, in pages. */
import { ByteReader } from './byte-reader.ts';
import { MEMORIES_MAX } from './limits.ts';
import { type Limits, MEMORY_FLAGS, readLimits } from './limits-type.ts';
import { SECTION, sectionName } from './section-id.ts';

export interface MemoryType extends Limits {
  readonly pageBytes: number;
}

const PAGE_BYTES = 65_536;
/** Log2 of the largest page there can be. */
const PAGE_LOG2_MAX = 16;

export function readMemorySection(bytes: Uint8Array, start: number, end: number): MemoryType[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.memory));
  const memories: MemoryType[] = [];
  const count = reader.count(MEMORIES_MAX, 2);
  for (let i = 0; i < count; i++) memories.push(readMemoryType(reader));
  reader.finish();
  return memories;
}

/** Reads the limits of one memory. */
export function readMemoryType(reader: ByteReader): MemoryType {
  const offset = reader.at;
  const limits = readLimits(reader, MEMORY_FLAGS);
  const { pageLog2 } = limits;
  if (pageLog2 !== undefined && pageLog2 > PAGE_LOG2_MAX) {
    throw reader.refusal(`has a page size of 2^${pageLog2} bytes`, offset);
  }
  return { ...limits, pageBytes: pageLog2 === undefined ? PAGE_BYTES : 2 ** pageLog2 };
}
