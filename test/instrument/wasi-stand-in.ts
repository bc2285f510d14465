/**
 * A host for guests under test: as much of WASI as they need, and functions that only leave a trace.
 *
 * Everything that a call answers follows from its arguments and from how many calls came before it. So
 * a guest that is stopped and brought back gets the same answers as one that never was.
 */
import type { ModuleImport } from '../../src/wasm/section-import.ts';
import type { FunctionType } from '../../src/wasm/section-type.ts';
import { FUNCREF, I64 } from '../../src/wasm/value-type.ts';

/** What the host remembers: it stays when the guest is taken down and comes back in another instance. */
export interface HostState {
  readonly args: readonly string[];
  readonly output: string[];
  /** Calls completed. */
  calls: number;
}

/** Thrown through the guest by `proc_exit`. */
export class Exit {
  readonly status: number;

  constructor(status: number) {
    this.status = status;
  }
}

type Memory = () => DataView;
type Call = (state: HostState, memory: Memory, args: readonly unknown[]) => unknown;

const ERRNO = { success: 0, badf: 8, nosys: 52, notsup: 58, spipe: 70 } as const;
const CHARACTER_DEVICE = 2;
const FDSTAT_BYTES = 24;
const NS_A_CALL = 1_000_000n;

const WASI: Readonly<Record<string, Call>> = {
  args_sizes_get: ({ args }, memory, [count, size]) => {
    memory().setUint32(count as number, args.length, true);
    const bytes = args.reduce((sum, arg) => sum + arg.length + 1, 0);
    memory().setUint32(size as number, bytes, true);
    return ERRNO.success;
  },
  args_get: ({ args }, memory, [pointers, texts]) => {
    let pointer = pointers as number;
    let text = texts as number;
    for (const arg of args) {
      memory().setUint32(pointer, text, true);
      pointer += 4;
      for (const byte of Buffer.from(`${arg}\0`)) memory().setUint8(text++, byte);
    }
    return ERRNO.success;
  },
  environ_sizes_get: (_state, memory, [count, size]) => {
    memory().setUint32(count as number, 0, true);
    memory().setUint32(size as number, 0, true);
    return ERRNO.success;
  },
  environ_get: () => ERRNO.success,
  clock_time_get: ({ calls }, memory, [, , result]) => {
    memory().setBigUint64(result as number, BigInt(calls) * NS_A_CALL, true);
    return ERRNO.success;
  },
  random_get: ({ calls }, memory, [start, length]) => {
    for (let i = 0; i < (length as number); i++) {
      memory().setUint8((start as number) + i, (i * 7 + calls) & 0xff);
    }
    return ERRNO.success;
  },
  fd_write: ({ output }, memory, [, vectors, count, result]) => {
    const view = memory();
    let written = 0;
    for (let i = 0; i < (count as number); i++) {
      const start = view.getUint32((vectors as number) + 8 * i, true);
      const length = view.getUint32((vectors as number) + 8 * i + 4, true);
      output.push(Buffer.from(view.buffer as ArrayBuffer, start, length).toString('latin1'));
      written += length;
    }
    view.setUint32(result as number, written, true);
    return ERRNO.success;
  },
  fd_fdstat_get: (_state, memory, [fd, result]) => {
    if ((fd as number) > 2) return ERRNO.badf;
    for (let i = 0; i < FDSTAT_BYTES; i++) memory().setUint8((result as number) + i, 0);
    memory().setUint8(result as number, CHARACTER_DEVICE);
    return ERRNO.success;
  },
  fd_prestat_get: () => ERRNO.badf,
  fd_seek: () => ERRNO.spipe,
  fd_close: () => ERRNO.success,
  sched_yield: () => ERRNO.success,
  poll_oneoff: () => ERRNO.notsup,
  proc_exit: (_state, _memory, [status]) => {
    throw new Exit(status as number);
  },
  checkpoint: () => 0,
};

/**
 * The function for an import. What is no WASI function writes its name and arguments to the output, and
 * answers with small numbers, or null, according to its type.
 */
export function hostFunction({ module, name }: ModuleImport, type: FunctionType): Call {
  const known = module === 'host' ? undefined : WASI[name];
  if (known !== undefined) return known;
  if (module === 'wasi_snapshot_preview1') return () => ERRNO.nosys;
  return (state, _memory, args) => {
    state.output.push(`${name}(${args.map(shown).join(' ')})\n`);
    const results = Array.from(type.results, (result, index) => {
      if (result <= FUNCREF) return null;
      const number = (state.calls % 5) + index;
      return result === I64 ? BigInt(number) : number;
    });
    return results.length > 1 ? results : results[0];
  };
}

/** NaNs are all alike here: JavaScript does not keep their bits. */
function shown(value: unknown): string {
  if (typeof value === 'function') return 'function';
  return Object.is(value, -0) ? '-0' : String(value);
}
