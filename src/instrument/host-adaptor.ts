/**
 * A module of a few bytes that makes wasm functions of the host's JavaScript functions.
 *
 * Only wasm functions can be put into a table. It imports one function for each slot of the private
 * table, from module `h` under the slot's name, and exports it again under the same name.
 */
import { ByteWriter } from '../wasm/byte-writer.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';
import { writeNewModule } from '../wasm/writer.ts';
import { BASE_TYPE, BASE_TYPES, SLOT } from './layout.ts';

/** Slots with a host function, and its type. */
const TYPE_OF_SLOT = {
  poll: BASE_TYPE.poll,
  begin: BASE_TYPE.begin,
  save8: BASE_TYPE.save8,
  saveRef: BASE_TYPE.saveRef,
  deny: BASE_TYPE.deny,
  word: BASE_TYPE.word,
  ref: BASE_TYPE.ref,
} as const;

export type HostSlot = keyof typeof TYPE_OF_SLOT;
export const HOST_SLOTS = Object.keys(TYPE_OF_SLOT) as readonly HostSlot[];

/** Where a slot's function stands in the private table. */
export function slotOf(name: HostSlot): number {
  return SLOT[name];
}

export function makeHostAdaptor(): Uint8Array<ArrayBuffer> {
  const types = new ByteWriter();
  types.u32(BASE_TYPES.length);
  for (const { params, results } of BASE_TYPES) {
    types.u8(0x60);
    types.u32(params.length);
    types.bytes(params);
    types.u32(results.length);
    types.bytes(results);
  }
  const imports = new ByteWriter();
  const exports = new ByteWriter();
  imports.u32(HOST_SLOTS.length);
  exports.u32(HOST_SLOTS.length);
  HOST_SLOTS.forEach((name, index) => {
    imports.name('h');
    imports.name(name);
    imports.u8(0);
    imports.u32(TYPE_OF_SLOT[name]);
    exports.name(name);
    exports.u8(0);
    exports.u32(index);
  });
  const sections = new Map<SectionId, Uint8Array>([
    [SECTION.type, types.finish()],
    [SECTION.import, imports.finish()],
    [SECTION.export, exports.finish()],
  ]);
  return writeNewModule({ sections });
}
