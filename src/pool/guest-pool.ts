/**
 * One pool as one guest has it open: its slots, its pins, and the two ways in which pages get there.
 *
 *   copying   pinning copies the page into a slot; unpinning with changes copies it back
 *   window    slots show the frames themselves (`window.ts`)
 *
 * Invariants:
 * 1. The bytes of a pinned page change only by the guest itself, and around a checkpoint. While copied they
 *    are the guest's own; while shown, nobody changes a page that another guest reads through a window.
 * 2. A page is changed by one guest at a time. Its changes are published when it gives its last pin back,
 *    all at once, or not at all.
 * 3. Functions here answer with an errno or INTERRUPTED; then nothing has changed. They throw only what
 *    the pool itself can't mend.
 */
import { ERRNO } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { assert } from '../fault/assert.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import { damagedTable } from './frame-table.ts';
import { HOLDS_MAX, type Pin, type PinState, type PoolState } from './pin.ts';
import type { PoolGrant } from './pool-grant.ts';
import type { SharedPool } from './shared-pool.ts';
import type { Waits } from './waiting.ts';
import type { Window } from './window.ts';

export interface GuestPoolOptions {
  readonly grant: PoolGrant;
  readonly shared: SharedPool;
  readonly memory: GuestMemory;
  readonly address: number;
  readonly slots: number;
  readonly window: Window | null;
  readonly changes: bigint;
}

const NO_FRAME = -1;
/** How long a guest waits for a page that another one has. Milliseconds. */
const LATCH_PATIENCE_MS = 5000;

export class GuestPool {
  readonly grant: PoolGrant;
  readonly address: number;
  readonly slots: number;
  /** How often bytes of a pinned page were replaced, in all runs of the guest. */
  changes: bigint;
  readonly #shared: SharedPool;
  readonly #memory: GuestMemory;
  readonly #window: Window | null;
  readonly #pins = new Map<number, Pin>();
  readonly #slotTaken: Uint8Array;
  /** Slots below it are taken, as far as is known. */
  #freeHint = 0;

  constructor(options: GuestPoolOptions) {
    const { grant, shared, memory, address, slots, window, changes } = options;
    this.grant = grant;
    this.address = address;
    this.slots = slots;
    this.changes = changes;
    this.#shared = shared;
    this.#memory = memory;
    this.#window = window;
    this.#slotTaken = new Uint8Array(slots);
  }

  get frames(): number {
    return this.#shared.frames;
  }

  get isWindow(): boolean {
    return this.#window !== null;
  }

  get pinned(): number {
    return this.#pins.size;
  }

  pin(page: number): Pin | null {
    return this.#pins.get(page) ?? null;
  }

  addressOf({ slot }: Pin): number {
    return this.address + slot * this.grant.pageBytes;
  }

