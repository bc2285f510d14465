/** Tag section: u32 count, then a zero byte and the u32 type of each tag. */
import { ByteReader } from './byte-reader.ts';
import { TAGS_MAX } from './limits.ts';
import { SECTION, sectionName } from './section-id.ts';

/** Returns the type index of each tag. */
export function readTagSection(bytes: Uint8Array, start: number, end: number): Uint32Array {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.tag));
  const typeIndices = new Uint32Array(reader.count(TAGS_MAX, 2));
  for (let i = 0; i < typeIndices.length; i++) typeIndices[i] = readTagType(reader);
  reader.finish();
  return typeIndices;
}

/** Reads the zero byte and the type index of one tag. */
export function readTagType(reader: ByteReader): number {
  const offset = reader.at;
  if (reader.byte() !== 0) throw reader.refusal('has an unknown kind of tag', offset);
  return reader.u32();
}
