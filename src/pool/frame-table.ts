/**
 * The frames of a pool and what is known of each, in bytes that all its guests share: see
 * `frame-layout.ts`.
 *
 * Invariants:
 * 1. Only the holder of the pool's mutex reads or writes here, but for the frames' own bytes, which windows
 *    show to guests, and the word that says who is overdue. `busy` is set while it changes something: who
 *    finds it set after taking the mutex calls `rebuild` first, because the one before died on the way.
 * 2. A page's published bytes are its frame's own, or the other ones when OTHER is set. A publication writes
 *    the copy that is not published and then the word, in one store: it happens wholly or not at all.
 * 3. A frame gets another page in this order: word 0, page, bytes, word. So an entry is right whenever its
 *    word says VALID, and chains and order of use can be made again from the entries alone.
 * 4. A window shows own bytes only, so while a guest reads a page through a window, OTHER is not set; while
 *    one writes through a window, OTHER is set and the published bytes stand aside.
 */
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import {
  AT,
  DIRTY,
  ENTRY,
  ENTRY_BYTES,
  encodeTableHeader,
  OTHER,
  TABLE_HEADER_BYTES,
  type TableIdentity,
  type TableLayout,
  type TableShape,
  tableLayout,
  VALID,
  VERSION_SHIFT,
} from './frame-layout.ts';
import { GUESTS_MAX } from './pool-locks.ts';
import type { SharedBytes } from './shared-bytes.ts';

export class FrameTable {
  readonly frames: number;
  readonly pageBytes: number;
  readonly #bytes: SharedBytes;
  readonly #layout: TableLayout;

  /** A table that is there, or of zeros; then `create` must follow. */
  constructor(bytes: SharedBytes, shape: TableShape) {
    this.frames = shape.frames;
    this.pageBytes = shape.pageBytes;
    this.#bytes = bytes;
    this.#layout = tableLayout(shape);
  }

  /** Makes an empty table out of zeros. */
  create(identity: TableIdentity): void {
    this.#bytes.write(0, encodeTableHeader(identity));
    this.rebuild();
  }

  // — who is at work —

  get isBusy(): boolean {
    return this.#bytes.u32(AT.busy) !== 0;
  }

  setBusy(busy: boolean): void {
    this.#bytes.setU32(AT.busy, busy ? 1 : 0);
  }

  /** Guest lock of who waits for the mutex for long, or 0. Only this and `last` are looked at without it. */
  get overdue(): number {
    return this.#bytes.u32(AT.overdue);
  }

  setOverdue(lock: number): void {
    this.#bytes.setU32(AT.overdue, lock);
  }

  /** Guest lock of who held the mutex last. */
  get last(): number {
    return this.#bytes.u32(AT.last);
  }

  setLast(lock: number): void {
    this.#bytes.setU32(AT.last, lock);
    if (this.overdue === lock) this.setOverdue(0);
  }

  /** Whether a guest held this lock when it was last looked at. */
  hadGuest(lock: number): boolean {
    return this.#bytes.u32(AT.guests + 4 * (lock - 1)) !== 0;
  }

  setGuest(lock: number, here: boolean): void {
    assert(lock >= 1 && lock <= GUESTS_MAX, 'guests have locks from 1 on');
    this.#bytes.setU32(AT.guests + 4 * (lock - 1), here ? 1 : 0);
  }

  /** Takes what the guest with this lock held of frames. Bytes that it was writing are dropped. */
  clearGuest(lock: number): void {
    for (let frame = 0; frame < this.frames; frame++) {
      if (this.writer(frame) === lock) this.setWriter(frame, 0);
      if (this.waiter(frame) === lock) this.setWaiter(frame, 0);
      this.setReader(frame, lock, false);
    }
    this.setGuest(lock, false);
  }

  // — pages in frames —

