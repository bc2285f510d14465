/**
 * The pages of a run's last image, and what the next one changes of them.
 *
 * A cell sends all pages with its first image. With each later one it sends the *units* that may have
 * changed since the one before, 4 KiB each, in two byte strings:
 *
 *   runs    12 bytes each, little-endian: memory u32 0, first unit u32 4, number of units u32 8
 *   bytes   the units, one after the other
 *
 * Invariants:
 * 1. Runs ascend, don't overlap, and lie in pages that the image has.
 * 2. After `change` the pages are those of the image: those that it has and the one before had not began
 *    as zeros, those that it has not are gone.
 * 3. A page has a name only as long as its bytes are those that were named.
 */
import { HostError } from '../fault/host-error.ts';
import { type ImageMemory, PAGE_BYTES } from './image.ts';

export const UNIT_BYTES = 4096;
const UNITS_A_PAGE = PAGE_BYTES / UNIT_BYTES;
export const RUN_BYTES = 12;

/** Bytes of an image's pages, which need not lie in one buffer; a `Uint8Array` is one of them. */
export interface PageBytes {
  readonly length: number;
  /** Within one page. */
  subarray(start: number, end: number): Uint8Array;
}

/** What pages were called when they were sealed last; a vault's own affair. */
export interface PageNames {
  /** Whose names they are; the names go when it is another's. */
  namedBy: unknown;
  /** By the number of the page in its image. */
  name(page: number): Uint8Array | null;
  setName(page: number, name: Uint8Array): void;
}

export interface UnitRun {
  readonly memory: number;
  readonly first: number;
  readonly count: number;
}

export interface PageChanges {
  readonly memories: readonly ImageMemory[];
  readonly runs: readonly UnitRun[];
  readonly bytes: Uint8Array;
}

interface KeptPage {
  bytes: Uint8Array;
  name: Uint8Array | null;
}

export class RetainedPages implements PageBytes, PageNames {
  /** By memory and page. */
  #kept: readonly Map<number, KeptPage>[];
  /** In the order of the image. */
  #ordered: KeptPage[];
  #namedBy: unknown = null;

  /** `pages` is kept, and changed later. Throws ERR_PROTOCOL when it is not as long as `memories` say. */
  constructor(memories: readonly ImageMemory[], pages: Uint8Array) {
    this.#ordered = [];
    let at = 0;
    this.#kept = memories.map(({ sizePages, present }) => {
      const kept = new Map<number, KeptPage>();
      for (const page of pagesOf(sizePages, present)) {
        if (at + PAGE_BYTES > pages.length) throw misfit();
        const one = { bytes: pages.subarray(at, at + PAGE_BYTES), name: null };
        kept.set(page, one);
        this.#ordered.push(one);
        at += PAGE_BYTES;
      }
      return kept;
    });
    if (at !== pages.length) throw misfit();
  }

  get length(): number {
    return this.#ordered.length * PAGE_BYTES;
  }

  subarray(start: number, end: number): Uint8Array {
    const page = Math.floor(start / PAGE_BYTES);
    const from = page * PAGE_BYTES;
    return this.#ordered[page]!.bytes.subarray(start - from, end - from);
  }

  /** The bytes of a page of a memory; undefined when the image has no such page. */
  page(memory: number, page: number): Uint8Array | undefined {
    return this.#kept[memory]?.get(page)?.bytes;
  }

  /** Throws ERR_PROTOCOL, with nothing changed, where the parts don't fit each other. */
  change({ memories, runs, bytes }: PageChanges): void {
    const listed = memories.map(({ sizePages, present }) => pagesOf(sizePages, present));
    if (memories.length !== this.#kept.length) throw misfit();
    checkRuns(listed, runs, bytes);
    this.#keepOnly(listed);
    let at = 0;
    for (const { memory, first, count } of runs) {
      for (let unit = first; unit < first + count; ) {
        const page = Math.floor(unit / UNITS_A_PAGE);
        const units = Math.min(first + count, (page + 1) * UNITS_A_PAGE) - unit;
        const kept = this.#kept[memory]!.get(page)!;
        const into = (unit - page * UNITS_A_PAGE) * UNIT_BYTES;
        kept.bytes.set(bytes.subarray(at, at + units * UNIT_BYTES), into);
        kept.name = null;
        at += units * UNIT_BYTES;
        unit += units;
      }
    }
  }

  #keepOnly(listed: readonly (readonly number[])[]): void {
    this.#ordered = [];
    this.#kept = this.#kept.map((before, memory) => {
      const kept = new Map<number, KeptPage>();
      for (const page of listed[memory]!) {
        const one = before.get(page) ?? { bytes: new Uint8Array(PAGE_BYTES), name: null };
        kept.set(page, one);
        this.#ordered.push(one);
      }
      return kept;
    });
  }

  get namedBy(): unknown {
    return this.#namedBy;
  }

  set namedBy(owner: unknown) {
    if (owner === this.#namedBy) return;
    this.#namedBy = owner;
    for (const page of this.#ordered) page.name = null;
  }

  name(page: number): Uint8Array | null {
    return this.#ordered[page]!.name;
  }

  setName(page: number, name: Uint8Array): void {
    this.#ordered[page]!.name = name;
  }
}

/** The runs in `bytes`, not yet held against an image. Throws ERR_PROTOCOL. */
export function readRuns(bytes: Uint8Array): UnitRun[] {
  if (bytes.length % RUN_BYTES !== 0) throw misfit();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Array.from({ length: bytes.length / RUN_BYTES }, (_, run) => ({
    memory: view.getUint32(run * RUN_BYTES, true),
    first: view.getUint32(run * RUN_BYTES + 4, true),
    count: view.getUint32(run * RUN_BYTES + 8, true),
  }));
}

export function writeRuns(runs: readonly UnitRun[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(runs.length * RUN_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [run, { memory, first, count }] of runs.entries()) {
    view.setUint32(run * RUN_BYTES, memory, true);
    view.setUint32(run * RUN_BYTES + 4, first, true);
    view.setUint32(run * RUN_BYTES + 8, count, true);
  }
  return bytes;
}

/** Throws for pages beyond the memory's end, or not in order. */
function pagesOf(sizePages: number, present: ImageMemory['present']): number[] {
  const pages: number[] = [];
  let free = 0;
  for (const [first, count] of present) {
    if (first < free || count < 1 || first + count > sizePages) throw misfit();
    free = first + count;
    for (let page = first; page < free; page++) pages.push(page);
  }
  return pages;
}

function checkRuns(
  listed: readonly (readonly number[])[],
  runs: readonly UnitRun[],
  bytes: Uint8Array,
): void {
  const has = listed.map((pages) => new Set(pages));
  let memoryBefore = 0;
  let free = 0;
  let units = 0;
  for (const { memory, first, count } of runs) {
    if (memory < memoryBefore) throw misfit();
    if (memory > memoryBefore) free = 0;
    const pages = has[memory];
    if (pages === undefined || first < free || count < 1) throw misfit();
    memoryBefore = memory;
    free = first + count;
    units += count;
    if (units * UNIT_BYTES > bytes.length) throw misfit();
    for (let page = Math.floor(first / UNITS_A_PAGE); page * UNITS_A_PAGE < free; page++) {
      if (!pages.has(page)) throw misfit();
    }
  }
  if (units * UNIT_BYTES !== bytes.length) throw misfit();
}

function misfit(): HostError {
  return new HostError('ERR_PROTOCOL', "An image's pages don't fit what is said of them.");
}
