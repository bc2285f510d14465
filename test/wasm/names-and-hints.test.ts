import { describe, expect, test } from 'vitest';
import {
  BRANCH_HINT_SECTION,
  encodeBranchHints,
  readBranchHints,
} from '../../src/wasm/branch-hints.ts';
import { readModule, type WasmModule } from '../../src/wasm/module.ts';
import { functionNames } from '../../src/wasm/name-section.ts';
import { SECTION } from '../../src/wasm/section-id.ts';
import { writeModule } from '../../src/wasm/writer.ts';
import { EMPTY_FUNCTION_TYPE, moduleOf, section } from './module-bytes.ts';
import { assembleWithWabt, engineAccepts } from './toolchains.ts';

const three = [EMPTY_FUNCTION_TYPE, section(3, 3, 0, 0, 0)];
const bodies = section(10, 3, 2, 0, 0x0b, 2, 0, 0x0b, 2, 0, 0x0b);
const withNames = (...content: number[]) =>
  moduleOf(...three, bodies, section(0, 4, 0x6e, 0x61, 0x6d, 0x65, ...content));

describe('function names', () => {
  test('as an assembler writes them, imports first', () => {
    const names = functionNames(
      readModule(assembleWithWabt('(module (import "m" "f" (func $in)) (func $out) (func $f.o))')),
    );
    expect([names(0), names(1), names(2), names(3)]).toEqual(['in', 'out', 'f.o', undefined]);
  });

  test('a module without the section has none', () => {
    expect(functionNames(moduleOf(...three, bodies))(0)).toBe(undefined);
  });

  test.each<[string, number[], (string | undefined)[]]>([
    ['a gap and an index too high', [1, 9, 3, 0, 1, 0x61, 9, 0, 2, 1, 0x62], ['a', undefined, 'b']],
    ['a name longer than the rest', [1, 5, 2, 0, 1, 0x61, 9], ['a', undefined, undefined]],
    ['a subsection longer than the section', [1, 99, 1, 0, 1, 0x61], [undefined]],
    ['a count without entries', [1, 5, 0xff, 0xff, 0xff, 0xff, 0x0f], [undefined]],
    ['an unknown subsection before', [77, 2, 0xff, 0xff, 1, 4, 1, 1, 1, 0x7a], [undefined, 'z']],
    ['bytes that are not UTF-8', [1, 4, 1, 0, 1, 0xff], ['\ufffd']],
    ['nothing but a kind', [1], [undefined]],
  ])('%s', (_, content, expected) => {
    const names = functionNames(withNames(...content));
    expect(expected.map((_, functionIndex) => names(functionIndex))).toEqual(expected);
  });
});

describe('branch hints', () => {
  const loop = `(module (import "m" "f" (func)) (func (param i32) (local i64)
    (loop $l local.get 0 br_if $l)))`;

  function hinted(content: Uint8Array): WasmModule {
    const addCustom = [{ name: BRANCH_HINT_SECTION, content, before: SECTION.code }];
    return readModule(writeModule(readModule(assembleWithWabt(loop)), { addCustom }));
  }

  test('come back as they were written, before the code, in a module that the engine takes', () => {
    // Locals take 3 bytes, `loop` 2, `local.get` 2.
    const hints = [
      { functionIndex: 1, offsets: Uint32Array.of(7), likely: Uint8Array.of(1) },
      { functionIndex: 300, offsets: Uint32Array.of(1, 70_000), likely: Uint8Array.of(0, 1) },
    ];
    const module = hinted(encodeBranchHints(hints));
    expect(readBranchHints(module)).toEqual(hints);
    expect(module.bytes[module.bodyStart[0]! + 7]).toBe(0x0d);
    const order = module.sections.map(({ id, custom }) => custom?.name ?? id);
    expect(order.indexOf(BRANCH_HINT_SECTION)).toBe(order.indexOf(SECTION.code) - 1);
    expect(engineAccepts(module.bytes)).toBe(true);
  });

  test('none without the section; a refusal for garbage', () => {
    expect(readBranchHints(readModule(assembleWithWabt(loop)))).toEqual([]);
    const garbage: [number[], RegExp][] = [
      [[1, 0, 1, 5, 2, 0, 0], /unknown size/],
      [[1, 0, 1, 5, 1, 2], /unknown value/],
      [[0xff, 0xff, 0x03], /more than its bytes can hold/],
      [[0, 0], /left over/],
    ];
    for (const [content, sentence] of garbage) {
      expect(() => readBranchHints(hinted(Uint8Array.from(content)))).toThrow(sentence);
    }
  });
});
