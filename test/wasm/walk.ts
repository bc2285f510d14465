/** The instructions of a module, listed for comparison. */
import { forEachInstruction } from '../../src/wasm/decode.ts';
import { readModule, type WasmModule } from '../../src/wasm/module.ts';
import { readLocals } from '../../src/wasm/section-code.ts';

/** The flattened opcodes of one defined function, the last `end` included. */
export function opcodesOf(module: WasmModule, defined: number): number[] {
  const end = module.bodyEnd[defined]!;
  const { instructions } = readLocals(module.bytes, module.bodyStart[defined]!, end);
  const opcodes: number[] = [];
  forEachInstruction(module.bytes, instructions, end, (op) => opcodes.push(op));
  return opcodes;
}

/** The flattened opcodes of each defined function. */
export function opcodesByFunction(bytes: Uint8Array): number[][] {
  const module = readModule(bytes);
  return Array.from(module.bodyStart, (_, defined) => opcodesOf(module, defined));
}
