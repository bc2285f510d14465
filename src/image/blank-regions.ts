/**
 * Takes parts of a memory out of captured pages: zeros stand in their place.
 *
 * Invariant: after it no byte of the regions is in `pages`, wherever in them its page lies.
 */
import { type ImageMemory, PAGE_BYTES } from './image.ts';

export interface BlankRegion {
  readonly address: number;
  readonly lengthBytes: number;
}

/** `memories` and `pages` as `capturePages` gave them; the regions are in memory number `index`. */
export function blankRegions(
  memories: readonly ImageMemory[],
  pages: Uint8Array,
  index: number,
  regions: readonly BlankRegion[],
): void {
  if (regions.length === 0) return;
  let at = 0;
  for (const [number, { present }] of memories.entries()) {
    for (const [first, count] of present) {
      const start = first * PAGE_BYTES;
      const end = start + count * PAGE_BYTES;
      for (const { address, lengthBytes } of number === index ? regions : []) {
        const from = Math.max(address, start);
        const to = Math.min(address + lengthBytes, end);
        if (from < to) pages.fill(0, at + from - start, at + to - start);
      }
      at += end - start;
    }
  }
}
