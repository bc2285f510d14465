import { describe, expect, test } from 'vitest';
import { PAGE_BYTES } from '../../src/image/image.ts';
import { capturePages, restorePages } from '../../src/image/memory-capture.ts';
import { seededRandom } from '../cbor/random-value.ts';

/** A memory whose page n is filled with `pattern[n]`, its last byte only where that is 255. */
function memoryOf(...pattern: readonly number[]): Uint8Array {
  const memory = new Uint8Array(pattern.length * PAGE_BYTES);
  for (const [page, byte] of pattern.entries()) {
    if (byte === 255) memory[(page + 1) * PAGE_BYTES - 1] = 1;
    else memory.fill(byte, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }
  return memory;
}

test('zero pages are absent, the others present in ascending runs', () => {
  const { memories, pages } = capturePages([memoryOf(0, 1, 2, 0, 0, 255), memoryOf(), memoryOf(9)]);
  expect(memories).toEqual([
    {
      sizePages: 6,
      present: [
        [1, 2],
        [5, 1],
      ],
    },
    { sizePages: 0, present: [] },
    { sizePages: 1, present: [[0, 1]] },
  ]);
  expect(pages).toHaveLength(4 * PAGE_BYTES);
  expect([pages[0], pages[PAGE_BYTES], pages[3 * PAGE_BYTES - 1], pages[3 * PAGE_BYTES]]).toEqual([
    1, 2, 1, 9,
  ]);
});

describe('where the pages go', () => {
  test('into the buffer given, when it is large enough', () => {
    const into = new Uint8Array(2 * PAGE_BYTES);
    const { pages } = capturePages([memoryOf(1, 0, 2)], into);
    expect(pages.buffer).toBe(into.buffer);
  });
  test('into a new one with room to spare, when it is not', () => {
    const into = new Uint8Array(PAGE_BYTES);
    const { pages } = capturePages([memoryOf(1, 0, 2)], into);
    expect(pages.buffer).not.toBe(into.buffer);
    expect(pages.buffer.byteLength).toBeGreaterThan(pages.length);
    expect(into.every((byte) => byte === 0)).toBe(true);
  });
});

test('memories come back bit by bit, whatever stood there before', () => {
  const random = seededRandom(5);
  for (let round = 0; round < 20; round++) {
    const originals = Array.from({ length: 1 + Math.floor(random() * 3) }, () =>
      memoryOf(...Array.from({ length: Math.floor(random() * 8) }, () => dice(random))),
    );
    const { memories, pages } = capturePages(originals);
    const targets = originals.map(({ length }) => {
      const dirty = Array.from({ length: length / PAGE_BYTES }, () => dice(random));
      return memoryOf(...dirty);
    });
    restorePages(targets, memories, pages);
    for (const [index, target] of targets.entries()) {
      expect(Buffer.compare(target, originals[index]!)).toBe(0);
    }
  }
});

function dice(random: () => number): number {
  return random() < 0.5 ? 0 : random() < 0.3 ? 255 : 1 + Math.floor(random() * 200);
}

test('a view in the middle of a buffer is captured alone', () => {
  const whole = memoryOf(7, 0, 8);
  const { memories } = capturePages([whole.subarray(PAGE_BYTES)]);
  expect(memories).toEqual([{ sizePages: 2, present: [[1, 1]] }]);
});

describe('what does not fit is refused before anything is written', () => {
  const { memories, pages } = capturePages([memoryOf(1, 0)]);
  const refused: readonly (readonly [string, Uint8Array[], typeof memories, Uint8Array])[] = [
    ['a memory too many', [memoryOf(5, 5), memoryOf()], memories, pages],
    ['a smaller memory', [memoryOf(5)], memories, pages],
    ['a page missing', [memoryOf(5, 5)], memories, pages.subarray(PAGE_BYTES)],
    ['a page too many', [memoryOf(5, 5)], memories, new Uint8Array(2 * PAGE_BYTES)],
    ['a run past the end', [memoryOf(5, 5)], [{ sizePages: 2, present: [[2, 1]] }], pages],
  ];
  test.each(refused)('%s', (_name, targets, images, from) => {
    expect(() => restorePages(targets, images, from)).toThrow(
      expect.objectContaining({ code: 'ERR_MALFORMED_IMAGE' }),
    );
    expect(targets[0]?.[0]).toBe(5);
  });
});
