/**
 * One guest's share of a pool: its locks, the frames that all guests of the pool have in common, and the
 * page file beneath.
 *
 *             take mutex          leave
 *   outside ────────────▶ inside ───────▶ outside
 *                 │          │
 *                 │          └─ (failure, or death) ──▶ outside, busy
 *                 └─ busy: finish the journal, make the table again
 *
 * Invariants:
 * 1. Everything but `open` and `close` needs the mutex: `enter` first, `leave` afterwards, always.
 * 2. Dirty frames are written all at once: the page file is at any time what the pages were at some moment,
 *    with everything published before it and nothing published after it.
 * 3. A frame that somebody holds, or that is dirty, is not given to another page.
 * 4. What a dead guest held is taken back when somebody wants it, and before its lock is used again. Bytes
 *    that it had not published are dropped; those that it had stay.
 */
import { closeSync } from 'node:fs';
import { assert } from '../fault/assert.ts';
import type { FrameTable } from './frame-table.ts';
import type { BatchPage, PageFile } from './page-file.ts';
import type { PoolFiles } from './pool-files.ts';
import { GUESTS_MAX, MUTEX, type PoolLocks } from './pool-locks.ts';
import type { Waits } from './waiting.ts';

/** Tries at a mutex that is held for microseconds before its taker sleeps. */
const SPINS = 64;
/** Long, because whoever holds it is at work, and a checkpoint can end the waiting. Milliseconds. */
const MUTEX_PATIENCE_MS = 60_000;
/** Who waited so long for the mutex asks the others to let it through. Milliseconds. */
const OVERDUE_MS = 20;

export class SharedPool {
  readonly lock: number;
  readonly #files: PoolFiles;
  readonly #table: FrameTable;
  readonly #pages: PageFile;
  readonly #locks: PoolLocks;
  #isInside = false;

  /** `lock`: of this guest, taken and written down in the table. The mutex is not held. */
  constructor(files: PoolFiles, lock: number) {
    this.#files = files;
    this.#table = files.table;
    this.#pages = files.pages;
    this.#locks = files.locks;
    this.lock = lock;
  }

  get id(): Uint8Array {
    return this.#pages.header.id;
  }

  get frames(): number {
    return this.#table.frames;
  }

  get table(): FrameTable {
    return this.#table;
  }

  /** Descriptor of the frames' file, for windows. */
  get framesFd(): number {
    return this.#files.framesFd;
  }

