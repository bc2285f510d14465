/**
 * The pools that one guest has open, by their numbers, and what happens to them around a checkpoint.
 */
import { ERRNO } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { HostError } from '../fault/host-error.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { RandomSource } from '../resource/random.ts';
import { GuestPool } from './guest-pool.ts';
import { POOLS_OPEN_MAX, type PoolState, SLOTS_MAX } from './pin.ts';
import type { PoolCalls } from './pool-calls.ts';
import { openPool } from './pool-files.ts';
import type { PoolGrant } from './pool-grant.ts';
import type { SharedPool } from './shared-pool.ts';
import type { Waits } from './waiting.ts';
import { Window, whyNoWindow } from './window.ts';

export const POOL_FLAG = { window: 1, readOnly: 2 } as const;

export interface PoolRequest {
  readonly name: string;
  readonly pageBytes: number;
  readonly address: number;
  readonly slots: number;
  readonly flags: number;
}

export interface OpenPoolsOptions {
  readonly grants: readonly PoolGrant[];
  readonly random: RandomSource;
  readonly memory: () => GuestMemory;
  readonly calls: PoolCalls | null;
}

export class OpenPools {
  readonly #options: OpenPoolsOptions;
  readonly #pools: (GuestPool | null)[] = [];

  constructor(options: OpenPoolsOptions) {
    this.#options = options;
  }

  get(number: number): GuestPool | null {
    return this.#pools[number] ?? null;
  }

