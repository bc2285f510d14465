/** The arguments of the guest's command line. */
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { writeSizes, writeStrings } from './string-list.ts';

export function argsCalls({ memory, args }: WasiEnvironment): Calls {
  return {
    /**
     * `args_sizes_get`: how many arguments there are, and their bytes with a NUL each.
     *
     * Writes the number, u32, at `count` and the bytes, u32, at `size`.
     *
     * - FAULT: one of the two isn't within memory; nothing was written.
     *
     * Source: WASI snapshot preview1, `args_sizes_get`.
     */
    args_sizes_get: (count: number, size: number) => writeSizes(memory, args, count, size),

    /**
     * `args_get`: the arguments.
     *
     * Writes them at `text`, each followed by a NUL, and a pointer to each, u32, at `pointers`.
     *
     * - FAULT: one of the two isn't within memory; nothing was written.
     *
     * Source: WASI snapshot preview1, `args_get`.
     */
    args_get: (pointers: number, text: number) => writeStrings(memory, args, pointers, text),
  };
}
