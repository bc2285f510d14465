/**
 * Room for a capture's pages, made before the guest is stopped.
 *
 * Memory that the kernel has not given before is given page by page when it is first written, and that
 * takes several times as long as the copying. So another thread makes a buffer and writes to it while the
 * guest runs on; the one before comes back when its image is on its way.
 */
import { PAGE_BYTES } from '../image/image.ts';

/** Less than this is written as fast as an order is placed. */
const WORTH_BYTES = 2 ** 20;
/** Pages that are looked at to estimate how many are not zero. */
const SAMPLES = 256;
/** So that a guest that grows needs no new buffer each time. */
const MARGIN = 1.25;

export interface CaptureRoomOptions {
  /** Views of all memories of the guest. */
  readonly memories: () => readonly Uint8Array[];
  /** About how many bytes there will be to capture; null: as many as are not zero. */
  readonly expectedBytes?: () => number | null;
  /** A buffer that came back or was made. */
  readonly spare: () => ArrayBuffer | undefined;
  /** Asks for a buffer of that size, written once; absent where nobody makes one. */
  readonly order: ((bytes: number) => void) | undefined;
}

export class CaptureRoom {
  readonly #options: CaptureRoomOptions;
  #room: ArrayBuffer | undefined;
  #neededBytes: number | null = null;
  #ordered = false;

  constructor(options: CaptureRoomOptions) {
    this.#options = options;
  }

  /** Asked at safepoints while a request waits: whether there is room for the pages; orders it if not. */
  isReady(): boolean {
    const { order, memories, expectedBytes } = this.#options;
    if (order === undefined) return true;
    // What is lent back comes first: it may be what the next capture is compared with.
    const answered = this.#takeSpare() && this.#ordered;
    this.#neededBytes ??= expectedBytes?.() ?? estimate(memories());
    // What comes now was ordered, or came back just before: in either case there is no more to wait for.
    if (answered || this.#neededBytes < WORTH_BYTES) this.#neededBytes = 0;
    if ((this.#room?.byteLength ?? 0) >= this.#neededBytes) return true;
    if (!this.#ordered) {
      this.#ordered = true;
      order(Math.ceil((this.#neededBytes * MARGIN) / PAGE_BYTES) * PAGE_BYTES);
    }
    return false;
  }

  /** The room there is, for this capture: the next one needs other room. */
  take(): Uint8Array<ArrayBuffer> | undefined {
    this.#takeSpare();
    const room = this.#room;
    this.#room = undefined;
    this.#neededBytes = null;
    this.#ordered = false;
    return room === undefined ? undefined : new Uint8Array(room);
  }

  /** Keeps the largest buffer; whether any came. */
  #takeSpare(): boolean {
    for (let came = false; ; came = true) {
      const spare = this.#options.spare();
      if (spare === undefined) return came;
      if (spare.byteLength > (this.#room?.byteLength ?? 0)) this.#room = spare;
    }
  }
}

/** About how many bytes of the memories' pages are not zero, and rather too many. */
function estimate(memories: readonly Uint8Array[]): number {
  let bytes = 0;
  for (const memory of memories) {
    const pages = memory.length / PAGE_BYTES;
    const step = Math.max(1, pages / SAMPLES);
    let looked = 0;
    let present = 0;
    for (let page = 0; page < pages; page += step) {
      const at = Math.floor(page) * PAGE_BYTES;
      looked++;
      if (!isZero(memory, at)) present++;
    }
    if (looked > 0) bytes += (memory.length * present) / looked;
  }
  return bytes;
}

/** A page in use is hardly ever zero at all of these places. */
function isZero(memory: Uint8Array, page: number): boolean {
  for (let at = page; at < page + PAGE_BYTES; at += PROBE_BYTES) {
    if (memory[at] !== 0) return false;
  }
  return true;
}

/** A prime, so that no alignment of the guest's data hides from it. */
const PROBE_BYTES = 61;
