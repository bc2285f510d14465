import { describe, expect, test } from 'vitest';
import { forEachInstruction, readOpcodeAt, skipImmediates } from '../../src/wasm/decode.ts';
import { OP, OPCODE_COUNT } from '../../src/wasm/opcodes.ts';

const visited = (...bytes: number[]) => {
  const list: [op: number, at: number, next: number][] = [];
  forEachInstruction(Uint8Array.from(bytes), 0, bytes.length, (...step) => list.push(step));
  return list;
};

test('instructions follow each other without a gap', () => {
  expect(visited(0x41, 0x80, 0x01, 0xfc, 0x08, 3, 0, 0xfd, 0x80, 0x02, 0x0b)).toEqual([
    [OP.i32_const, 0, 3],
    [OP.memory_init, 3, 7],
    [OP.i8x16_relaxed_swizzle, 7, 10],
    [OP.end, 10, 11],
  ]);
});

describe('immediates of many parts', () => {
  test.each<[string, number[]]>([
    ['br_table', [0x0e, 2, 0x80, 0x01, 1, 0]],
    ['select with a typed reference', [0x1c, 2, 0x63, 0x80, 0x01, 0x7f]],
    ['block with an index', [0x02, 0x80, 0x01]],
    ['block with a typed reference', [0x02, 0x64, 5]],
    ['try_table', [0x1f, 0x40, 4, 0, 0x80, 0x01, 1, 1, 2, 3, 2, 0, 3, 1]],
    ['load with a memory index', [0x28, 0x42, 0x85, 0x01, 0x80, 0x80, 0x04]],
    ['store of a lane', [0xfd, 0x5b, 0x03, 0x10, 1]],
    ['br_on_cast', [0xfb, 0x18, 3, 1, 0x6e, 0x80, 0x01]],
    ['f64.const', [0x44, 1, 2, 3, 4, 5, 6, 7, 8]],
    ['i8x16.shuffle', [0xfd, 0x0d, ...new Array(16).fill(0xff)]],
    ['atomic.fence', [0xfe, 0x03, 0]],
    ['overlong sub-opcode', [0xfc, 0x8a, 0x80, 0x00, 0, 0]],
  ])('%s', (_, bytes) => {
    expect(visited(...bytes, 0x0b).map(([, , next]) => next)).toEqual([
      bytes.length,
      bytes.length + 1,
    ]);
  });
});

test('unknown instructions are refused by their bytes', () => {
  expect(() => visited(0x01, 0x16)).toThrow(/unknown instruction \(0x16\) \(at offset 1\)/);
  expect(() => visited(0xfd, 0xff, 0x7f)).toThrow(/\(0xfd 0xff 0x7f\)/);
  expect(() => visited(0xfc, 0xff, 0xff, 0xff, 0xff, 0x0f)).toThrow(/unknown instruction/);
  expect(() => visited(0xff)).toThrow(/\(0xff\)/);
});

test('cut off anywhere, a walk ends with a refusal', () => {
  expect(() => visited(0x44, 1, 2)).toThrow(/ends in the middle of f64.const/);
  expect(() => visited(0x0e, 0xff, 0xff, 0xff, 0xff, 0x0f, 1)).toThrow(/middle of br_table/);
  expect(() => visited(0x41, 0x80)).toThrow(/middle of i32.const/);
});

test('every opcode before every tail of a few bytes moves on, and none throws', () => {
  const tails = [[], [0xff], [0xff, 0xff, 0xff, 0xff, 0xff], [0, 0x80], [0x40, 0xff, 0x00]];
  for (const tail of tails) {
    const bytes = Uint8Array.from(tail);
    for (let op = 0; op < OPCODE_COUNT; op++) {
      expect(skipImmediates(op, bytes, 0)).toBeGreaterThanOrEqual(0);
    }
  }
  expect(readOpcodeAt(Uint8Array.of(0xfd, 0x80, 0x04), 0)).toBe(OPCODE_COUNT);
});
