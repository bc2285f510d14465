/**
 * Copies a guest's memories into an image's pages and back. This is what a guest waits for at a
 * checkpoint, so it runs at the speed of memcpy: pages that are zero are skipped after one comparison, the
 * others are copied in runs.
 *
 * Invariants:
 * 1. After `restorePages` the memories read as they did when `capturePages` ran, whatever they held before.
 * 2. An absent page is written only when it isn't zero already: a page of zeros that nobody touched costs
 *    the kernel no memory, and writing it would.
 */
import { HostError } from '../fault/host-error.ts';
import { type ImageMemory, PAGE_BYTES } from './image.ts';

const ZERO_PAGE = Buffer.alloc(PAGE_BYTES);

export interface CapturedPages {
  readonly memories: ImageMemory[];
  /** The present pages, one after the other. */
  readonly pages: Uint8Array<ArrayBuffer>;
}

/**
 * Copies every page that is not all zeros. `memories` are views of whole memories, sizes multiples of 64 KiB.
 *
 * The pages go into `into` when it is large enough; otherwise into a new buffer with a quarter to spare, so
 * that the next capture can be handed `new Uint8Array(pages.buffer)` and need no fresh memory from the
 * kernel, which takes longer than the copying.
 */
export function capturePages(
  memories: readonly Uint8Array[],
  into?: Uint8Array<ArrayBuffer>,
): CapturedPages {
  const found = memories.map(findPresent);
  let pageCount = 0;
  for (const { present } of found) for (const [, count] of present) pageCount += count;
  const bytes = pageCount * PAGE_BYTES;
  const target =
    into !== undefined && into.length >= bytes
      ? into
      : new Uint8Array(Buffer.allocUnsafeSlow(Math.ceil(pageCount * 1.25) * PAGE_BYTES).buffer);
  let at = 0;
  for (const [index, { present }] of found.entries()) {
    const memory = memories[index]!;
    for (const [first, count] of present) {
      target.set(memory.subarray(first * PAGE_BYTES, (first + count) * PAGE_BYTES), at);
      at += count * PAGE_BYTES;
    }
  }
  return { memories: found, pages: target.subarray(0, bytes) };
}

function findPresent(memory: Uint8Array): ImageMemory {
  const view = asBuffer(memory);
  const sizePages = memory.length / PAGE_BYTES;
  const present: [number, number][] = [];
  let run: [number, number] | null = null;
  for (let page = 0; page < sizePages; page++) {
    if (isZeroPage(view, page)) {
      run = null;
    } else if (run === null) {
      run = [page, 1];
      present.push(run);
    } else {
      run[1]++;
    }
  }
  return { sizePages, present };
}

/**
 * Makes `memories` read as the image says. Throws ERR_MALFORMED_IMAGE, with nothing written, when the
 * memories or `pages` have another size than `images` say.
 */
export function restorePages(
  memories: readonly Uint8Array[],
  images: readonly ImageMemory[],
  pages: Uint8Array,
): void {
  checkSizes(memories, images, pages);
  let at = 0;
  for (const [index, { sizePages, present }] of images.entries()) {
    const memory = memories[index]!;
    const view = asBuffer(memory);
    let free = 0;
    for (const [first, count] of present) {
      clearPages(view, free, first);
      memory.set(pages.subarray(at, at + count * PAGE_BYTES), first * PAGE_BYTES);
      at += count * PAGE_BYTES;
      free = first + count;
    }
    clearPages(view, free, sizePages);
  }
}

function checkSizes(
  memories: readonly Uint8Array[],
  images: readonly ImageMemory[],
  pages: Uint8Array,
): void {
  let pageCount = 0;
  let fits = memories.length === images.length;
  for (const [index, { sizePages, present }] of images.entries()) {
    fits &&= memories[index]?.length === sizePages * PAGE_BYTES;
    for (const [first, count] of present) {
      fits &&= first + count <= sizePages;
      pageCount += count;
    }
  }
  if (!fits || pages.length !== pageCount * PAGE_BYTES) {
    throw new HostError(
      'ERR_MALFORMED_IMAGE',
      "The image's memories don't fit its pages or its head.",
    );
  }
}

function clearPages(view: Buffer, from: number, to: number): void {
  for (let page = from; page < to; page++) {
    if (!isZeroPage(view, page)) view.fill(0, page * PAGE_BYTES, (page + 1) * PAGE_BYTES);
  }
}

/** One memcmp; it ends at the first byte that differs, so a page in use costs next to nothing. */
export function isZeroPage(view: Buffer, page: number): boolean {
  return view.compare(ZERO_PAGE, 0, PAGE_BYTES, page * PAGE_BYTES, (page + 1) * PAGE_BYTES) === 0;
}

function asBuffer(memory: Uint8Array): Buffer {
  return Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
}
