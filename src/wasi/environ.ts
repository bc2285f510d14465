/** The guest's environment: what its request names, nothing of the host's. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { SecretRegions } from '../resource/secrets.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { writeSizes, writeStrings } from './string-list.ts';

export function environCalls({ memory, env, secrets }: WasiEnvironment): Calls {
  const all = (): readonly Uint8Array[] => [
    ...env,
    ...(secrets?.variables ?? []).map(({ entry }) => entry),
  ];
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
    environ_sizes_get: (count: number, size: number) => writeSizes(memory, all(), count, size),

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
      const errno = writeStrings(memory, all(), pointers, text);
      if (errno !== ERRNO.SUCCESS || secrets === undefined) return errno;
      const before = env.reduce((sum, entry) => sum + entry.length + 1, 0);
      return declareSecrets(secrets, (text >>> 0) + before);
    },
  };
}

/** Declares the values of the secret variables, which were written at `text` one after the other. */
function declareSecrets(secrets: SecretRegions, text: number): Errno {
  let at = text;
  for (const { name, entry } of secrets.variables) {
    const valueAt = Buffer.byteLength(name) + 1;
    const errno = secrets.declare(at + valueAt, entry.length - valueAt, name);
    if (errno !== ERRNO.SUCCESS) return errno;
    at += entry.length + 1;
  }
  return ERRNO.SUCCESS;
}
