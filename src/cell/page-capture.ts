/**
 * Copies a guest's memories into its images' pages: all pages for the first image, and for each later one
 * what changed since the one before (`image/retained-pages.ts` says how that is told).
 *
 *   all ── buffer given away ──→ the kernel keeps book ──→ what was written
 *    ↑                      └──→ buffer came back      ──→ what differs from it
 *    └── neither is so, a capture came to nothing, a memory was mapped anew
 *
 * What changed is found by the kernel's book (`write-watch.ts`) where there is one. Elsewhere the buffer of
 * the last image's pages is kept when it comes back from being sent, and compared.
 *
 * Invariants:
 * 1. A unit that is not named in the changes reads as it did at the image before.
 * 2. What is blank in an image was never in its bytes: neither those of this one nor kept ones.
 * 3. A capture that was not given away counts as none: the next one has all pages.
 */
import { type BlankRegion, blankRegions } from '../image/blank-regions.ts';
import { type ImageMemory, PAGE_BYTES } from '../image/image.ts';
import { capturePages, isZeroPage } from '../image/memory-capture.ts';
import { RetainedPages, UNIT_BYTES, type UnitRun, writeRuns } from '../image/retained-pages.ts';
import type { WriteWatch } from './write-watch.ts';

const UNITS_A_PAGE = PAGE_BYTES / UNIT_BYTES;
const STRETCH_BYTES = 4 * UNIT_BYTES;
/** A buffer that is larger than needed by so much is given up rather than kept for ever. */
const ROOMY = 4;
const ROOMY_BYTES = 2 ** 22;
/** What is expected to differ, before anything was compared. */
const EXPECTED_BYTES = 2 ** 20;

export interface PageSource {
  /** Views of all memories that go into the image, whole, always in the same order. */
  readonly memories: readonly Uint8Array[];
  /** Parts of memory number `blankIn` that enter no image. */
  readonly blank: readonly BlankRegion[];
  readonly blankIn: number;
}

export interface CapturedChanges {
  readonly memories: readonly ImageMemory[];
  /** All pages that are present; or with `runs`, the units that changed. */
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly runs: Uint8Array<ArrayBuffer> | null;
}

/** The image before. */
interface Base {
  readonly memories: readonly ImageMemory[];
  readonly blank: readonly BlankRegion[];
  /** Whether the kernel keeps book since then. */
  readonly watched: boolean;
}

export class PageCapture {
  readonly #findWatch: () => WriteWatch | null;
  /** Looked for when it is first needed. */
  #watch: WriteWatch | null | undefined;
  #base: Base | null = null;
  /** Until it is given away. */
  #made: Base | null = null;
  #kept: RetainedPages | null = null;
  /** The image whose buffer is to come back, and to be compared with then. */
  #awaited: number | null = null;
  #lastBytes = EXPECTED_BYTES;

  /** `findWatch` gives null where the kernel keeps no book. */
  constructor(findWatch: () => WriteWatch | null) {
    this.#findWatch = findWatch;
  }

  /**
   * `room`: a buffer to use if it is large enough. `isLast`: there will be no other capture.
   * The bytes are the caller's; `givenAway` says that they are on their way to the host.
   */
  capture(source: PageSource, room?: Uint8Array<ArrayBuffer>, isLast = false): CapturedChanges {
    const base = this.#base;
    this.#base = null;
    this.#made = null;
    this.#awaited = null;
    const runs = base === null ? null : this.#changed(base, source);
    const captured =
      base === null || runs === null
        ? captureAll(source, room)
        : captureRuns(base, runs, source, room);
    if (captured.runs === null) this.#kept = null;
    else this.#lastBytes = captured.bytes.length;
    if (isLast) return captured;
    const watched =
      base !== null && captured.runs !== null ? base.watched : this.#beginWatch(source.memories);
    this.#made = { memories: captured.memories, blank: [...source.blank], watched };
    if (captured.runs !== null) {
      const { memories, bytes } = captured;
      this.#kept?.change({ memories, runs: runs!, bytes });
    }
    return captured;
  }

