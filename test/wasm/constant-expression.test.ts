import { expect, test } from 'vitest';
import { evaluateConstant, globalConstants } from '../../src/wasm/constant-expression.ts';
import { readModule } from '../../src/wasm/module.ts';
import { assembleWithWabt } from './toolchains.ts';

function constantsOf(fields: string) {
  const { bytes, globals } = readModule(assembleWithWabt(`(module ${fields})`));
  const imported = fields.split('(import').length - 1;
  return globalConstants(bytes, imported, globals);
}

test('constants and extended constants wrap as the engine does', () => {
  expect(
    constantsOf(`
      (global i32 (i32.const -5))
      (global i64 (i64.const 0x8000000000000000))
      (global i32 (i32.add (i32.const 0x7fffffff) (i32.const 1)))
      (global i32 (i32.mul (i32.const 0x10001) (i32.const 0x10001)))
      (global i64 (i64.sub (i64.const 0x8000000000000000) (i64.const 1)))
      (global i64 (i64.add (i64.mul (i64.const 3) (i64.const 4)) (i64.const 5)))
      (global i32 (i32.sub (i32.const 1) (i32.const 3)))`),
  ).toEqual([-5, -(2n ** 63n), -0x80000000, 0x20001, 2n ** 63n - 1n, 17n, -2]);
});

test('globals name earlier ones; what an import decides is unknown', () => {
  expect(
    constantsOf(`
      (import "m" "g" (global i32))
      (global i32 (i32.const 7))
      (global i32 (i32.add (global.get 1) (i32.const 1)))
      (global i32 (i32.add (global.get 0) (i32.const 1)))
      (global f64 (f64.const 1))
      (global funcref (ref.null func))`),
  ).toEqual([undefined, 7, 8, undefined, undefined, undefined]);
});

test('a segment offset is evaluated with the values of globals', () => {
  const module = readModule(
    assembleWithWabt('(module (memory 1) (global i32 (i32.const 64)) (data (global.get 0) "x"))'),
  );
  const globals = globalConstants(module.bytes, 0, module.globals);
  expect(evaluateConstant(module.bytes, module.data[0]!.offset!, globals)).toBe(64);
});

test('an expression that is not valid has no value', () => {
  const value = (...bytes: number[]) =>
    evaluateConstant(Uint8Array.from(bytes), { start: 0, end: bytes.length }, []);
  expect(value(0x0b)).toBe(undefined);
  expect(value(0x6a, 0x0b)).toBe(undefined);
  expect(value(0x41, 1, 0x42, 1, 0x6a, 0x0b)).toBe(undefined);
  expect(value(0x41, 1, 0x41, 1, 0x0b)).toBe(undefined);
  expect(value(0x23, 0, 0x0b)).toBe(undefined);
  expect(value(0x41, 1)).toBe(undefined);
});

test('a hundred thousand globals, each naming the one before, take no stack', () => {
  const count = 100_000;
  const bytes = new Uint8Array(count * 5);
  const globals = Array.from({ length: count }, (_, i) => {
    const start = i * 5;
    const previous = i - 1;
    const get = [0x23, (previous & 0x7f) | 0x80, ((previous >> 7) & 0x7f) | 0x80, previous >> 14];
    bytes.set(i === 0 ? [0x41, 3, 0x0b] : [...get, 0x0b], start);
    return { type: 0x7f, mutable: false, init: { start, end: start + 5 } };
  });
  expect(globalConstants(bytes, 0, globals).at(-1)).toBe(3);
});
