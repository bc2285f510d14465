/**
 * Processor time of this thread, exactly: the kernel's own clock for it, through `node:ffi`.
 *
 * Node's counters move in whole ticks of some milliseconds. Time on the wall counts what other programs
 * did meanwhile.
 */
const CLOCK_THREAD_CPUTIME_ID = 3;
const MS_A_S = 1000;
const NS_A_MS = 1e6;

type ClockGetTime = (clock: number, result: Uint8Array) => number;

const clockGetTime = load();
const result = new BigInt64Array(2);
const bytes = new Uint8Array(result.buffer);

/** Milliseconds that this thread has run; null where the kernel can't be asked. */
export function threadMs(): number | null {
  if (clockGetTime === null) return null;
  clockGetTime(CLOCK_THREAD_CPUTIME_ID, bytes);
  return Number(result[0]!) * MS_A_S + Number(result[1]!) / NS_A_MS;
}

function load(): ClockGetTime | null {
  if (process.platform !== 'linux') return null;
  try {
    const ffi = process.getBuiltinModule('node:ffi');
    const { functions } = ffi.dlopen(null, {
      clock_gettime: { arguments: ['int32', 'buffer'], return: 'int32' },
    });
    return functions['clock_gettime'] as unknown as ClockGetTime;
  } catch {
    return null;
  }
}