  /** The last capture is on its way, as image number `image`: the next one says what changed since. */
  givenAway(image: number, captured: CapturedChanges): void {
    this.#base = this.#made;
    this.#made = null;
    if (captured.runs === null && this.#base?.watched === false) this.#awaited = image;
  }

  /** Takes the buffer of an image's pages that comes back from being sent; false: it is for anybody. */
  takeBack(image: number, buffer: ArrayBuffer): boolean {
    const base = this.#base;
    if (image !== this.#awaited || base === null)
      return base?.watched === true && this.#isTooLarge(buffer);
    this.#awaited = null;
    let pages = 0;
    for (const { present } of base.memories) for (const [, count] of present) pages += count;
    this.#kept = new RetainedPages(
      base.memories,
      new Uint8Array(buffer).subarray(0, pages * PAGE_BYTES),
    );
    return true;
  }

  /** About how many bytes the next capture will have; null: as many as there are. */
  expectedBytes(memories: readonly Uint8Array[]): number | null {
    const base = this.#base;
    if (base === null) return null;
    if (base.watched) return this.#watch!.count(memories);
    return this.#kept === null ? null : this.#lastBytes * 2;
  }

  #beginWatch(memories: readonly Uint8Array[]): boolean {
    if (this.#watch === undefined) this.#watch = this.#findWatch();
    return this.#watch?.begin(memories) ?? false;
  }

  /** All pages were in it, and will hardly ever be again. */
  #isTooLarge({ byteLength }: ArrayBuffer): boolean {
    return byteLength > this.#lastBytes * ROOMY + ROOMY_BYTES;
  }

  #changed(base: Base, source: PageSource): UnitRun[] | null {
    const { memories, blank, blankIn } = source;
    if (memories.length !== base.memories.length) return null;
    const found = base.watched
      ? this.#watch!.take(memories)
      : this.#kept === null
        ? null
        : compare(this.#kept, memories);
    if (found === null) return null;
    // What became blank, or is so no longer, has other bytes in the image without having been written.
    const turned = isSame(base.blank, blank)
      ? []
      : [...base.blank, ...blank].map(({ address, lengthBytes }) => {
          const first = Math.floor(address / UNIT_BYTES);
          const end = Math.ceil((address + lengthBytes) / UNIT_BYTES);
          return { memory: blankIn, first, count: end - first };
        });
    return joined([...found, ...turned]);
  }
}

function captureAll(
  source: PageSource,
  room: Uint8Array<ArrayBuffer> | undefined,
): CapturedChanges {
  const { memories, pages } = capturePages(source.memories, room);
  blankRegions(memories, pages, source.blankIn, source.blank);
  return { memories, bytes: pages, runs: null };
}

/** `runs` is left as what was captured of it: pages that are zero now are absent. */
function captureRuns(
  base: Base,
  runs: UnitRun[],
  source: PageSource,
  room: Uint8Array<ArrayBuffer> | undefined,
): CapturedChanges {
  const memories = source.memories.map((memory, index) =>
    presentNow(memory, base.memories[index]!, runs, index),
  );
  keepPresent(runs, memories);
  const bytesNeeded = runs.reduce((sum, { count }) => sum + count, 0) * UNIT_BYTES;
  const fits =
    room !== undefined &&
    room.length >= bytesNeeded &&
    room.length <= bytesNeeded * ROOMY + ROOMY_BYTES;
  const bytes = (fits ? room : new Uint8Array(Buffer.allocUnsafeSlow(bytesNeeded).buffer)).subarray(
    0,
    bytesNeeded,
  );
  let at = 0;
  for (const { memory, first, count } of runs) {
    const from = first * UNIT_BYTES;
    const length = count * UNIT_BYTES;
    bytes.set(source.memories[memory]!.subarray(from, from + length), at);
    if (memory === source.blankIn) blankRun(bytes, at, from, length, source.blank);
    at += length;
  }
  return { memories, bytes, runs: writeRuns(runs) };
}

function blankRun(
  bytes: Uint8Array,
  at: number,
  start: number,
  length: number,
  blank: readonly BlankRegion[],
): void {
  for (const { address, lengthBytes } of blank) {
    const from = Math.max(address, start);
    const to = Math.min(address + lengthBytes, start + length);
    if (from < to) bytes.fill(0, at + from - start, at + to - start);
  }
}

