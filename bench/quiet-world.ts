/**
 * The few WASI calls that a kernel or a small program makes, answered from memory.
 *
 * It touches no file and no clock, so that a measurement holds nothing but the guest: arguments, output
 * kept as bytes, time that goes by one millisecond a question, randomness that is no such thing. All else
 * is NOSYS.
 */
import type { EngineMemory, WasmFunction } from '../src/wasm/engine.ts';
import type { WasmModule } from '../src/wasm/module.ts';

const SUCCESS = 0;
const BADF = 8;
const NOSYS = 52;
const SPIPE = 70;
const CHARACTER_DEVICE = 2;
const FDSTAT_BYTES = 24;
const IOVEC_BYTES = 8;

/** Thrown through the guest by `proc_exit`. */
export class Exited {
  readonly status: number;

  constructor(status: number) {
    this.status = status;
  }
}

export interface QuietWorld {
  /** By the order of the module's imports. */
  readonly imports: readonly WasmFunction[];
  /** What the guest wrote to descriptors 1 and 2. */
  readonly output: () => string;
}

/** `memory`: the guest's, asked for at each call because it may grow. */
export function makeQuietWorld(
  module: WasmModule,
  args: readonly string[],
  memory: () => EngineMemory,
): QuietWorld {
  const written: Buffer[] = [];
  let questions = 0n;
  const view = (): DataView => new DataView(memory().buffer);
  const list = args.map((arg) => Buffer.from(`${arg}\0`));
  const calls: Record<string, (...args: never[]) => unknown> = {
    args_sizes_get: (count: number, size: number): number => {
      view().setUint32(count, list.length, true);
      view().setUint32(size, Buffer.concat(list).length, true);
      return SUCCESS;
    },
    args_get: (pointers: number, strings: number): number => {
      let at = strings;
      list.forEach((arg, index) => {
        view().setUint32(pointers + 4 * index, at, true);
        new Uint8Array(memory().buffer).set(arg, at);
        at += arg.length;
      });
      return SUCCESS;
    },
    environ_sizes_get: (count: number, size: number): number => {
      view().setUint32(count, 0, true);
      view().setUint32(size, 0, true);
      return SUCCESS;
    },
    environ_get: () => SUCCESS,
    clock_res_get: (_clock: number, at: number): number => {
      view().setBigUint64(at, 1_000_000n, true);
      return SUCCESS;
    },
    clock_time_get: (_clock: number, _precision: bigint, at: number): number => {
      view().setBigUint64(at, ++questions * 1_000_000n, true);
      return SUCCESS;
    },
    random_get: (at: number, size: number): number => {
      for (let i = 0; i < size; i++) view().setUint8(at + i, (i * 7) & 0xff);
      return SUCCESS;
    },
    fd_write: (fd: number, iovecs: number, count: number, result: number): number => {
      if (fd !== 1 && fd !== 2) return BADF;
      const data = view();
      let total = 0;
      for (let at = iovecs; at < iovecs + count * IOVEC_BYTES; at += IOVEC_BYTES) {
        const start = data.getUint32(at, true);
        const size = data.getUint32(at + 4, true);
        written.push(Buffer.from(new Uint8Array(data.buffer).subarray(start, start + size)));
        total += size;
      }
      data.setUint32(result, total, true);
      return SUCCESS;
    },
    fd_fdstat_get: (fd: number, at: number): number => {
      if (fd > 2) return BADF;
      new Uint8Array(memory().buffer).fill(0, at, at + FDSTAT_BYTES);
      view().setUint8(at, CHARACTER_DEVICE);
      return SUCCESS;
    },
    fd_prestat_get: () => BADF,
    fd_close: () => SUCCESS,
    fd_seek: () => SPIPE,
    sched_yield: () => SUCCESS,
    proc_exit: (status: number): never => {
      throw new Exited(status);
    },
  };
  return {
    imports: module.imports.map(({ name }) => (calls[name] ?? (() => NOSYS)) as WasmFunction),
    output: () => Buffer.concat(written).toString('latin1'),
  };
}
