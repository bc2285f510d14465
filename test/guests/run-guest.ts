/**
 * Runs a guest once, uninterrupted, under Node's own WASI: the judge that is not ours. Says how it
 * ended and what it printed. What a test wants to spoil on the way, it spoils in `onLine`.
 */

import assert from 'node:assert/strict';
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { WASI } from 'node:wasi';
import { type EngineMemory, engine } from '../../src/wasm/engine.ts';

type HostFunction = (...args: never[]) => number;

/** What a running guest can be spoiled with. */
export interface Running {
  readonly memory: EngineMemory;
  /** The host's directory that the guest sees as /data. */
  readonly data: string;
  /** Node's implementation of the WASI functions, by name. */
  readonly wasi: Readonly<Record<string, (...args: unknown[]) => number>>;
}

export interface GuestOptions {
  readonly args?: readonly string[];
  readonly stdin?: string;
  /** What `stasis.checkpoint` answers; 0 where not given. */
  readonly checkpointAnswer?: number;
  /** Sleeps end after this part of the time asked for; 1 where not given. */
  readonly sleepFactor?: number;
  /** Called at each write to stdout, before it is made; `count` counts from 1. */
  readonly onLine?: (count: number, running: Running) => void;
}

export interface GuestEnd {
  readonly status: number;
  readonly lines: readonly string[];
}

/** Byte offsets in a preview1 subscription to a clock, and in an event. */
const SUBSCRIPTION = { tag: 8, clock: 16, timeout: 24, flags: 40 };
const EVENT = { userdata: 0, errno: 8, type: 10, size: 32 };
const CLOCK_MONOTONIC = 1;

/**
 * `poll_oneoff` for one clock, exactly. Node's own wakes up to a millisecond early, which a guest
 * that measures its sleep rightly complains about.
 */
function pollClock(memory: EngineMemory, factor: number): HostFunction {
  const never = new Int32Array(new SharedArrayBuffer(4));
  return (input: number, output: number, count: number, result: number): number => {
    const view = new DataView(memory.buffer);
    assert.equal(count, 1, 'the guests wait for one clock at a time');
    assert.equal(view.getUint8(input + SUBSCRIPTION.tag), 0, 'a clock');
    const timeoutNs = view.getBigUint64(input + SUBSCRIPTION.timeout, true);
    const isAbsolute = view.getUint16(input + SUBSCRIPTION.flags, true) === 1;
    if (isAbsolute) {
      assert.equal(view.getUint32(input + SUBSCRIPTION.clock, true), CLOCK_MONOTONIC);
    }
    const startNs = process.hrtime.bigint();
    const askedNs = isAbsolute ? timeoutNs - startNs : timeoutNs;
    const endNs = startNs + BigInt(Math.round(Number(askedNs) * factor));
    for (let nowNs = startNs; nowNs < endNs; nowNs = process.hrtime.bigint()) {
      Atomics.wait(never, 0, 0, Number(endNs - nowNs) / 1e6);
    }
    new Uint8Array(memory.buffer, output, EVENT.size).fill(0);
    view.setBigUint64(output + EVENT.userdata, view.getBigUint64(input, true), true);
    view.setUint32(result, 1, true);
    return 0;
  };
}

/** Instantiates `bytes` and runs `_start` to its end. A trap is thrown, as the engine threw it. */
export function runGuest(bytes: Uint8Array<ArrayBuffer>, options: GuestOptions = {}): GuestEnd {
  const scratch = mkdtempSync(join(tmpdir(), 'stasis-guest-'));
  const data = join(scratch, 'data');
  const output = join(scratch, 'stdout');
  mkdirSync(data);
  writeFileSync(join(scratch, 'stdin'), options.stdin ?? '');
  const stdin = openSync(join(scratch, 'stdin'), 'r');
  const stdout = openSync(output, 'w');
  try {
    const judge = new WASI({
      version: 'preview1',
      args: ['guest', ...(options.args ?? [])],
      preopens: { '/data': data },
      stdin,
      stdout,
    });
    const wasi = judge.wasiImport as Running['wasi'];
    const memory = (): EngineMemory => instance.exports['memory'] as EngineMemory;
    let count = 0;
    const instance = new engine.Instance(new engine.Module(bytes), {
      wasi_snapshot_preview1: {
        ...wasi,
        fd_write: (fd: number, ...rest: unknown[]): number => {
          if (fd === 1) {
            count++;
            options.onLine?.(count, { memory: memory(), data, wasi });
          }
          return wasi['fd_write']!(fd, ...rest);
        },
        poll_oneoff: (...args: never[]): number =>
          pollClock(memory(), options.sleepFactor ?? 1)(...args),
      },
      stasis: { checkpoint: (): number => options.checkpointAnswer ?? 0 },
    });
    const status = judge.start(instance);
    return { status, lines: readFileSync(output, 'utf8').split('\n').slice(0, -1) };
  } finally {
    closeSync(stdin);
    closeSync(stdout);
    rmSync(scratch, { recursive: true });
  }
}
