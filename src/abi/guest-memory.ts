/**
 * A guest's linear memory as the calls of WASI see it: always the current buffer, never a stale one.
 *
 * Invariants:
 * 1. `bytes` and `view` cover the memory as it is now, also after `memory.grow` detached its buffer.
 * 2. Pointers and lengths arrive as i32, possibly negative, and are read as u32. Their sum is taken in
 *    doubles, so that no range wraps.
 */

/** The part of `WebAssembly.Memory` that matters here. */
export interface MemoryLike {
  readonly buffer: ArrayBufferLike;
}

export class GuestMemory {
  readonly #memory: () => MemoryLike;
  #bytes: Uint8Array = new Uint8Array(0);
  #view: DataView = new DataView(new ArrayBuffer(0));

  /** `memory` is asked again whenever the buffer seen last is gone or too short. */
  constructor(memory: () => MemoryLike) {
    this.#memory = memory;
  }

  get bytes(): Uint8Array {
    if (this.#bytes.length === 0) this.refresh();
    return this.#bytes;
  }

  get view(): DataView {
    if (this.#bytes.length === 0) this.refresh();
    return this.#view;
  }

  /** Looks at the memory anew; to be called when another memory took the place of the one before. */
  refresh(): void {
    const buffer = this.#memory().buffer;
    if (buffer === this.#bytes.buffer && buffer.byteLength === this.#bytes.length) return;
    this.#bytes = new Uint8Array(buffer);
    this.#view = new DataView(buffer);
  }

  /** Whether `lengthBytes` bytes from `pointer` lie within memory. Length 0 at the very end does. */
  holds(pointer: number, lengthBytes: number): boolean {
    const end = (pointer >>> 0) + (lengthBytes >>> 0);
    const size = this.#bytes.length;
    if (end <= size && size !== 0) return true;
    // A shared memory grows without detaching its buffer, and a detached buffer has no bytes.
    this.refresh();
    return end <= this.#bytes.length;
  }
}