  /** Pins `page`, once more if it is pinned. `patient`: waits while somebody else changes it. */
  take(page: number, write: boolean, patient: boolean, waits: Waits): number {
    if (page >= this.grant.pagesMax) return ERRNO.FBIG;
    if (write && this.grant.readOnly) return ERRNO.ROFS;
    const held = this.#pins.get(page);
    if (held !== undefined) {
      if (held.holds === HOLDS_MAX) return ERRNO.OVERFLOW;
      if (write && held.stale) return ERRNO.STALE;
      if (!write || held.write) {
        held.holds++;
        return ERRNO.SUCCESS;
      }
    } else if (this.#pins.size === this.slots) return ERRNO.NOBUFS;
    const patience = waits(LATCH_PATIENCE_MS);
    for (;;) {
      const answer = this.inside(waits, () => this.#tryTake(page, write, held, patient));
      if (answer !== ERRNO.AGAIN) return answer;
      if (!patient) return ERRNO.AGAIN;
      const waited = patience.wait();
      if (waited === 'interrupted') return INTERRUPTED;
      if (waited === 'timeout') return this.#giveUp(page, waits);
    }
  }

  /** Gives one pin of `page` back, with changes or without. */
  give(page: number, dirty: boolean, waits: Waits): number {
    const pin = this.#pins.get(page);
    if (pin === undefined) return ERRNO.INVAL;
    if (dirty && !pin.write) return ERRNO.PERM;
    if (pin.holds > 1) {
      pin.holds--;
      pin.dirty ||= dirty;
      return pin.stale && dirty ? ERRNO.STALE : ERRNO.SUCCESS;
    }
    const changed = dirty || pin.dirty;
    const shares = (pin.write && !pin.stale) || pin.frame !== NO_FRAME;
    if (shares) {
      const answer = this.inside(waits, () => this.#release(pin, changed && !pin.stale));
      if (answer !== ERRNO.SUCCESS) return answer;
    }
    this.#drop(pin);
    return pin.stale && changed ? ERRNO.STALE : ERRNO.SUCCESS;
  }

  flush(waits: Waits): number {
    return this.inside(waits, () => {
      this.#shared.flush();
      return ERRNO.SUCCESS;
    });
  }

  /** Tells the page's version as it is now. */
  version(page: number, waits: Waits, tell: (version: bigint) => void): number {
    if (page >= this.grant.pagesMax) return ERRNO.FBIG;
    return this.inside(waits, () => {
      tell(this.#shared.versionOf(page));
      return ERRNO.SUCCESS;
    });
  }

  /** Closes the guest's share, without flushing. */
  close(waits: Waits): void {
    try {
      this.#window?.close();
    } finally {
      this.#shared.close(waits);
    }
  }

  // — around a checkpoint —

  state(number: number): PoolState {
    const { grant, address, slots, changes } = this;
    return {
      number,
      name: grant.name,
      id: Uint8Array.from(this.#shared.id),
      pageBytes: grant.pageBytes,
      window: this.isWindow,
      address,
      slots,
      changes,
      pins: [...this.#pins.values()].map(({ frame, ...pin }) => pin),
    };
  }

  /** Lets go of everything. What the guest was changing stays in its memory. */
  release(waits: Waits): void {
    const kept = [...this.#pins.values()]
      .filter(({ write, frame }) => write && frame !== NO_FRAME)
      .map((pin) => ({ pin, bytes: this.#bytesOf(pin).slice() }));
    this.close(waits);
    for (const { pin, bytes } of kept) this.#bytesOf(pin).set(bytes);
  }

  /** Makes a pin stand again, within the mutex. Its page has today's bytes then, and it says so if they are new. */
  stand(state: PinState): void {
    const pin: Pin = { ...state, frame: NO_FRAME };
    this.#keep(pin);
    const shared = this.#shared;
    const frame = shared.frameOf(pin.page);
    if (pin.write && !pin.stale && this.#standsForWriting(pin, frame)) return;
    const before = pin.version;
    pin.version = this.#showOrCopy(pin, frame);
    if (pin.write && !pin.stale) pin.stale = true;
    else if (pin.version === before) return;
    pin.changed = true;
    this.changes++;
  }

  /** Runs `work` with the mutex held. */
  inside(waits: Waits, work: () => number): number {
    const entered = this.#shared.enter(waits);
    if (entered === 'interrupted') return INTERRUPTED;
    if (entered === 'timeout') return ERRNO.TIMEDOUT;
    let outcome: 'done' | 'failed' = 'failed';
    try {
      const answer = work();
      outcome = 'done';
      return answer;
    } finally {
      this.#shared.leave(outcome);
    }
  }

  // — within the mutex —

  #tryTake(page: number, write: boolean, held: Pin | undefined, patient: boolean): number {
    const shared = this.#shared;
    if (this.#window === null && !write) return this.#copyIn(page);
    const frame = shared.frameOf(page);
    if (frame < 0) return ERRNO.NOBUFS;
    const mayTake = write ? shared.latch(frame, patient) : shared.read(frame);
    if (!mayTake) return ERRNO.AGAIN;
    const slot = held?.slot ?? this.#slotFor(frame);
    const version = shared.table.version(frame);
    const pin = held ?? newPin(page, slot, version);
    if (this.#window !== null && (held === undefined || held.frame === NO_FRAME)) {
      if (this.#window.slotOf(frame) !== slot) this.#window.show(slot, frame);
      pin.frame = frame;
    }
    if (this.#window === null) shared.table.copyTo(frame, this.#bytesOf(pin));
    else if (write) shared.table.putAside(frame);
    if (held !== undefined && held.version !== version) {
      held.version = version;
      held.changed = true;
      this.changes++;
    }
    pin.write ||= write;
    pin.holds++;
    if (held === undefined) this.#keep(pin);
    return ERRNO.SUCCESS;
  }

  /** A copy to read needs no frame for longer than it takes. */
  #copyIn(page: number): number {
    const pin = newPin(page, this.#slotFor(NO_FRAME), 0n);
    pin.version = this.#shared.copyPage(page, this.#bytesOf(pin));
    pin.holds = 1;
    this.#keep(pin);
    return ERRNO.SUCCESS;
  }

  #giveUp(page: number, waits: Waits): number {
    const answer = this.inside(waits, () => {
      const frame = this.#shared.table.find(page);
      if (frame >= 0) this.#shared.stopWaiting(frame);
      return ERRNO.SUCCESS;
    });
    return answer === ERRNO.SUCCESS ? ERRNO.DEADLK : answer;
  }

  #release(pin: Pin, publish: boolean): number {
    const { table } = this.#shared;
    const frame = table.find(pin.page);
    // A held page is in a frame, unless somebody else wrote into the table.
    if (frame < 0) throw damagedTable();
    if (publish && pin.frame === NO_FRAME) table.publish(frame, this.#bytesOf(pin));
    else if (publish) table.publishOwn(frame);
    this.#shared.unlatch(frame);
    this.#shared.unread(frame);
    return ERRNO.SUCCESS;
  }

  /** The latch is to be had and nobody changed the page: the guest's own bytes go on as they are. */
  #standsForWriting(pin: Pin, frame: number): boolean {
    const shared = this.#shared;
    if (frame < 0 || shared.table.version(frame) !== pin.version) return false;
    if (this.grant.readOnly || !shared.latch(frame, false)) return false;
    if (this.#window === null) return true;
    const bytes = this.#bytesOf(pin).slice();
    shared.table.putAside(frame);
    this.#window.show(pin.slot, frame);
    pin.frame = frame;
    this.#bytesOf(pin).set(bytes);
    return true;
  }

  #showOrCopy(pin: Pin, frame: number): bigint {
    const shared = this.#shared;
    // What can't be shown now is copied: a pin that stands does not wait for others.
    const shows = this.#window !== null && frame >= 0 && !pin.write && shared.read(frame);
    if (!shows) return shared.copyPage(pin.page, this.#bytesOf(pin));
    this.#window.show(pin.slot, frame);
    pin.frame = frame;
    return shared.table.version(frame);
  }

  #slotFor(frame: number): number {
    const shown = frame < 0 ? NO_FRAME : (this.#window?.slotOf(frame) ?? NO_FRAME);
    if (shown !== NO_FRAME && this.#slotTaken[shown] === 0) return shown;
    while (this.#slotTaken[this.#freeHint] === 1) this.#freeHint++;
    assert(this.#freeHint < this.slots, 'a slot is free');
    return this.#freeHint;
  }

  #keep(pin: Pin): void {
    this.#pins.set(pin.page, pin);
    this.#slotTaken[pin.slot] = 1;
  }

  #drop(pin: Pin): void {
    this.#pins.delete(pin.page);
    this.#slotTaken[pin.slot] = 0;
    this.#freeHint = Math.min(this.#freeHint, pin.slot);
  }

  #bytesOf(pin: Pin): Uint8Array {
    const at = this.addressOf(pin);
    return this.#memory.bytes.subarray(at, at + this.grant.pageBytes);
  }
}

function newPin(page: number, slot: number, version: bigint): Pin {
  const flags = { write: false, dirty: false, stale: false, changed: false };
  return { page, slot, holds: 0, ...flags, version, frame: NO_FRAME };
}
