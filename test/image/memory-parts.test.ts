import { expect, test } from 'vitest';
import { type ImageMemory, PAGE_BYTES } from '../../src/image/image.ts';
import { partMemories } from '../../src/image/memory-parts.ts';

const memory = (count: number): ImageMemory => ({
  sizePages: 4,
  present: count ? [[0, count]] : [],
});
const pages = new Uint8Array(4 * PAGE_BYTES).map((_, at) => 1 + Math.floor(at / PAGE_BYTES));

test('the last memories are parted from the others, each with its pages', () => {
  const { own, beside } = partMemories([memory(2), memory(0), memory(2)], pages, 1);
  expect(own.memories).toEqual([memory(2), memory(0)]);
  expect([own.pages.length, own.pages[0], own.pages.at(-1)]).toEqual([2 * PAGE_BYTES, 1, 2]);
  expect(beside.memories).toEqual([memory(2)]);
  expect([beside.pages.length, beside.pages[0], beside.pages.at(-1)]).toEqual([
    2 * PAGE_BYTES,
    3,
    4,
  ]);
});

test('with none beside, all are the guest’s', () => {
  const { own, beside } = partMemories([memory(4)], pages, 0);
  expect(own).toEqual({ memories: [memory(4)], pages });
  expect(beside.memories).toEqual([]);
  expect(beside.pages).toHaveLength(0);
});

test('fewer than there must be are refused', () => {
  expect(() => partMemories([], pages, 1)).toThrow(
    expect.objectContaining({ code: 'ERR_MALFORMED_IMAGE' }),
  );
});
