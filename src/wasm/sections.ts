/**
 * The frame of a module: its sections, in the order of the file.
 *
 * Layout: magic number `\0asm` and version, 8 bytes; then sections: a byte for its number, a u32 size in
 * bytes, and that many bytes of contents.
 *
 * Invariants:
 * 1. Sections cover the file from byte 8 to its end without a gap.
 * 2. Sections other than custom ones stand in the order of `section-id.ts`, each at most once.
 */
import { ByteReader } from './byte-reader.ts';
import { checkHeader, HEADER_BYTES } from './file-kind.ts';
import { MODULE_BYTES_MAX, SECTIONS_MAX } from './limits.ts';
import { readCustomSection } from './section-custom.ts';
import { isSectionId, SECTION, type SectionId, sectionName, sectionOrder } from './section-id.ts';

export interface ModuleSection {
  readonly id: SectionId;
  /** Where the section begins in the file: its number, then its size. */
  readonly start: number;
  /** Where its contents begin. */
  readonly offset: number;
  /** Bytes of contents. */
  readonly size: number;
  /** A custom section's name, and where its contents begin behind the name. */
  readonly custom: { readonly name: string; readonly contentStart: number } | undefined;
}

export function readSections(bytes: Uint8Array): ModuleSection[] {
  checkHeader(bytes);
  const reader = new ByteReader(bytes, HEADER_BYTES, bytes.length, 'the file');
  if (bytes.length > MODULE_BYTES_MAX) {
    throw reader.refusal(`is larger than the limit of ${MODULE_BYTES_MAX} bytes`);
  }
  const sections: ModuleSection[] = [];
  let order = 0;
  while (reader.at < reader.end) {
    const start = reader.at;
    const id = reader.byte();
    if (!isSectionId(id)) throw reader.refusal(`has an unknown section ${id}`, start);
    if (sections.length === SECTIONS_MAX) {
      throw reader.refusal(`has more than ${SECTIONS_MAX} sections`, start);
    }
    if (id !== SECTION.custom) {
      if (sectionOrder(id) <= order) {
        throw reader.refusal(`has ${sectionName(id)} twice or in the wrong place`, start);
      }
      order = sectionOrder(id);
    }
    const size = reader.u32();
    if (size > reader.end - reader.at) {
      throw reader.refusal(`is cut off in ${sectionName(id)}`, start);
    }
    const offset = reader.skip(size);
    const custom = id === SECTION.custom ? readCustomSection(bytes, offset, reader.at) : undefined;
    sections.push({ id, start, offset, size, custom });
  }
  return sections;
}