  /** The frame that holds `page`, or -1. */
  find(page: number): number {
    let next = this.#bytes.u32(this.#bucketOf(page));
    for (let steps = 0; next !== 0; steps++) {
      if (steps >= this.frames) throw damagedTable();
      const entry = this.#entry(next - 1);
      if (this.#bytes.u32(entry + ENTRY.page) === page) return next - 1;
      next = this.#bytes.u32(entry + ENTRY.next);
    }
    return -1;
  }

  /** Puts a page with its bytes as they are in the page file into `frame`, which nobody holds. */
  fill(frame: number, page: number, version: bigint, bytes: Uint8Array): void {
    assert(!this.isHeld(frame) && !this.isDirty(frame), 'a frame is given away when it is free');
    const entry = this.#entry(frame);
    if (this.isValid(frame)) this.#unchain(frame);
    this.#bytes.setU64(entry + ENTRY.word, 0n);
    this.#bytes.setU32(entry + ENTRY.page, page);
    this.#bytes.write(this.ownAt(frame), bytes);
    this.#bytes.setU64(entry + ENTRY.word, (version << VERSION_SHIFT) | VALID);
    this.#chain(frame);
  }

  isValid(frame: number): boolean {
    return (this.#word(frame) & VALID) !== 0n;
  }

  isDirty(frame: number): boolean {
    return (this.#word(frame) & DIRTY) !== 0n;
  }

  page(frame: number): number {
    return this.#bytes.u32(this.#entry(frame) + ENTRY.page);
  }

  version(frame: number): bigint {
    return this.#word(frame) >> VERSION_SHIFT;
  }

  get dirtyFrames(): number {
    return this.#bytes.u32(AT.dirty);
  }

  /** After the frame's page was made durable in the page file. */
  setClean(frame: number): void {
    const word = this.#word(frame);
    if ((word & DIRTY) === 0n) return;
    this.#setWord(frame, word & ~DIRTY);
    this.#bytes.setU32(AT.dirty, this.dirtyFrames - 1);
  }

  /** The published bytes. */
  copyTo(frame: number, target: Uint8Array): void {
    this.#bytes.read(this.#publishedAt(frame), target);
  }

  /** New bytes of the frame's page: published as one, or not at all. */
  publish(frame: number, bytes: Uint8Array): void {
    const word = this.#word(frame);
    const at = (word & OTHER) === 0n ? this.otherAt(frame) : this.ownAt(frame);
    this.#bytes.write(at, bytes);
    this.#published(frame, word ^ OTHER);
  }

  // — for windows —

  /** Offset of the frame's own bytes: what a window shows. */
  ownAt(frame: number): number {
    return this.#layout.ownAt + frame * this.pageBytes;
  }

  otherAt(frame: number): number {
    return this.#layout.otherAt + frame * this.pageBytes;
  }

  /** Makes the own bytes the published ones. */
  showOwn(frame: number): void {
    const word = this.#word(frame);
    if ((word & OTHER) === 0n) return;
    this.#bytes.copy(this.otherAt(frame), this.ownAt(frame), this.pageBytes);
    this.#setWord(frame, word & ~OTHER);
  }

  /** Puts the published bytes aside, so that a window may be written to. */
  putAside(frame: number): void {
    this.showOwn(frame);
    this.#bytes.copy(this.ownAt(frame), this.otherAt(frame), this.pageBytes);
    this.#setWord(frame, this.#word(frame) | OTHER);
  }

  /** What was written through a window is published. */
  publishOwn(frame: number): void {
    this.#published(frame, this.#word(frame) & ~OTHER);
  }

  // — who holds a frame —

  /** Guest lock of who may change the page, or 0. */
  writer(frame: number): number {
    return this.#bytes.u32(this.#entry(frame) + ENTRY.writer);
  }

  setWriter(frame: number, lock: number): void {
    this.#bytes.setU32(this.#entry(frame) + ENTRY.writer, lock);
  }

  /** Guest lock of who has waited longest to change the page, or 0. Nobody takes it before. */
  waiter(frame: number): number {
    return this.#bytes.u32(this.#entry(frame) + ENTRY.waiter);
  }

  setWaiter(frame: number, lock: number): void {
    this.#bytes.setU32(this.#entry(frame) + ENTRY.waiter, lock);
  }

  /** Bit n: the guest with lock n + 1 reads it through a window. */
  readers(frame: number): bigint {
    return this.#bytes.u64(this.#entry(frame) + ENTRY.readers);
  }

  setReader(frame: number, lock: number, reads: boolean): void {
    const readers = this.readers(frame);
    const bit = 1n << BigInt(lock - 1);
    const next = reads ? readers | bit : readers & ~bit;
    if (next !== readers) this.#bytes.setU64(this.#entry(frame) + ENTRY.readers, next);
  }

  isHeld(frame: number): boolean {
    return this.writer(frame) !== 0 || this.readers(frame) !== 0n || this.waiter(frame) !== 0;
  }

  // — order of use —

  /** The frame used longest ago, or -1 past the last. */
  get oldest(): number {
    return this.#bytes.u32(AT.oldest) - 1;
  }

  /** The next one that was used later, or -1. */
  newer(frame: number): number {
    return this.#bytes.u32(this.#entry(frame) + ENTRY.newer) - 1;
  }

  /** Makes `frame` the one used last. */
  touch(frame: number): void {
    const bytes = this.#bytes;
    const newest = bytes.u32(AT.newest);
    if (newest === frame + 1) return;
    const entry = this.#entry(frame);
    const newer = bytes.u32(entry + ENTRY.newer);
    const older = bytes.u32(entry + ENTRY.older);
    // It is not the newest, so there is a newer one.
    bytes.setU32(this.#entry(newer - 1) + ENTRY.older, older);
    if (older === 0) bytes.setU32(AT.oldest, newer);
    else bytes.setU32(this.#entry(older - 1) + ENTRY.newer, newer);
    bytes.setU32(this.#entry(newest - 1) + ENTRY.newer, frame + 1);
    bytes.setU32(entry + ENTRY.older, newest);
    bytes.setU32(entry + ENTRY.newer, 0);
    bytes.setU32(AT.newest, frame + 1);
  }

  /** Makes chains, order of use and counts again from the entries. */
  rebuild(): void {
    const bytes = this.#bytes;
    bytes.write(TABLE_HEADER_BYTES, new Uint8Array(4 * this.#layout.buckets));
    let dirty = 0;
    for (let frame = 0; frame < this.frames; frame++) {
      const entry = this.#entry(frame);
      bytes.setU32(entry + ENTRY.older, frame);
      bytes.setU32(entry + ENTRY.newer, frame + 1 < this.frames ? frame + 2 : 0);
      if (this.isDirty(frame)) dirty++;
      if (this.isValid(frame)) this.#chain(frame);
    }
    bytes.setU32(AT.oldest, 1);
    bytes.setU32(AT.newest, this.frames);
    bytes.setU32(AT.dirty, dirty);
  }

  close(): void {
    this.#bytes.close();
  }

  #published(frame: number, word: bigint): void {
    if ((word & DIRTY) === 0n) this.#bytes.setU32(AT.dirty, this.dirtyFrames + 1);
    this.#setWord(frame, (word | DIRTY) + (1n << VERSION_SHIFT));
  }

  #publishedAt(frame: number): number {
    return (this.#word(frame) & OTHER) === 0n ? this.ownAt(frame) : this.otherAt(frame);
  }

  #word(frame: number): bigint {
    return this.#bytes.u64(this.#entry(frame) + ENTRY.word);
  }

  #setWord(frame: number, word: bigint): void {
    this.#bytes.setU64(this.#entry(frame) + ENTRY.word, word);
  }

  #entry(frame: number): number {
    if (!(frame >= 0 && frame < this.frames)) throw damagedTable();
    return this.#layout.entriesAt + frame * ENTRY_BYTES;
  }

  #bucketOf(page: number): number {
    // Neighbours go to different buckets; a multiplier spreads what is not neighbours.
    const bucket = (Math.imul(page, 0x9e3779b1) >>> 0) & (this.#layout.buckets - 1);
    return TABLE_HEADER_BYTES + 4 * bucket;
  }

  #chain(frame: number): void {
    const bucket = this.#bucketOf(this.page(frame));
    this.#bytes.setU32(this.#entry(frame) + ENTRY.next, this.#bytes.u32(bucket));
    this.#bytes.setU32(bucket, frame + 1);
  }

  #unchain(frame: number): void {
    let at = this.#bucketOf(this.page(frame));
    for (let steps = 0; steps < this.frames; steps++) {
      // The end of the chain is no entry, and is refused as such.
      const next = this.#bytes.u32(at);
      const entry = this.#entry(next - 1);
      if (next === frame + 1) {
        this.#bytes.setU32(at, this.#bytes.u32(entry + ENTRY.next));
        return;
      }
      at = entry + ENTRY.next;
    }
    throw damagedTable();
  }
}

/** Somebody else wrote into the file: ours never leave it so. */
export function damagedTable(): HostError {
  return new HostError('ERR_POOL_UNUSABLE', "The pool's frames are damaged.", {
    hint: 'end the guests that have the pool open; what they flushed is safe',
  });
}
