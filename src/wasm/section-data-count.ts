/** Data count section: how many data segments there are, said before the code that names them. */
import { ByteReader } from './byte-reader.ts';
import { SECTION, sectionName } from './section-id.ts';

export function readDataCountSection(bytes: Uint8Array, start: number, end: number): number {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.dataCount));
  const count = reader.u32();
  reader.finish();
  return count;
}
