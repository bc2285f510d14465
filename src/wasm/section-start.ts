/** Start section: the u32 index of the function that instantiation calls. */
import { ByteReader } from './byte-reader.ts';
import { SECTION, sectionName } from './section-id.ts';

export function readStartSection(bytes: Uint8Array, start: number, end: number): number {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.start));
  const index = reader.u32();
  reader.finish();
  return index;
}
