/**
 * The small module that stands between `@wasmer/wasi` and a guest.
 *
 * The package wants a module, to see by its imports which WASI is meant, and an instance of it, to find
 * the export `memory`. A guest's own module won't do: instrumented, it exports much that the package
 * can't name. So it is shown this one:
 *
 *   (module
 *     (import "wasi_snapshot_preview1" "proc_exit" (func (param i32)))
 *     (import "guest" "memory" (memory 0))
 *     (export "memory" (memory 0)))
 */
import { ByteWriter } from '../wasm/byte-writer.ts';
import { type EngineModule, engine } from '../wasm/engine.ts';
import { SECTION, type SectionId } from '../wasm/section-id.ts';

export const DOOR_MODULE = 'guest';
export const DOOR_MEMORY = 'memory';

const HEADER = Uint8Array.of(0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00);
const FUNCTION_TYPE = 0x60;
const I32 = 0x7f;
const FUNCTION = 0;
const MEMORY = 2;

export function compileDoor(): EngineModule {
  const out = new ByteWriter();
  out.bytes(HEADER);
  section(out, SECTION.type, (part) => {
    part.u32(1);
    part.bytes(Uint8Array.of(FUNCTION_TYPE, 1, I32, 0));
  });
  section(out, SECTION.import, (part) => {
    part.u32(2);
    part.name('wasi_snapshot_preview1');
    part.name('proc_exit');
    part.bytes(Uint8Array.of(FUNCTION, 0));
    part.name(DOOR_MODULE);
    part.name(DOOR_MEMORY);
    // No maximum, at least no pages.
    part.bytes(Uint8Array.of(MEMORY, 0, 0));
  });
  section(out, SECTION.export, (part) => {
    part.u32(1);
    part.name('memory');
    part.bytes(Uint8Array.of(MEMORY, 0));
  });
  return new engine.Module(out.finish());
}

function section(out: ByteWriter, id: SectionId, write: (part: ByteWriter) => void): void {
  const part = new ByteWriter();
  write(part);
  out.u8(id);
  out.u32(part.view().length);
  out.bytes(part.view());
}
