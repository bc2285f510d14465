/** Custom sections: a name, then whatever their author put there. Only the name is read. */
import { ByteReader } from './byte-reader.ts';
import { SECTION, sectionName } from './section-id.ts';

export interface CustomSectionHead {
  readonly name: string;
  /** Where the contents begin, behind the name. */
  readonly contentStart: number;
}

export function readCustomSection(
  bytes: Uint8Array,
  start: number,
  end: number,
): CustomSectionHead {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.custom));
  return { name: reader.name(), contentStart: reader.at };
}
