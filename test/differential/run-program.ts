/** Runs a whole program once on one of the layers, uninstrumented. */
import { createHash } from 'node:crypto';
import { type EngineImports, type EngineMemory, engine } from '../../src/wasm/engine.ts';
import { type LayerName, type LayerSetup, type OpenLayer, openLayer } from './layers.ts';

export interface ProgramEnd {
  /** `exit 0`, or what it threw. */
  readonly end: string;
  readonly stdout: string;
  readonly stderr: string;
  /** Of the file that was asked for: size and the beginning of its digest, or the errno of opening it. */
  readonly file: string;
}

export interface ProgramOptions {
  readonly args?: readonly string[];
  readonly stdin?: string;
  /** Below the directory `/data`. */
  readonly readsBack?: string;
}

export function runProgram(
  name: LayerName,
  bytes: Uint8Array<ArrayBuffer>,
  { args = [], stdin = '', readsBack }: ProgramOptions,
): ProgramEnd {
  const setup: LayerSetup = { args: ['program', ...args], env: [], stdin, guestPath: '/data' };
  const layer = openLayer(name, setup);
  try {
    const imports = {
      wasi_snapshot_preview1: layer.calls,
      stasis: { checkpoint: () => 0 },
    } as unknown as EngineImports;
    const instance = new engine.Instance(new engine.Module(bytes), withStubs(bytes, imports));
    const memory = instance.exports['memory'] as EngineMemory;
    layer.attach(memory);
    const end = endOf(layer, instance.exports['_start'] as () => void);
    const file = readsBack === undefined ? '' : digestOf(layer, memory, readsBack);
    return { end, ...layer.written(), file };
  } finally {
    layer.close();
  }
}

function endOf(layer: OpenLayer, start: () => void): string {
  try {
    start();
    return 'exit 0';
  } catch (error) {
    const code = layer.exitOf(error);
    if (code !== null) return `exit ${code}`;
    return `throws ${error instanceof Error ? error.message : String(error)}`;
  }
}

/** Imports that a program never calls here, such as those for a JavaScript host, are stubs that throw. */
function withStubs(bytes: Uint8Array<ArrayBuffer>, imports: EngineImports): EngineImports {
  const needed = (
    globalThis as unknown as {
      WebAssembly: { Module: { imports(module: object): { module: string; name: string }[] } };
    }
  ).WebAssembly.Module.imports(new engine.Module(bytes));
  const all: Record<string, Record<string, unknown>> = {};
  for (const { module, name } of needed) {
    all[module] ??= {};
    all[module][name] =
      (imports[module] as Record<string, unknown> | undefined)?.[name] ??
      (() => {
        throw new Error(`there is no ${module}.${name}`);
      });
  }
  return all as EngineImports;
}

const CHUNK_BYTES = 16_384;
const AT = { path: 0, iovec: 64, result: 72, data: 1024 };

/** The program is over: its memory is free to be written over. */
function digestOf({ calls, root, below }: OpenLayer, memory: EngineMemory, path: string): string {
  const view = new DataView(memory.buffer);
  const bytes = new Uint8Array(memory.buffer);
  const length = new TextEncoder().encodeInto(below + path, bytes).written;
  const errno = calls['path_open']!(root, 0, AT.path, length, 0, 0x26n, 0n, 0, AT.result);
  if (errno !== 0) return `errno ${errno}`;
  const fd = view.getUint32(AT.result, true);
  view.setUint32(AT.iovec, AT.data, true);
  view.setUint32(AT.iovec + 4, CHUNK_BYTES, true);
  const hash = createHash('sha256');
  let size = 0;
  for (;;) {
    const failed = calls['fd_read']!(fd, AT.iovec, 1, AT.result);
    if (failed !== 0) return `errno ${failed} after ${size} bytes`;
    const count = view.getUint32(AT.result, true);
    if (count === 0) return `${size} bytes, ${hash.digest('hex').slice(0, 16)}`;
    hash.update(bytes.subarray(AT.data, AT.data + count));
    size += count;
  }
}
