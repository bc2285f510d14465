/** Function section: u32 count, then the u32 type of each function that the module defines. */
import { ByteReader } from './byte-reader.ts';
import { FUNCTIONS_MAX } from './limits.ts';
import { SECTION, sectionName } from './section-id.ts';

export function readFunctionSection(bytes: Uint8Array, start: number, end: number): Uint32Array {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.function));
  const typeIndices = new Uint32Array(reader.count(FUNCTIONS_MAX, 1));
  for (let i = 0; i < typeIndices.length; i++) typeIndices[i] = reader.u32();
  reader.finish();
  return typeIndices;
}
