/**
 * How the engine of a cell is set.
 *
 * V8 decides what to inline by the size of a function's bytes, and from how many functions of a module are
 * small. What a captured function needs to hand over its frame is never run in normal running, but it
 * counts: without room for it, small recursive programs lost the inlining that makes them fast (fib took
 * 2.6 times as long as the raw module, and 1.2 times with these).
 *
 * They are set when the cell's code is loaded, not on the command line: there they would make the engine
 * reject the compiled form of Node's own modules, which is made for the usual flags, and each cell would
 * compile them anew, for 10 ms.
 */
import { setFlagsFromString } from 'node:v8';

export const ENGINE_FLAGS: readonly string[] = [
  '--wasm-inlining-factor=8',
  '--wasm-inlining-budget=20000',
  '--wasm-inlining-max-size=1000',
];

/** For the whole process, and what is compiled from here on. */
export function setEngineFlags(): void {
  for (const flag of ENGINE_FLAGS) setFlagsFromString(flag);
}
