/**
 * A guest of pools without WebAssembly: memory, and the calls of `stasis_pool` as a program makes them.
 */
import assert from 'node:assert/strict';
import { randomFillSync } from 'node:crypto';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { POOL_IMPORTS } from '../../src/pool/import-module.ts';
import { type PoolCalls, poolCalls } from '../../src/pool/pool-calls.ts';
import type { PoolGrant } from '../../src/pool/pool-grant.ts';
import { createPoolProvider } from '../../src/pool/pool-provider.ts';
import type { Clock } from '../../src/resource/clock.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import type { Provider, ProviderState, Reason } from '../../src/resource/provider.ts';
import { ProviderRegistry } from '../../src/resource/registry.ts';
import { type EngineMemory, engine } from '../../src/wasm/engine.ts';

export const PAGE = 4096;
export const SLOTS_AT = 65_536;
const TEXT_AT = 64;
const OUT_AT = 512;
const MEMORY_PAGES = 16;

const clock: Clock = {
  realtimeNs: () => BigInt(Date.now()) * 1_000_000n,
  monotonicNs: () => process.hrtime.bigint(),
  cpuNs: () => 0n,
  resolutionNs: 1n,
};

const { Memory } = engine as unknown as {
  Memory: new (size: { initial: number; maximum: number }) => EngineMemory;
};

export interface GuestOptions {
  readonly grants: readonly PoolGrant[];
  /** The memory of an earlier run, which is copied. */
  readonly memory?: Uint8Array;
  /** null: as on a system without locks of ranges and mappings. */
  readonly calls?: PoolCalls | null;
}

interface OpenWords {
  readonly slots?: number;
  readonly window?: boolean;
  readonly at?: number;
  readonly pageBytes?: number;
}

export class PoolGuest {
  readonly memory: GuestMemory;
  /** As `memory.grow` does. */
  readonly grow: (pages: number) => void;
  /** What a request for a checkpoint would do. */
  isRequested = false;
  /** The same, so many waits from now on. */
  stopAfterWaits = -1;
  readonly #registry = new ProviderRegistry();
  readonly #provider: Provider;

  constructor({ grants, memory, calls = poolCalls() }: GuestOptions) {
    const own = new Memory({ initial: MEMORY_PAGES, maximum: 2 * MEMORY_PAGES });
    if (memory !== undefined) new Uint8Array(own.buffer).set(memory);
    this.grow = (pages) => void own.grow(pages);
    this.memory = new GuestMemory(() => own);
    this.#provider = createPoolProvider({
      grants,
      random: (into) => void randomFillSync(into),
      calls,
    });
    this.#registry.register(this.#provider);
    this.#registry.attach({
      memory: this.memory,
      clock,
      pause: {
        wait: (untilNs) => {
          if (this.isRequested || this.stopAfterWaits-- === 0) return 'interrupted';
          const word = new Int32Array(new SharedArrayBuffer(4));
          const left = untilNs === null ? 1n : untilNs - clock.monotonicNs();
          if (left > 0n) Atomics.wait(word, 0, 0, Number(left) / 1e6);
          return 'timeout';
        },
      },
    });
  }

  call(name: string, ...args: number[]): number {
    const answer = this.#provider.imports![POOL_IMPORTS]![name]!(...args);
    assert(typeof answer === 'number');
    return answer;
  }

  // — the calls, with their results —

  open(name: string, options: OpenWords = {}): number {
    const { slots = 8, window = false, at = SLOTS_AT, pageBytes = PAGE } = options;
    const text = Buffer.from(name);
    this.memory.bytes.set(text, TEXT_AT);
    return this.call('open', TEXT_AT, text.length, pageBytes, at, slots, window ? 1 : 0, OUT_AT);
  }

  opened(name: string, options: OpenWords = {}): number {
    assert.equal(this.open(name, options), 0, 'the pool opens');
    return this.memory.view.getUint32(OUT_AT, true);
  }

  tryPin(pool: number, page: number, mode = 0): number {
    return this.call('pin', pool, page, mode, OUT_AT);
  }

  /** The pinned page's bytes, as they are in the guest's memory. */
  pin(pool: number, page: number, mode: 'read' | 'write' = 'read'): Uint8Array {
    assert.equal(this.tryPin(pool, page, mode === 'write' ? 1 : 0), 0, `page ${page} is pinned`);
    return this.at(this.memory.view.getUint32(OUT_AT, true));
  }

  at(address: number): Uint8Array {
    return this.memory.bytes.subarray(address, address + PAGE);
  }

  unpin(pool: number, page: number, dirty = false): number {
    return this.call('unpin', pool, page, dirty ? 1 : 0);
  }

  flush(pool: number): number {
    return this.call('flush', pool);
  }

  close(pool: number): number {
    return this.call('close', pool);
  }

  changed(pool: number, page: number): boolean {
    assert.equal(this.call('changed', pool, page, OUT_AT), 0);
    return this.memory.view.getUint32(OUT_AT, true) !== 0;
  }

  version(pool: number, page: number): bigint {
    assert.equal(this.call('version', pool, page, OUT_AT), 0);
    return this.memory.view.getBigUint64(OUT_AT, true);
  }

  facts(pool: number): { frames: number; flags: number; pinned: number; changes: bigint } {
    assert.equal(this.call('facts', pool, OUT_AT), 0);
    const { view } = this.memory;
    return {
      frames: view.getUint32(OUT_AT + 8, true),
      flags: view.getUint32(OUT_AT + 16, true),
      pinned: view.getUint32(OUT_AT + 20, true),
      changes: view.getBigUint64(OUT_AT + 24, true),
    };
  }

  /** Reads a page's first word, pinning and unpinning it. */
  readWord(pool: number, page: number): number {
    const bytes = this.pin(pool, page);
    const word = Buffer.from(bytes).readUInt32LE(0);
    assert.equal(this.unpin(pool, page), 0);
    return word;
  }

  /** Changes a page's first and last words and publishes it. */
  writeWord(pool: number, page: number, word: number): void {
    setWords(this.pin(pool, page, 'write'), word);
    assert.equal(this.unpin(pool, page, true), 0);
  }

  // — around a checkpoint —

  /** The states, and memory as an image would have it. The guest stands still then. */
  async capture(): Promise<{ states: readonly ProviderState[]; memory: Uint8Array }> {
    const states = await this.#registry.quiesce();
    return { states, memory: this.memory.bytes.slice() };
  }

  async goOn(states: readonly ProviderState[], reason: Reason): Promise<void> {
    await this.#registry.rebuild(states, reason);
  }

  end(): void {
    this.#registry.close();
  }
}

export function setWords(bytes: Uint8Array, word: number): void {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length);
  buffer.writeUInt32LE(word, 0);
  buffer.writeUInt32LE(word, bytes.length - 4);
}

export { INTERRUPTED };

export function grantOf(hostPath: string, more: Partial<PoolGrant> = {}): PoolGrant {
  return {
    name: 'p',
    hostPath,
    pageBytes: PAGE,
    frames: 16,
    pagesMax: 1000,
    readOnly: false,
    ...more,
  };
}

/** Captures `guest`, ends it, and brings it back in a new one. */
export async function restarted(
  guest: PoolGuest,
  grants: readonly PoolGrant[],
  meanwhile: () => void = () => undefined,
  calls: PoolCalls | null = poolCalls(),
): Promise<PoolGuest> {
  const { states, memory } = await guest.capture();
  meanwhile();
  const next = new PoolGuest({ grants, memory, calls });
  await next.goOn(states, 'restarted');
  return next;
}