  /** Takes the mutex. Throws when what the last holder left can't be put right. */
  enter(waits: Waits): 'entered' | 'interrupted' | 'timeout' {
    assert(!this.#isInside, 'the mutex is not taken twice');
    if (!this.#letThrough(waits)) return 'interrupted';
    const taken = takeMutex(this.#locks, waits, (waitedMs) => {
      if (waitedMs > OVERDUE_MS) this.#table.setOverdue(this.lock);
    });
    if (taken !== 'entered') return taken;
    this.#isInside = true;
    this.#table.setLast(this.lock);
    try {
      if (this.#table.isBusy) settle(this.#table, this.#pages);
      this.#table.setBusy(true);
    } catch (error) {
      this.#isInside = false;
      this.#locks.release(MUTEX);
      throw error;
    }
    return 'entered';
  }

  /** Gives the mutex up. After a failure inside, the next holder puts things right first. */
  leave(outcome: 'done' | 'failed'): void {
    assert(this.#isInside, 'only who entered leaves');
    this.#isInside = false;
    if (outcome === 'done') this.#table.setBusy(false);
    this.#locks.release(MUTEX);
  }

  /** The frame with `page` in it, read from the file if need be; -1: every frame is held. */
  frameOf(page: number): number {
    const table = this.#table;
    let frame = table.find(page);
    if (frame < 0) {
      frame = this.#freeFrame();
      if (frame < 0) return -1;
      const { version, bytes } = this.#pages.read(page);
      table.fill(frame, page, version, bytes);
    }
    table.touch(frame);
    return frame;
  }

  /** The page's version now. Needs no frame. */
  versionOf(page: number): bigint {
    const frame = this.#table.find(page);
    return frame >= 0 ? this.#table.version(frame) : this.#pages.read(page).version;
  }

  /** Copies the page as it is published, also when no frame is free, and returns its version. */
  copyPage(page: number, target: Uint8Array): bigint {
    const frame = this.frameOf(page);
    if (frame >= 0) {
      this.#table.copyTo(frame, target);
      return this.#table.version(frame);
    }
    const { version, bytes } = this.#pages.read(page);
    target.set(bytes);
    return version;
  }

  /**
   * Makes this guest the one that may change the frame's page; false while others keep it from that. Who
   * is `patient` is the next one then, before those who come later.
   */
  latch(frame: number, patient: boolean): boolean {
    const table = this.#table;
    if (this.#isTaken(frame) && !(this.#buryDead() && !this.#isTaken(frame))) {
      if (patient && table.waiter(frame) === 0) table.setWaiter(frame, this.lock);
      return false;
    }
    table.setWriter(frame, this.lock);
    this.stopWaiting(frame);
    return true;
  }

  /** Gives the place of the next one up. */
  stopWaiting(frame: number): void {
    if (this.#table.waiter(frame) === this.lock) this.#table.setWaiter(frame, 0);
  }

  unlatch(frame: number): void {
    if (this.#table.writer(frame) === this.lock) this.#table.setWriter(frame, 0);
  }

  /** Takes part in reading through windows; false while somebody changes the page. */
  read(frame: number): boolean {
    const table = this.#table;
    const blocked = () =>
      ![0, this.lock].includes(table.writer(frame)) ||
      (![0, this.lock].includes(table.waiter(frame)) && !this.#reads(frame));
    if (blocked() && !(this.#buryDead() && !blocked())) return false;
    if (table.writer(frame) !== this.lock) table.showOwn(frame);
    table.setReader(frame, this.lock, true);
    return true;
  }

  unread(frame: number): void {
    this.#table.setReader(frame, this.lock, false);
  }

  /** Writes every dirty frame to the page file. Returns how many there were. */
  flush(): number {
    const table = this.#table;
    if (table.dirtyFrames === 0) return 0;
    const dirty: number[] = [];
    for (let frame = 0; frame < table.frames; frame++) if (table.isDirty(frame)) dirty.push(frame);
    this.#pages.writeBatch(
      dirty.map(
        (frame): BatchPage => ({
          page: table.page(frame),
          version: table.version(frame),
          copyTo: (target) => table.copyTo(frame, target),
        }),
      ),
    );
    for (const frame of dirty) table.setClean(frame);
    return dirty.length;
  }

  /**
   * Gives everything up, without flushing: latches, reading, this guest's lock, the files. Waits for the
   * mutex as `waits` say; without it, the others find out by the lock.
   */
  close(waits: Waits): void {
    if (this.#isInside) this.leave('failed');
    try {
      if (this.enter(waits) === 'entered') {
        this.#table.clearGuest(this.lock);
        if (!this.#locks.anyGuest()) {
          this.#pages.truncateJournal();
          this.#files.removeFrames();
        }
        // Within the mutex: who comes next is alone, or meets somebody who has the frames open.
        this.#locks.release(this.lock);
        this.leave('done');
      }
    } finally {
      this.#files.close();
    }
  }

  /**
   * A process that takes the mutex again at once can keep one that sleeps between its tries from it for
   * ever: so it sleeps once when another one is overdue. False: interrupted.
   */
  #letThrough(waits: Waits): boolean {
    const table = this.#table;
    if (table.last !== this.lock || [0, this.lock].includes(table.overdue)) return true;
    table.setOverdue(0);
    return waits(MUTEX_PATIENCE_MS).waitLongest() !== 'interrupted';
  }

  /** Somebody else changes the page, or reads it through a window. */
  #isTaken(frame: number): boolean {
    const writer = this.#table.writer(frame);
    const others = this.#table.readers(frame) & ~(1n << BigInt(this.lock - 1));
    const waiter = this.#table.waiter(frame);
    // Who reads the page itself goes first: the one who waits does so for it.
    const isNext = waiter === 0 || waiter === this.lock || this.#reads(frame);
    return (writer !== 0 && writer !== this.lock) || others !== 0n || !isNext;
  }

  #reads(frame: number): boolean {
    return (this.#table.readers(frame) & (1n << BigInt(this.lock - 1))) !== 0n;
  }

  /** Takes back what dead guests held. True if there was one. */
  #buryDead(): boolean {
    let found = false;
    for (let lock = 1; lock <= GUESTS_MAX; lock++) {
      if (lock === this.lock || !this.#table.hadGuest(lock) || this.#locks.isHeld(lock)) continue;
      this.#table.clearGuest(lock);
      found = true;
    }
    return found;
  }

  /** The frame used longest ago that nobody holds; dirty ones are flushed when they are in the way. */
  #freeFrame(): number {
    const table = this.#table;
    if (table.dirtyFrames > table.frames / 2) this.flush();
    const clean = this.#oldestFree();
    if (clean >= 0) return clean;
    this.flush();
    const flushed = this.#oldestFree();
    if (flushed >= 0 || !this.#buryDead()) return flushed;
    return this.#oldestFree();
  }

  #oldestFree(): number {
    const table = this.#table;
    let frame = table.oldest;
    for (let steps = 0; frame >= 0 && steps < table.frames; steps++) {
      if (!table.isHeld(frame) && !table.isDirty(frame)) return frame;
      frame = table.newer(frame);
    }
    return -1;
  }
}

/** Puts right what a holder of the mutex left that died or failed on the way. */
export function settle(table: FrameTable, pages: PageFile): void {
  pages.recover();
  table.rebuild();
}

export function takeMutex(
  locks: PoolLocks,
  waits: Waits,
  onWait: (waitedMs: number) => void = () => undefined,
): 'entered' | 'interrupted' | 'timeout' {
  const patience = waits(MUTEX_PATIENCE_MS);
  for (;;) {
    for (let spin = 0; spin < SPINS; spin++) if (locks.take(MUTEX)) return 'entered';
    const waited = patience.wait();
    if (waited !== 'waited') return waited;
    onWait(patience.waitedMs());
  }
}

/** Closes descriptors that are open; never throws. */
export function closeAll(fds: readonly (number | null)[]): void {
  for (const fd of fds) {
    if (fd === null) continue;
    try {
      closeSync(fd);
    } catch {
      // Nothing was written that is not durable by other means.
    }
  }
}
