/** Two independent assemblers of the text format, and the engine's own validator, as references. */
import binaryen from 'binaryen';
import loadWabt from 'wabt';

const wabt = await loadWabt();

const WABT_FEATURES = {
  exceptions: true,
  sat_float_to_int: true,
  sign_extension: true,
  simd: true,
  threads: true,
  function_references: true,
  multi_value: true,
  tail_call: true,
  bulk_memory: true,
  reference_types: true,
  memory64: true,
  multi_memory: true,
  extended_const: true,
  relaxed_simd: true,
};

/** Assembles without validation, which in wabt knows fewer features; throws when wabt refuses the text. */
export function assembleWithWabt(text: string): Uint8Array {
  const module = wabt.parseWat('test.wat', text, WABT_FEATURES);
  try {
    module.resolveNames();
    return module.toBinary({ write_debug_names: true }).buffer;
  } finally {
    module.destroy();
  }
}

/** Assembles with every feature on; throws when Binaryen refuses the text. */
export function assembleWithBinaryen(text: string): Uint8Array {
  const module = binaryen.parseText(text);
  try {
    module.setFeatures(binaryen.Features.All);
    if (module.validate() !== 1) throw new Error(`Binaryen finds the module invalid: ${text}`);
    return module.emitBinary();
  } finally {
    module.dispose();
  }
}

// The compiler's libraries in use here leave out the browser's, and WebAssembly's types stand there.
interface Engine {
  validate(bytes: Uint8Array): boolean;
  readonly Module: {
    new (bytes: Uint8Array): object;
    imports(module: object): { module: string; name: string; kind: string }[];
    exports(module: object): { name: string; kind: string }[];
  };
}
const engine = (globalThis as unknown as { readonly WebAssembly: Engine }).WebAssembly;

/** Whether the engine finds the module valid. */
export function engineAccepts(bytes: Uint8Array): boolean {
  return engine.validate(bytes);
}

/** What the engine says that a module imports and exports. */
export function externalsOf(bytes: Uint8Array) {
  const module = new engine.Module(bytes);
  return { imports: engine.Module.imports(module), exports: engine.Module.exports(module) };
}
