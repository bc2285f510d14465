/** The guest's environment: what its request names, nothing of the host's. */
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { writeSizes, writeStrings } from './string-list.ts';

export function environCalls({ memory, env }: WasiEnvironment): Calls {
  return {
    /**
     * `environ_sizes_get`: how many variables there are, and their bytes as `K=V` with a NUL each.
     *
     * Writes the number, u32, at `count` and the bytes, u32, at `size`.
     *
     * - FAULT: one of the two isn't within memory; nothing was written.
     *
     * Source: WASI snapshot preview1, `environ_sizes_get`.
     */
    environ_sizes_get: (count: number, size: number) => writeSizes(memory, env, count, size),

    /**
     * `environ_get`: the variables.
     *
     * Writes them at `text` as `K=V`, each followed by a NUL, and a pointer to each, u32, at `pointers`.
     *
     * - FAULT: one of the two isn't within memory; nothing was written.
     *
     * Source: WASI snapshot preview1, `environ_get`.
     */
    environ_get: (pointers: number, text: number) => writeStrings(memory, env, pointers, text),
  };
}
