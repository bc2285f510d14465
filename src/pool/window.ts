/**
 * A pool's frames shown in a guest's own memory: the same pages of the machine's memory for all guests.
 *
 * The guest gives a range of its memory, cut in slots of one page each. A slot shows a frame, or is private.
 *
 * Invariants:
 * 1. Mappings cover whole slots of the range that the guest gave, and that range lies within its memory,
 *    which never shrinks and never moves.
 * 2. A pinned slot keeps what it shows until it is unpinned.
 * 3. After `close` the range is private memory of zeros.
 * 4. Only frames' own bytes are shown, never the table before them.
 */
import type { GuestMemory } from '../abi/guest-memory.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import type { FrameTable } from './frame-table.ts';
import type { PoolCalls } from './pool-calls.ts';

const PRIVATE = -1;

export interface WindowOptions {
  readonly calls: PoolCalls;
  readonly memory: GuestMemory;
  readonly address: number;
  readonly slots: number;
  readonly pageBytes: number;
  readonly table: FrameTable;
  readonly framesFd: number;
}

/** Why pools of such pages can't be shown in windows here; null: they can. */
export function whyNoWindow(calls: PoolCalls | null, pageBytes: number): string | null {
  if (calls === null) return 'this system has no shared mappings that Node can make';
  if (pageBytes % calls.memoryPageBytes === 0) return null;
  return `pages are no multiple of the ${calls.memoryPageBytes} bytes of a page of memory`;
}

export class Window {
  readonly #options: WindowOptions;
  /** By slot. */
  readonly #shown: Int32Array;
  readonly #slotOf = new Map<number, number>();
  #buffer: ArrayBufferLike;
  readonly #base: bigint;

  /** All slots are private at first. */
  constructor(options: WindowOptions) {
    this.#options = options;
    this.#shown = new Int32Array(options.slots).fill(PRIVATE);
    this.#buffer = options.memory.bytes.buffer;
    this.#base = options.calls.addressOf(this.#buffer);
  }

  /** Shows the first frames in the first slots, with one mapping. */
  showFirst(): void {
    const { slots, pageBytes, table, framesFd, calls } = this.#options;
    const count = Math.min(slots, table.frames);
    const length = count * pageBytes;
    const done = calls.mapAt(this.#placeOf(0, count), length, framesFd, table.ownAt(0));
    if (!done) throw unmappable();
    for (let frame = 0; frame < count; frame++) this.#note(frame, frame);
  }

  /** The slot that shows `frame`, or PRIVATE. */
  slotOf(frame: number): number {
    return this.#slotOf.get(frame) ?? PRIVATE;
  }

  /** Shows `frame` in `slot`, whatever was there. */
  show(slot: number, frame: number): void {
    const { pageBytes, table, framesFd, calls } = this.#options;
    const done = calls.mapAt(this.#placeOf(slot, 1), pageBytes, framesFd, table.ownAt(frame));
    if (!done) throw unmappable();
    this.#forget(slot);
    this.#note(slot, frame);
  }

  /** Makes all slots private again, and zero. */
  close(): void {
    const { calls, slots, pageBytes } = this.#options;
    const done = calls.clearAt(this.#placeOf(0, slots), slots * pageBytes);
    assert(done, 'what was mapped can be mapped again');
    this.#shown.fill(PRIVATE);
    this.#slotOf.clear();
  }

  #note(slot: number, frame: number): void {
    this.#shown[slot] = frame;
    this.#slotOf.set(frame, slot);
  }

  #forget(slot: number): void {
    const frame = this.#shown[slot]!;
    this.#shown[slot] = PRIVATE;
    if (frame !== PRIVATE && this.#slotOf.get(frame) === slot) this.#slotOf.delete(frame);
  }

  /** The address in this process of `count` slots from `slot` on. */
  #placeOf(slot: number, count: number): bigint {
    const { memory, address, pageBytes, calls, slots } = this.#options;
    const { bytes } = memory;
    assert(slot >= 0 && count >= 1 && slot + count <= slots, 'a mapping stays in its slots');
    const from = address + slot * pageBytes;
    assert(from + count * pageBytes <= bytes.length, 'a mapping stays in the memory of its guest');
    assert(from % calls.memoryPageBytes === 0, 'a mapping begins with a page of memory');
    if (bytes.buffer !== this.#buffer) {
      this.#buffer = bytes.buffer;
      assert(calls.addressOf(this.#buffer) === this.#base, "a guest's memory does not move");
    }
    return this.#base + BigInt(from);
  }
}

function unmappable(): HostError {
  return new HostError('ERR_IO', 'The system refused to show a pool in the memory of the guest.', {
    hint: 'open the pool without a window',
  });
}
