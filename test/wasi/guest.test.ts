/** Guests in the text format, on the real import module: what is written elsewhere holds from inside, too. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import wabt from 'wabt';
import { ERRNO } from '../../src/abi/errno.ts';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { createGuestResources } from '../../src/handle/guest-resources.ts';
import { GuestExit } from '../../src/wasi/environment.ts';
import { createPreview1, PREVIEW1_MODULE } from '../../src/wasi/preview1.ts';
import { type EngineMemory, engine, type WasmFunction } from '../../src/wasm/engine.ts';
import { createHost, type Host, removeHost } from './harness.ts';

let host: Host;

beforeEach(() => {
  host = createHost();
});

afterEach(() => removeHost(host));

/** Runs `_start`; the exit code, or what the exported function left on the stack. */
async function run(text: string): Promise<unknown> {
  const { parseWat } = await wabt();
  const module = parseWat('guest.wat', text);
  const { buffer } = module.toBinary({});
  module.destroy();
  const resources = createGuestResources(host.grants());
  let memory: EngineMemory | null = null;
  const calls = createPreview1({
    memory: new GuestMemory(() => memory!),
    args: [],
    env: [],
    handles: resources.handles,
    connections: resources.connections,
    native: null,
    clock: resources.clock,
    random: resources.random,
    pause: { wait: () => 'timeout' },
    progress: null,
  });
  const instance = new engine.Instance(new engine.Module(new Uint8Array(buffer)), {
    [PREVIEW1_MODULE]: calls as Readonly<Record<string, WasmFunction>>,
  });
  memory = instance.exports['memory'] as EngineMemory;
  try {
    return (instance.exports['_start'] as () => unknown)();
  } catch (error) {
    if (error instanceof GuestExit) return { exit: error.code };
    throw error;
  } finally {
    resources.close();
  }
}

const IMPORTS = `
  (import "wasi_snapshot_preview1" "path_open"
    (func $open (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_read" (func $read (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_write" (func $write (param i32 i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "fd_seek" (func $seek (param i32 i64 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random (param i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "proc_exit" (func $exit (param i32)))`;

test('a guest copies a file to stdout, into memory that it just grew', async () => {
  writeFileSync(join(host.dir, 'in'), 'from the file');
  const result = await run(`(module ${IMPORTS}
    (memory (export "memory") 1)
    (data (i32.const 0) "in")
    (func (export "_start")
      (drop (memory.grow (i32.const 1)))
      ;; An iovec at 16 for 100 bytes on the new page.
      (i32.store (i32.const 16) (i32.const 65536))
      (i32.store (i32.const 20) (i32.const 100))
      (if (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 0)
            (i64.const 2) (i64.const 0) (i32.const 0) (i32.const 8)) (then (call $exit (i32.const 1))))
      (if (call $read (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 20))
        (then (call $exit (i32.const 2))))
      (if (call $write (i32.const 1) (i32.const 16) (i32.const 1) (i32.const 12))
        (then (call $exit (i32.const 3))))
      (call $exit (i32.load (i32.const 12)))))`);
  expect(result).toEqual({ exit: 13 });
  expect(host.written.stdout).toBe('from the file');
});

test('a guest is told FAULT, and its file is untouched', async () => {
  writeFileSync(join(host.dir, 'in'), 'x');
  const result = await run(`(module ${IMPORTS}
    (memory (export "memory") 1)
    (data (i32.const 0) "in")
    (func (export "_start") (result i32)
      (drop (call $open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 2) (i32.const 0)
              (i64.const 70) (i64.const 0) (i32.const 0) (i32.const 8)))
      (i32.store (i32.const 16) (i32.const -16))
      (i32.store (i32.const 20) (i32.const 32))
      (i32.add
        (i32.mul (call $write (i32.load (i32.const 8)) (i32.const 16) (i32.const 1) (i32.const 12))
          (i32.const 10000))
        (i32.add
          (i32.mul (call $random (i32.const 0) (i32.const -1)) (i32.const 100))
          (call $seek (i32.load (i32.const 8)) (i64.const -1) (i32.const 0) (i32.const 24))))))`);
  expect(result).toBe(ERRNO.FAULT * 10_000 + ERRNO.FAULT * 100 + ERRNO.INVAL);
  expect(readFileSync(join(host.dir, 'in'), 'utf8')).toBe('x');
});
