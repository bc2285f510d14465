/**
 * Four implementations of WASI preview1 behind one interface: ours, `@wasmer/wasi` as we run guests on
 * it, Node's own, and `@bjorn3/browser_wasi_shim`. Each is given an empty directory, the same arguments,
 * variables and input.
 */
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
import { WASI as NodeWasi } from 'node:wasi';
import {
  ConsoleStdout,
  File,
  OpenFile,
  PreopenDirectory,
  WASI as ShimWasi,
  WASIProcExit,
} from '@bjorn3/browser_wasi_shim';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { errorCode } from '../../src/fault/io-failure.ts';
import { createGuestResources } from '../../src/handle/guest-resources.ts';
import type { Calls } from '../../src/wasi/calls.ts';
import { GuestExit, type WasiEnvironment } from '../../src/wasi/environment.ts';
import { createPreview1 } from '../../src/wasi/preview1.ts';
import { WasmerLayer } from '../../src/wasi/wasmer-layer.ts';
import type { EngineMemory } from '../../src/wasm/engine.ts';
import { createHost, type Host, removeHost } from '../wasi/harness.ts';

export const LAYERS = ['stasis', 'wasmer', 'node', 'bjorn3'] as const;
export type LayerName = (typeof LAYERS)[number];

export interface LayerSetup {
  readonly args: readonly string[];
  readonly env: readonly string[];
  readonly stdin: string;
  /** What the guest is told that the directory is called. */
  readonly guestPath: string;
}

export interface OpenLayer {
  readonly calls: Calls;
  /** To be called when the guest's memory is there, before any call. */
  attach(memory: EngineMemory): void;
  /** Number of the granted directory. */
  readonly root: number;
  /** Where below `root` what was granted as `guestPath` is: nothing, or a path with a slash at its end. */
  readonly below: string;
  /** How a guest ended whose run threw `error`, or null when it was not by `proc_exit`. */
  exitOf(error: unknown): number | null;
  written(): { readonly stdout: string; readonly stderr: string };
  close(): void;
}

export function openLayer(name: LayerName, setup: LayerSetup): OpenLayer {
  switch (name) {
    case 'stasis':
      return openOurs(setup);
    case 'wasmer':
      return openWasmer(setup);
    case 'node':
      return openNode(setup);
    case 'bjorn3':
      return openShim(setup);
  }
}

interface LiveGuest {
  readonly host: Host;
  readonly environment: WasiEnvironment;
  attach(memory: EngineMemory): void;
  close(): void;
}

/** The harness's host with real time, and waits that really wait. */
function liveGuest(setup: LayerSetup, hasDirectory: boolean): LiveGuest {
  const host = createHost();
  if (setup.stdin !== '') host.stdin.push(Buffer.from(setup.stdin));
  host.stdin.push('end');
  const preopens = hasDirectory
    ? [{ hostPath: host.dir, guestPath: setup.guestPath, readOnly: false }]
    : [];
  const monotonicNs = () => process.hrtime.bigint();
  const realtimeNs = () => BigInt(Date.now()) * 1_000_000n;
  const hostClock = { realtimeNs, monotonicNs, cpuNs: monotonicNs, resolutionNs: 1n };
  const resources = createGuestResources(host.grants({ preopens, clock: hostClock }));
  const { handles, clock, random, connections } = resources;
  const never = new Int32Array(new SharedArrayBuffer(4));
  const encode = (list: readonly string[]) => list.map((entry) => new TextEncoder().encode(entry));
  let memory: EngineMemory;
  const environment: WasiEnvironment = {
    memory: new GuestMemory(() => memory),
    args: encode(setup.args),
    env: encode(setup.env),
    handles,
    connections,
    clock,
    random,
    native: null,
    pause: {
      wait: (untilNs) => {
        if (untilNs === null) throw new Error('would wait for ever');
        for (;;) {
          const leftNs = untilNs - clock.monotonicNs();
          if (leftNs <= 0n) return 'timeout';
          Atomics.wait(never, 0, 0, Number(leftNs) / 1e6);
        }
      },
    },
    progress: null,
  };
  return {
    host,
    environment,
    attach: (given) => {
      memory = given;
    },
    close: () => {
      resources.close();
      removeHost(host);
    },
  };
}

