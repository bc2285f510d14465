/** The guest's environment: what its request names, nothing of the host's. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { writeSizes, writeStrings } from './string-list.ts';

export function environCalls({ memory, env, secretEnv }: WasiEnvironment): Calls {
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
     * Values of `--env-secret` are declared as secret where they are written: `resource/secrets.ts`.
     *
     * - NOMEM: there are too many secret places already.
     *
     * Source: WASI snapshot preview1, `environ_get`.
     */
    environ_get: (pointers: number, text: number) => {
      const errno = writeStrings(memory, env, pointers, text);
      if (errno !== ERRNO.SUCCESS || secretEnv === undefined) return errno;
      return declareSecrets(secretEnv, env, text >>> 0);
    },
  };
}

/** Declares the values of the last variables, which were written at `text` one after the other. */
function declareSecrets(
  { regions, names }: NonNullable<WasiEnvironment['secretEnv']>,
  env: readonly Uint8Array[],
  text: number,
): Errno {
  let at = text;
  const first = env.length - names.length;
  for (const [index, entry] of env.entries()) {
    const name = names[index - first];
    if (name !== undefined) {
      const valueAt = Buffer.byteLength(name) + 1;
      const errno = regions.declare(at + valueAt, entry.length - valueAt, name);
      if (errno !== ERRNO.SUCCESS) return errno;
    }
    at += entry.length + 1;
  }
  return ERRNO.SUCCESS;
}
