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
  #text: Buffer = Buffer.alloc(0);

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
    this.#text = Buffer.from(buffer);
  }

  /** What stands there as UTF-8, within memory; U+FFFD where it is none. */
  text(pointer: number, lengthBytes: number): string {
    if (this.#bytes.length === 0) this.refresh();
    const start = pointer >>> 0;
    return this.#text.toString('utf8', start, start + (lengthBytes >>> 0));
  }

  /** Writes `value`, an integer from 0 to 2^53 - 1, as u64: a BigInt would cost more than all else. */
  setWide(pointer: number, value: number): void {
    const { view } = this;
    const at = pointer >>> 0;
    view.setUint32(at, value >>> 0, true);
    view.setUint32(at + 4, value / 2 ** 32, true);
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