const ourExit = (error: unknown): number | null => (error instanceof GuestExit ? error.code : null);

function openOurs(setup: LayerSetup): OpenLayer {
  const { host, environment, attach, close } = liveGuest(setup, true);
  return {
    calls: createPreview1(environment),
    attach,
    root: 3,
    below: '',
    exitOf: ourExit,
    written: () => host.written,
    close,
  };
}

function openWasmer(setup: LayerSetup): OpenLayer {
  const { host, environment, attach, close } = liveGuest(setup, false);
  const layer = new WasmerLayer({
    args: setup.args,
    env: setup.env,
    realtimeNs: () => environment.clock.realtimeNs(),
    memoryPagesMax: 4096,
  });
  return {
    calls: layer.calls(environment),
    attach: (given) => {
      attach(given);
      // Copying an empty directory makes one.
      const empty = join(host.dir, 'empty');
      mkdirSync(empty);
      layer.attach(given, [{ hostPath: empty, guestPath: setup.guestPath }]);
    },
    root: 4,
    // Everything is below one root.
    below: `${setup.guestPath.slice(1)}/`,
    exitOf: ourExit,
    written: () => host.written,
    close,
  };
}

function openNode(setup: LayerSetup): OpenLayer {
  const scratch = mkdtempSync(join(tmpdir(), 'stasis-node-'));
  const root = join(scratch, 'root');
  mkdirSync(root);
  writeFileSync(join(scratch, 'in'), setup.stdin);
  const [stdin, stdout, stderr] = [
    openSync(join(scratch, 'in'), 'r'),
    openSync(join(scratch, 'out'), 'w'),
    openSync(join(scratch, 'err'), 'w'),
  ];
  const wasi = new NodeWasi({
    version: 'preview1',
    args: [...setup.args],
    env: Object.fromEntries(setup.env.map((entry) => entry.split('=', 2) as [string, string])),
    preopens: { [setup.guestPath]: root },
    stdin,
    stdout,
    stderr,
    returnOnExit: true,
  });
  return {
    calls: wasi.wasiImport as unknown as Calls,
    attach: (memory) => {
      wasi.finalizeBindings({ exports: { memory } }, { memory: memory as never });
    },
    root: 3,
    below: '',
    exitOf: (error) => {
      if (typeof error !== 'symbol' || error.description !== 'kExitCode') return null;
      return (wasi as unknown as Record<symbol, number>)[error]!;
    },
    written: () => ({
      stdout: readFileSync(join(scratch, 'out'), 'utf8'),
      stderr: readFileSync(join(scratch, 'err'), 'utf8'),
    }),
    close: () => {
      for (const fd of [stdin, stdout, stderr]) closeOnce(fd);
      rmSync(scratch, { recursive: true });
    },
  };
}

/** The guest may have closed it; any other failure is one. */
function closeOnce(fd: number): void {
  try {
    closeSync(fd);
  } catch (error) {
    if (errorCode(error) !== 'EBADF') throw error;
  }
}

function openShim(setup: LayerSetup): OpenLayer {
  const written = { stdout: '', stderr: '' };
  const stream = (name: 'stdout' | 'stderr') =>
    new ConsoleStdout((bytes) => {
      written[name] += Buffer.from(bytes).toString();
    });
  const wasi = new ShimWasi(
    [...setup.args],
    [...setup.env],
    [
      new OpenFile(new File(Buffer.from(setup.stdin))),
      stream('stdout'),
      stream('stderr'),
      new PreopenDirectory(setup.guestPath, new Map()),
    ],
    { debug: false },
  );
  return {
    calls: wasi.wasiImport as unknown as Calls,
    attach: (memory) => {
      (wasi as unknown as { inst: unknown }).inst = { exports: { memory } };
    },
    root: 3,
    below: '',
    exitOf: (error) => (error instanceof WASIProcExit ? error.code : null),
    written: () => written,
    close: () => {},
  };
}
