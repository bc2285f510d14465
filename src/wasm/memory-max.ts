/** A module with a bound on its memory that it did not state itself. */
import { assert } from '../fault/assert.ts';
import { ByteWriter } from './byte-writer.ts';
import { readModule } from './module.ts';
import { SECTION } from './section-id.ts';

const HAS_MAX = 0x01;

/**
 * The module `bytes` with `pagesMax` as the most that its one memory may have; never fewer than it
 * begins with. The memory has 32-bit addresses and is the module's own, not an import.
 */
export function withMemoryMax(bytes: Uint8Array, pagesMax: number): Uint8Array<ArrayBuffer> {
  const { sections, memories } = readModule(bytes);
  const section = sections.find(({ id }) => id === SECTION.memory);
  const memory = memories[0];
  assert(
    section !== undefined && memory !== undefined && memories.length === 1,
    'the module has one memory',
  );
  assert(!memory.is64 && !memory.shared, 'the memory is a plain one');
  const contents = new ByteWriter();
  contents.u32(1);
  contents.u8(HAS_MAX);
  contents.u32(memory.min);
  contents.u32(Math.max(memory.min, Math.min(pagesMax, memory.max ?? pagesMax)));
  const out = new ByteWriter(bytes.length + 16);
  out.range(bytes, 0, section.start);
  out.u8(SECTION.memory);
  out.u32(contents.view().length);
  out.bytes(contents.view());
  out.range(bytes, section.offset + section.size, bytes.length);
  return out.finish();
}
