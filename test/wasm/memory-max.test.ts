import { expect, test } from 'vitest';
import wabt from 'wabt';
import { type EngineMemory, engine } from '../../src/wasm/engine.ts';
import { withMemoryMax } from '../../src/wasm/memory-max.ts';
import { readModule } from '../../src/wasm/module.ts';

const assembler = await wabt();

function assemble(memory: string): Uint8Array {
  const text = `(module (memory (export "m") ${memory}) (func (export "f") (result i32) i32.const 7)
    (data (i32.const 5) "x"))`;
  return assembler.parseWat('m.wat', text).toBinary({}).buffer;
}

test.each([
  ['none before', '2', 5, 5],
  ['a smaller one before', '2 3', 5, 3],
  ['a larger one before', '2 9', 5, 5],
  ['less than it begins with', '2', 1, 2],
])('a memory gets a bound: %s', (_, memory, pagesMax, bound) => {
  const bytes = withMemoryMax(assemble(memory), pagesMax);
  expect(readModule(bytes).memories[0]).toMatchObject({ min: 2, max: bound });
  const { exports } = new engine.Instance(new engine.Module(bytes));
  const grown = exports['m'] as EngineMemory;
  expect(new Uint8Array(grown.buffer)[5]).toBe('x'.charCodeAt(0));
  expect((exports['f'] as () => number)()).toBe(7);
  expect(grown.grow(bound - 2)).toBe(2);
  expect(() => grown.grow(1)).toThrow();
});
