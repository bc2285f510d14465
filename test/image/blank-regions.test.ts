import { expect, test } from 'vitest';
import { blankRegions } from '../../src/image/blank-regions.ts';
import { capturePages, restorePages } from '../../src/image/memory-capture.ts';
import { randomBytes, seededRandom } from '../cbor/random-value.ts';

const PAGE = 65_536;

test('regions are zeros in the copy, wherever they lie, and nothing else is', () => {
  let regionsTried = 0;
  for (let seed = 0; seed < 40; seed++) {
    const random = seededRandom(seed);
    const sizes = [1 + Math.floor(random() * 3), 1 + Math.floor(random() * 6)];
    const memories = sizes.map((pages) => {
      const memory = new Uint8Array(pages * PAGE);
      for (let page = 0; page < pages; page++) {
        if (random() < 0.6) memory.set(randomBytes(random, PAGE), page * PAGE);
      }
      return memory;
    });
    const regions = Array.from({ length: 1 + Math.floor(random() * 5) }, () => {
      const address = Math.floor(random() * sizes[1]! * PAGE);
      const room = sizes[1]! * PAGE - address;
      const lengthBytes = 1 + Math.floor(random() * (random() < 0.3 ? room : Math.min(room, 300)));
      return { address, lengthBytes: Math.min(lengthBytes, room) };
    });
    const before = memories.map((memory) => memory.slice());
    const captured = capturePages(memories);
    blankRegions(captured.memories, captured.pages, 1, regions);
    expect(memories.every((memory, at) => Buffer.compare(memory, before[at]!) === 0)).toBe(true);

    const restored = sizes.map((pages) => new Uint8Array(pages * PAGE));
    restorePages(restored, captured.memories, captured.pages);
    for (const { address, lengthBytes } of regions) {
      before[1]!.fill(0, address, address + lengthBytes);
      regionsTried++;
    }
    expect(restored.every((memory, at) => Buffer.compare(memory, before[at]!) === 0)).toBe(true);
  }
  expect(regionsTried).toBeGreaterThan(50);
});
