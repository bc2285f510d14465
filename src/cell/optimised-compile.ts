/**
 * Compiles twins with the engine's optimising compiler at once.
 *
 * The engine compiles a function quickly first, and optimises it when it was called or went round often; but
 * a call that is running keeps the code that it began with. A twin is called once and may then run for
 * hours, so it has to be optimised before it is called.
 *
 * The engine has no option for one module, only flags for all that the process compiles. They are set while
 * this one is compiled and no longer. A function that a guest calls for the first time in another thread
 * within these milliseconds, and that is among the first 32 of its module, is optimised as well: that takes
 * longer, and is otherwise the same.
 *
 * Source: V8, `flag-definitions.h` (`wasm_tier_mask_for_testing`: declared functions to compile with the optimising
 * compiler, by bit) and `function-compiler.cc`.
 */
import { setFlagsFromString } from 'node:v8';
import { type EngineModule, engine } from '../wasm/engine.ts';

/** The mask has as many bits. */
export const OPTIMISED_FUNCTIONS_MAX = 32;

const ON = ['--wasm-tier-mask-for-testing=-1', '--no-wasm-lazy-compilation'];
const OFF = ['--wasm-tier-mask-for-testing=0', '--wasm-lazy-compilation'];

/** Compiles a module of at most `OPTIMISED_FUNCTIONS_MAX` functions, whose bytes no other module has. */
export function compileOptimised(bytes: Uint8Array<ArrayBuffer>): EngineModule {
  for (const flag of ON) setFlagsFromString(flag);
  try {
    return new engine.Module(bytes);
  } finally {
    for (const flag of OFF) setFlagsFromString(flag);
  }
}
