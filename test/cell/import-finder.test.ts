import { expect, test } from 'vitest';
import wabt from 'wabt';
import { SIGNATURES } from '../../src/abi/signatures.ts';
import { checkImports, importFinder } from '../../src/cell/import-finder.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { readModule } from '../../src/wasm/module.ts';
import { CALLS } from '../wasi/random-calls.ts';

const nothing = () => 0;
const functions = Object.fromEntries(CALLS.map((name) => [name, nothing]));
const find = importFinder({
  preview1: functions,
  snapshot0: functions,
  stasis: { checkpoint: nothing },
  provided: new Map(),
  trapUnknown: true,
});

async function check(imports: string): Promise<string> {
  const { parseWat } = await wabt();
  const text = parseWat('imports.wat', `(module ${imports})`);
  const { buffer } = text.toBinary({});
  text.destroy();
  const { imports: wanted, types } = readModule(new Uint8Array(buffer));
  try {
    checkImports(wanted, types, find);
    return 'accepted';
  } catch (error) {
    if (error instanceof HostError) return `${error.code}: ${error.message}`;
    throw error;
  }
}

const WORDS: Readonly<Record<string, string>> = { i: 'i32', I: 'i64' };

function declared(module: string, name: string, signature: string): string {
  const [params, results] = signature.split(':').map((part) => [...part].map((at) => WORDS[at]));
  return `(import "${module}" "${name}" (func (param ${params!.join(' ')}) (result ${results!.join(' ')})))`;
}

test('every call is accepted as it is, and refused by name with any other type', async () => {
  expect(Object.keys(SIGNATURES).sort()).toEqual([...CALLS].sort());
  for (const module of ['wasi_snapshot_preview1', 'wasi_unstable']) {
    const all = Object.entries(SIGNATURES);
    const right = all.map(([name, signature]) => declared(module, name, signature)).join('');
    expect(await check(right)).toBe('accepted');
    for (const [name, signature] of all) {
      for (const other of [`i${signature}`, `${signature}i`, signature.replace(/i(?!.*i)/, 'I')]) {
        expect(await check(declared(module, name, other))).toBe(
          `ERR_UNKNOWN_IMPORT: The module imports ${module}.${name} with another type than that function has.`,
        );
      }
    }
  }
});

test('our own call and other types than numbers are held to it as well', async () => {
  expect(await check('(import "stasis" "checkpoint" (func (result i32)))')).toBe('accepted');
  expect(await check('(import "stasis" "checkpoint" (func (result i64)))')).toContain('UNKNOWN');
  const float = '(import "wasi_snapshot_preview1" "fd_close" (func (param f32) (result i32)))';
  expect(await check(float)).toContain('ERR_UNKNOWN_IMPORT');
});
