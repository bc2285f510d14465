/**
 * Runs the guest of `wasi-calls.wat` once on one host of WASI: `wasi-run.ts HOST FOLDER MODULE`. Prints how
 * many nanoseconds of processor time each kind of call took, as a JSON array.
 *
 * Ours is the whole product: a cell, its permissions, a guest that could be captured at every call. The
 * shim keeps its files in memory: they are copied there before.
 */
import { execFileSync } from 'node:child_process';
import { openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { WASI } from 'node:wasi';
import {
  Directory,
  File,
  OpenFile,
  PreopenDirectory,
  WASI as Shim,
} from '@bjorn3/browser_wasi_shim';
import {
  type EngineInstance,
  type EngineMemory,
  engine,
  type WasmFunction,
} from '../src/wasm/engine.ts';

const [host, folder, modulePath] = process.argv.slice(2) as [string, string, string];
const KINDS = 7;
/** `clockid`. */
const CPU_TIME = 2;

const output = host === 'stasis' ? runOurs() : host === 'node' ? runNode() : runShim();
const view = new DataView(output.buffer, output.byteOffset, output.byteLength);
const times = Array.from({ length: KINDS }, (_, kind) => Number(view.getBigUint64(kind * 8, true)));
console.log(JSON.stringify(times));

function runOurs(): Uint8Array {
  const command = join(import.meta.dirname, '../src/cli/main.ts');
  const args = [command, 'run', '--dir', `${join(folder, 'files')}::/`, modulePath];
  return execFileSync(process.execPath, args, {
    env: { ...process.env, STASIS_HOME: join(folder, 'home') },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
}

function runNode(): Uint8Array {
  const path = join(folder, 'output');
  const wasi = new WASI({
    version: 'preview1',
    preopens: { '/': join(folder, 'files') },
    stdout: openSync(path, 'w'),
  });
  wasi.start(instantiate(wasi.wasiImport as Record<string, WasmFunction>));
  return readFileSync(path);
}

function runShim(): Uint8Array {
  const files = join(folder, 'files');
  const entry = (name: string) => new File(readFileSync(join(files, name)));
  const many = readdirSync(join(files, 'many')).map((name) => [name, new File([])] as const);
  const root = new PreopenDirectory(
    '/',
    new Map<string, File | Directory>([
      ['data', entry('data')],
      ['out', entry('out')],
      ['many', new Directory(new Map(many))],
    ]),
  );
  const stdout = new File([]);
  const shim = new Shim([], [], [0, 1, 2].map(() => new OpenFile(stdout)).concat(root as never), {
    debug: false,
  });
  const calls = { ...shim.wasiImport } as unknown as Record<string, WasmFunction>;
  const clock = calls['clock_time_get'] as unknown as (...args: unknown[]) => number;
  // It has no clock of processor time, which the guest measures with.
  const used = (id: number, precision: bigint, result: number): number => {
    if (id !== CPU_TIME) return clock(id, precision, result);
    const { user, system } = process.threadCpuUsage();
    const { buffer } = instance.exports['memory'] as EngineMemory;
    new DataView(buffer).setBigUint64(result, BigInt(user + system) * 1000n, true);
    return 0;
  };
  calls['clock_time_get'] = used as unknown as WasmFunction;
  const instance = instantiate(calls);
  shim.start(instance as unknown as Parameters<typeof shim.start>[0]);
  return stdout.data;
}

function instantiate(calls: Record<string, WasmFunction>): EngineInstance {
  const module = new engine.Module(readFileSync(modulePath));
  return new engine.Instance(module, { wasi_snapshot_preview1: calls });
}
