/**
 * Writes a module that was read, with some of its sections changed.
 *
 * Invariants:
 * 1. Without edits the result is byte for byte the file that was read.
 * 2. Sections that are not edited are copied with their own spelling of the size.
 * 3. Sections other than custom ones come out in the order of `section-id.ts`; custom ones that were read
 *    keep their place between the same neighbours.
 */
import { assert } from '../fault/assert.ts';
import { ByteWriter } from './byte-writer.ts';
import { HEADER_BYTES } from './file-kind.ts';
import type { WasmModule } from './module.ts';
import { SECTION, type SectionId, sectionOrder } from './section-id.ts';

/** The contents of a section, in one piece or in several that follow each other. */
export type Payload = Uint8Array | readonly Uint8Array[];

/** A custom section to add. */
export interface NewCustomSection {
  readonly name: string;
  readonly content: Payload;
  /** Put it somewhere before this section, whether or not the module has it; undefined: at the end. */
  readonly before: SectionId | undefined;
}

export interface ModuleEdits {
  /** New contents by section; null leaves the section out. Sections not yet there are put in place. */
  readonly sections?: ReadonlyMap<SectionId, Payload | null>;
  /** Custom sections that stay, by name; all, when absent. */
  readonly keepCustom?: (name: string) => boolean;
  readonly addCustom?: readonly NewCustomSection[];
}

/** Chunks that go in front of the first section whose order is above `order`. */
interface Insertion {
  readonly order: number;
  readonly chunks: readonly Uint8Array[];
}

/** Half a step in front of a section is still behind the one before it. */
const JUST_BEFORE = 0.5;

/** The bytes of `module` with `edits` made. */
export function writeModule(
  module: Pick<WasmModule, 'bytes' | 'sections'>,
  edits: ModuleEdits = {},
): Uint8Array<ArrayBuffer> {
  const { bytes, sections } = module;
  const replaced = edits.sections ?? new Map<SectionId, Payload | null>();
  assert(!replaced.has(SECTION.custom), 'custom sections are edited by name, not by number');
  const keepCustom = edits.keepCustom ?? (() => true);
  const insertions = plannedInsertions(module, edits);
  const lastOrdered = sections.findLastIndex(({ id }) => id !== SECTION.custom);

  const chunks: Uint8Array[] = [bytes.subarray(0, HEADER_BYTES)];
  let inserted = 0;
  const insertBelow = (order: number): void => {
    for (; inserted < insertions.length && insertions[inserted]!.order < order; inserted++) {
      chunks.push(...insertions[inserted]!.chunks);
    }
  };

  // Without ordered sections, what is to be put in place comes before all custom ones.
  if (lastOrdered < 0) insertBelow(Number.POSITIVE_INFINITY);
  for (const [position, section] of sections.entries()) {
    const { id, start, offset, size, custom } = section;
    if (id !== SECTION.custom) insertBelow(sectionOrder(id));
    const payload = replaced.get(id);
    if (custom === undefined && payload !== undefined) {
      if (payload !== null) chunks.push(...sectionChunks(id, payload));
    } else if (custom === undefined || keepCustom(custom.name)) {
      chunks.push(bytes.subarray(start, offset + size));
    }
    if (position === lastOrdered) insertBelow(Number.POSITIVE_INFINITY);
  }
  for (const { name, content, before } of edits.addCustom ?? []) {
    if (before === undefined) chunks.push(...customChunks(name, content));
  }
  return concatenated(chunks);
}

function plannedInsertions(
  { sections }: Pick<WasmModule, 'sections'>,
  { sections: edited, addCustom }: ModuleEdits,
): Insertion[] {
  const present = new Set(sections.map(({ id }) => id));
  const insertions: Insertion[] = [];
  for (const [id, payload] of edited ?? []) {
    if (payload === null || present.has(id)) continue;
    insertions.push({ order: sectionOrder(id), chunks: sectionChunks(id, payload) });
  }
  for (const { name, content, before } of addCustom ?? []) {
    if (before === undefined) continue;
    const order = sectionOrder(before) - JUST_BEFORE;
    insertions.push({ order, chunks: customChunks(name, content) });
  }
  return insertions.sort((a, b) => a.order - b.order);
}

function sectionChunks(id: SectionId, payload: Payload): Uint8Array[] {
  const pieces: readonly Uint8Array[] = payload instanceof Uint8Array ? [payload] : payload;
  const head = new ByteWriter();
  head.u8(id);
  head.u32(pieces.reduce((size, piece) => size + piece.length, 0));
  return [head.finish(), ...pieces];
}

function customChunks(name: string, content: Payload): Uint8Array[] {
  const head = new ByteWriter();
  head.name(name);
  const pieces: readonly Uint8Array[] = content instanceof Uint8Array ? [content] : content;
  return sectionChunks(SECTION.custom, [head.finish(), ...pieces]);
}

function concatenated(chunks: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(chunks.reduce((size, chunk) => size + chunk.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    whole.set(chunk, at);
    at += chunk.length;
  }
  return whole;
}

/** The eight bytes that a module begins with. */
const HEADER = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);

/** A new module from nothing but `edits`, such as a resume module. */
export function writeNewModule(edits: ModuleEdits): Uint8Array<ArrayBuffer> {
  return writeModule({ bytes: HEADER, sections: [] }, edits);
}
