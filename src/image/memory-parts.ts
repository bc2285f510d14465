/** The memories of an image in two parts: the guest's own, and those that stand behind them. */
import { HostError } from '../fault/host-error.ts';
import { presentPageCount } from './head.ts';
import { type ImageMemory, PAGE_BYTES } from './image.ts';

export interface MemoryPart {
  readonly memories: readonly ImageMemory[];
  /** The present pages of these memories, one after the other. */
  readonly pages: Uint8Array;
}

/** The last `beside` memories apart from the others. Throws ERR_MALFORMED_IMAGE when there are fewer. */
export function partMemories(
  memories: readonly ImageMemory[],
  pages: Uint8Array,
  beside: number,
): { readonly own: MemoryPart; readonly beside: MemoryPart } {
  const count = memories.length - beside;
  if (count < 0) {
    throw new HostError('ERR_MALFORMED_IMAGE', 'The image lacks the memory of its WASI layer.');
  }
  const own = memories.slice(0, count);
  const ownBytes = presentPageCount({ memories: own }) * PAGE_BYTES;
  return {
    own: { memories: own, pages: pages.subarray(0, ownBytes) },
    beside: { memories: memories.slice(count), pages: pages.subarray(ownBytes) },
  };
}
