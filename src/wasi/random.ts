/** Randomness, never the same again in a restarted or cloned guest. */
import { ERRNO } from '../abi/errno.ts';
import { BOUNDS_DEFAULT } from '../resource/bounds.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';

/** What is asked of the source at once. */
const CHUNK_BYTES = 65_536;
/** After so many bytes a checkpoint gets its chance. */
const STRETCH_BYTES = 16 * 1024 * 1024;

export function randomCalls(environment: WasiEnvironment): Calls {
  const { memory, random, pause, randomBytesMax = BOUNDS_DEFAULT.randomCallBytes } = environment;
  return {
    /**
     * `random_get`: fills `length` bytes at `buffer`. Progress of an interrupted call: bytes filled.
     *
     * - FAULT: the buffer isn't within memory; nothing was written.
     *
     * Throws LimitReached for more than the guest may ask for at once: there is no errno for that.
     *
     * Source: WASI snapshot preview1, `random_get`.
     */
    random_get: (buffer: number, length: number) => {
      if (!memory.holds(buffer, length)) return ERRNO.FAULT;
      const start = buffer >>> 0;
      const total = length >>> 0;
      if (total > randomBytesMax) throw new LimitReached('random');
      const before = environment.progress;
      let done = typeof before === 'number' && before >= 0 && before <= total ? before : 0;
      environment.progress = null;
      let untilPause = STRETCH_BYTES;
      while (done < total) {
        if (untilPause <= 0) {
          untilPause = STRETCH_BYTES;
          if (pause.wait(0n, { stdin: false }) === 'interrupted') {
            environment.progress = done;
            return INTERRUPTED;
          }
        }
        const size = Math.min(CHUNK_BYTES, total - done);
        random(memory.bytes.subarray(start + done, start + done + size));
        done += size;
        untilPause -= size;
      }
      return ERRNO.SUCCESS;
    },
  };
}
