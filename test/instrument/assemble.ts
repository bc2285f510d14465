/** Text to bytes that an engine takes; wabt first, Binaryen for what wabt doesn't know. */
import { engine } from '../../src/wasm/engine.ts';
import { assembleWithBinaryen, assembleWithWabt } from '../wasm/toolchains.ts';

export function assemble(text: string): Uint8Array<ArrayBuffer> {
  const bytes = Uint8Array.from(assembleWithWabt(text));
  // Compiled for its message: a test's own mistake must not look like a refusal.
  new engine.Module(bytes);
  return bytes;
}

/** With every feature that Binaryen knows. */
export function assembleNewer(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(assembleWithBinaryen(text));
}