  /** Opens a pool; `tell` gets its number, the lowest that is free. */
  open(request: PoolRequest, waits: Waits, tell: (number: number) => void): number {
    const { name, pageBytes, address, slots, flags } = request;
    const grant = this.#options.grants.find((one) => one.name === name);
    if (grant === undefined) return ERRNO.NOENT;
    const known = (flags & ~POOL_FLAG.window) === 0;
    if (!known || pageBytes !== grant.pageBytes) return ERRNO.INVAL;
    if (slots === 0 || slots > SLOTS_MAX || address % pageBytes !== 0) return ERRNO.INVAL;
    const memory = this.#options.memory();
    if (address + slots * pageBytes > memoryBytes(memory)) return ERRNO.FAULT;
    if (this.#overlaps(address, slots * pageBytes)) return ERRNO.EXIST;
    const wantsWindow = (flags & POOL_FLAG.window) !== 0;
    if (wantsWindow && (grant.readOnly || whyNoWindow(this.#options.calls, pageBytes) !== null))
      return ERRNO.NOTSUP;
    const number = this.#freeNumber();
    if (number < 0) return ERRNO.MFILE;
    const shared = openPool({ ...this.#options, grant, waits });
    if (shared === 'interrupted') return INTERRUPTED;
    if (shared === 'timeout') return ERRNO.TIMEDOUT;
    if (shared === 'full') return ERRNO.NFILE;
    const window = wantsWindow ? this.#window(shared, grant, address, slots) : null;
    try {
      window?.showFirst();
    } catch (error) {
      shared.close(waits);
      throw error;
    }
    this.#pools[number] = new GuestPool({
      ...{ grant, shared, memory, address, slots, window },
      changes: 0n,
    });
    tell(number);
    return ERRNO.SUCCESS;
  }

  /** Flushes and closes; BUSY while pages are pinned. */
  close(number: number, waits: Waits): number {
    const pool = this.get(number);
    if (pool === null) return ERRNO.BADF;
    if (pool.pinned > 0) return ERRNO.BUSY;
    const flushed = pool.flush(waits);
    if (flushed !== ERRNO.SUCCESS) return flushed;
    this.#pools[number] = null;
    pool.close(waits);
    return ERRNO.SUCCESS;
  }

  // — around a checkpoint: `waits` are never interrupted —

  /** Makes everything published durable. Throws HostError when that can't be done. */
  flushAll(waits: Waits): readonly PoolState[] {
    const states: PoolState[] = [];
    for (const [number, pool] of this.#pools.entries()) {
      if (pool === null || pool === undefined) continue;
      const flushed = pool.flush(waits);
      if (flushed !== ERRNO.SUCCESS) throw held(pool.grant.name);
      states.push(pool.state(number));
    }
    return states;
  }

  /** Closes all; what the guest was changing stays in its memory. Throws the first failure, with all closed. */
  releaseAll(waits: Waits): void {
    this.#closeEach((pool) => pool.release(waits));
  }

  /** The guest is over: what it published is made durable, as far as that is possible. Never throws. */
  endAll(waits: Waits): void {
    try {
      this.#closeEach((pool) => {
        try {
          pool.flush(waits);
        } finally {
          pool.close(waits);
        }
      });
    } catch {
      // Nobody is left to be told; what was flushed before is safe.
    }
  }

  /** Opens all again, with today's grants. Throws HostError; then none is open. */
  standAgain(states: readonly PoolState[], waits: Waits): void {
    try {
      for (const state of states) this.#stand(state, waits);
    } catch (failure) {
      this.endAll(waits);
      throw failure;
    }
  }

  #stand(state: PoolState, waits: Waits): void {
    const grant = this.#grantFor(state);
    const { number, address, slots, changes } = state;
    const memory = this.#options.memory();
    this.#check(state, memory);
    const shared = openPool({ ...this.#options, grant, waits });
    if (typeof shared === 'string') throw held(grant.name);
    try {
      if (Buffer.compare(shared.id, state.id) !== 0) {
        throw new HostError(
          'ERR_RESOURCE_CHANGED',
          `The page file ${grant.hostPath} is not the one that the guest had open.`,
          { facts: { pool: grant.name }, hint: 'put the file back that it had, and restore again' },
        );
      }
      const window = state.window ? this.#window(shared, grant, address, slots) : null;
      const pool = new GuestPool({
        ...{ grant, shared, memory, address, slots, window, changes },
      });
      const answer = pool.inside(waits, () => {
        for (const pin of state.pins) pool.stand(pin);
        return ERRNO.SUCCESS;
      });
      if (answer !== ERRNO.SUCCESS) throw held(grant.name);
      this.#pools[number] = pool;
    } catch (failure) {
      shared.close(waits);
      throw failure;
    }
  }

  #grantFor({ name, pageBytes, window, pins }: PoolState): PoolGrant {
    const grant = this.#options.grants.find((one) => one.name === name);
    if (grant === undefined) {
      throw notGranted('The guest held a pool that is not granted today.', name, {
        hint: `grant it with --pool ${/^[\w.-]+$/.test(name) ? name : 'NAME'}=FILE`,
      });
    }
    if (grant.pageBytes !== pageBytes) {
      throw new HostError('ERR_RESOURCE_CHANGED', 'The pool has pages of another size today.', {
        facts: { pool: name, pageBytes, today: grant.pageBytes },
        hint: `write page=${pageBytes}`,
      });
    }
    if (grant.readOnly && (window || pins.some(({ write }) => write))) {
      throw notGranted('The guest may write to a pool that is granted for reading only.', name, {
        hint: 'leave out ro',
      });
    }
    if (pins.some(({ page }) => page >= grant.pagesMax)) {
      throw notGranted('The guest holds a page beyond those that the pool may have today.', name, {
        hint: 'raise pages=',
      });
    }
    const why = window ? whyNoWindow(this.#options.calls, pageBytes) : null;
    if (why === null) return grant;
    throw notGranted(`A window of the guest can't be had here: ${why}.`, name, {
      hint: 'restore it where it was captured',
    });
  }

  /** What no guest of ours can have held. */
  #check(state: PoolState, memory: GuestMemory): void {
    const { number, address, slots, pageBytes, pins } = state;
    const length = slots * pageBytes;
    const fits =
      this.get(number) === null &&
      address % pageBytes === 0 &&
      address + length <= memoryBytes(memory) &&
      !this.#overlaps(address, length) &&
      pins.every(({ slot }) => slot < slots) &&
      new Set(pins.map(({ slot }) => slot)).size === pins.length &&
      new Set(pins.map(({ page }) => page)).size === pins.length &&
      // Only what is pinned for writing can be changed, or changed in vain.
      pins.every(({ write, dirty, stale }) => write || !(dirty || stale));
    if (fits) return;
    throw new HostError('ERR_MALFORMED_IMAGE', 'The pools in the image make no sense.');
  }

  #window(shared: SharedPool, grant: PoolGrant, address: number, slots: number): Window {
    return new Window({
      calls: this.#options.calls!,
      memory: this.#options.memory(),
      address,
      slots,
      pageBytes: grant.pageBytes,
      table: shared.table,
      framesFd: shared.framesFd,
    });
  }

  #overlaps(address: number, length: number): boolean {
    return this.#pools.some((pool) => {
      if (pool === null || pool === undefined) return false;
      const end = pool.address + pool.slots * pool.grant.pageBytes;
      return address < end && pool.address < address + length;
    });
  }

  #freeNumber(): number {
    for (let number = 0; number < POOLS_OPEN_MAX; number++) {
      if (this.get(number) === null) return number;
    }
    return -1;
  }

  #closeEach(close: (pool: GuestPool) => void): void {
    let failure: unknown = null;
    for (const [number, pool] of this.#pools.entries()) {
      if (pool === null || pool === undefined) continue;
      this.#pools[number] = null;
      try {
        close(pool);
      } catch (error) {
        failure ??= error;
      }
    }
    if (failure !== null) throw failure;
  }
}

function memoryBytes(memory: GuestMemory): number {
  memory.refresh();
  return memory.bytes.length;
}

function held(pool: string): HostError {
  return new HostError('ERR_TIMEOUT', 'Other guests held a pool for too long.', {
    facts: { pool },
    hint: 'see whether one of them is stopped, then try again',
  });
}

function notGranted(message: string, pool: string, { hint }: { readonly hint: string }): HostError {
  return new HostError('ERR_RESOURCE_NOT_GRANTED', message, { facts: { pool }, hint });
}
