/**
 * The pages of a run's last image, with which the next one's changes are read.
 *
 * Invariants:
 * 1. A cell is not trusted: changes of another image than the last one, or that don't fit it, are
 *    ERR_PROTOCOL.
 * 2. What is kept is no more than the guest may have: its memory, and that of another layer.
 */
import type { ImageMessage } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import { PAGE_BYTES } from '../image/image.ts';
import { RetainedPages, readRuns } from '../image/retained-pages.ts';

/** A layer's memory is bounded as the guest's is, and has some pages of its own. */
const LAYER_PAGES = 1024;

export class KeptImage {
  readonly #pagesMax: number;
  #pages: RetainedPages | null = null;
  #image = 0;

  /** `memoryPages`: what the guest may have. */
  constructor(memoryPages: number) {
    this.#pagesMax = memoryPages * 2 + LAYER_PAGES;
  }

  /** The pages of an image, in the order of their capture. Throws ERR_PROTOCOL. */
  next(
    { image, memories, since }: Pick<ImageMessage, 'image' | 'memories' | 'since'>,
    attachments: readonly Uint8Array[],
  ): RetainedPages {
    const [bytes, runs] = attachments;
    let pages = 0;
    for (const { present } of memories) for (const [, count] of present) pages += count;
    if (bytes === undefined || pages > this.#pagesMax) throw misfit();
    if (since === null) {
      if (bytes.length !== pages * PAGE_BYTES) throw misfit();
      this.#pages = new RetainedPages(memories, bytes);
    } else {
      if (this.#pages === null || since !== this.#image || runs === undefined) throw misfit();
      this.#pages.change({ memories, runs: readRuns(runs), bytes });
    }
    this.#image = image;
    return this.#pages;
  }

  /** There will be no next one. */
  clear(): void {
    this.#pages = null;
  }
}

function misfit(): HostError {
  return new HostError('ERR_PROTOCOL', "The cell's image has other pages than it says.");
}