/** Pages in which nothing changed are present as they were; the others, when they are not zero. */
function presentNow(
  memory: Uint8Array,
  before: ImageMemory,
  runs: readonly UnitRun[],
  index: number,
): ImageMemory {
  const sizePages = memory.length / PAGE_BYTES;
  const isPresent = new Uint8Array(sizePages);
  for (const [first, count] of before.present) isPresent.fill(1, first, first + count);
  const view = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
  let next = 0;
  for (const run of runs) {
    if (run.memory !== index) continue;
    const end = Math.ceil((run.first + run.count) / UNITS_A_PAGE);
    next = Math.max(next, Math.floor(run.first / UNITS_A_PAGE));
    for (; next < end; next++) isPresent[next] = isZeroPage(view, next) ? 0 : 1;
  }
  const present: [number, number][] = [];
  for (let page = 0; page < sizePages; page++) {
    if (isPresent[page] === 0) continue;
    const last = present[present.length - 1];
    if (last !== undefined && last[0] + last[1] === page) last[1]++;
    else present.push([page, 1]);
  }
  return { sizePages, present };
}

/** Leaves of `runs`, in place, what lies in present pages. */
function keepPresent(runs: UnitRun[], memories: readonly ImageMemory[]): void {
  const kept: UnitRun[] = [];
  let memory = -1;
  let at = 0;
  for (const run of runs) {
    if (run.memory !== memory) at = 0;
    memory = run.memory;
    const { present } = memories[memory]!;
    const end = run.first + run.count;
    for (; at < present.length; at++) {
      const [page, pages] = present[at]!;
      const first = Math.max(run.first, page * UNITS_A_PAGE);
      const to = Math.min(end, (page + pages) * UNITS_A_PAGE);
      if (first < to) kept.push({ memory, first, count: to - first });
      // The next run may begin in the same present pages.
      if ((page + pages) * UNITS_A_PAGE >= end) break;
    }
  }
  runs.splice(0, runs.length, ...kept);
}

/** Ascending, without overlaps, and without a boundary between two that touch. */
function joined(runs: UnitRun[]): UnitRun[] {
  runs.sort((a, b) => a.memory - b.memory || a.first - b.first);
  const out: UnitRun[] = [];
  for (const run of runs) {
    const last = out[out.length - 1];
    if (last !== undefined && last.memory === run.memory && last.first + last.count >= run.first) {
      const end = Math.max(last.first + last.count, run.first + run.count);
      out[out.length - 1] = { ...last, count: end - last.first };
    } else {
      out.push(run);
    }
  }
  return out;
}

function isSame(a: readonly BlankRegion[], b: readonly BlankRegion[]): boolean {
  return (
    a.length === b.length &&
    a.every(
      ({ address, lengthBytes }, index) =>
        address === b[index]!.address && lengthBytes === b[index]!.lengthBytes,
    )
  );
}

/** One memcmp a stretch: fewer calls would read more of what differs twice. Those that differ are looked at unit by unit. */
function compare(kept: RetainedPages, memories: readonly Uint8Array[]): UnitRun[] {
  const runs: UnitRun[] = [];
  for (const [index, memory] of memories.entries()) {
    const view = Buffer.from(memory.buffer, memory.byteOffset, memory.byteLength);
    const sizePages = memory.length / PAGE_BYTES;
    for (let page = 0; page < sizePages; page++) {
      const before = kept.page(index, page);
      if (before === undefined) {
        if (isZeroPage(view, page)) continue;
        runs.push({ memory: index, first: page * UNITS_A_PAGE, count: UNITS_A_PAGE });
        continue;
      }
      const from = page * PAGE_BYTES;
      for (let stretch = 0; stretch < PAGE_BYTES; stretch += STRETCH_BYTES) {
        const stop = stretch + STRETCH_BYTES;
        if (view.compare(before, stretch, stop, from + stretch, from + stop) === 0) continue;
        for (let at = stretch; at < stop; at += UNIT_BYTES) {
          const end = at + UNIT_BYTES;
          if (view.compare(before, at, end, from + at, from + end) === 0) continue;
          runs.push({ memory: index, first: (from + at) / UNIT_BYTES, count: 1 });
        }
      }
    }
  }
  return runs;
}
