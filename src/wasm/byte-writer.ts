/** A byte array that grows, with the encodings of the binary format. */
import { assert } from '../fault/assert.ts';

const utf8 = new TextEncoder();

/** How many bytes a padded u32 takes. */
const PADDED_BYTES = 5;

/** Up to this many bytes, a loop copies faster than a view can be made. */
const LOOP_BYTES_MAX = 24;

export class ByteWriter {
  #bytes: Uint8Array<ArrayBuffer>;
  #length = 0;

  /** `capacityBytes`: how much to make room for at once; it grows as needed. */
  constructor(capacityBytes = 256) {
    this.#bytes = new Uint8Array(Math.max(16, capacityBytes));
  }

  /** Bytes written so far. */
  get length(): number {
    return this.#length;
  }

  /** Makes room for `more` bytes, and returns the buffer, whose identity may change. */
  #room(more: number): Uint8Array {
    const needed = this.#length + more;
    if (needed > this.#bytes.length) {
      const larger = new Uint8Array(Math.max(needed, this.#bytes.length * 2));
      larger.set(this.#bytes.subarray(0, this.#length));
      this.#bytes = larger;
    }
    return this.#bytes;
  }

  u8(value: number): void {
    this.#room(1)[this.#length++] = value;
  }

  u32(value: number): void {
    const bytes = this.#room(PADDED_BYTES);
    let rest = value >>> 0;
    while (rest > 0x7f) {
      bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[this.#length++] = rest;
  }

  /** Writes a u32 over five bytes, and returns where: `patchU32` can change it later. */
  u32Padded(value: number): number {
    this.#room(PADDED_BYTES);
    const at = this.#length;
    this.#length += PADDED_BYTES;
    this.patchU32(at, value);
    return at;
  }

  /** Changes the number that `u32Padded` wrote at `at`. */
  patchU32(at: number, value: number): void {
    assert(at + PADDED_BYTES <= this.#length, 'a patched number was written before');
    const bytes = this.#bytes;
    let rest = value >>> 0;
    for (let i = 0; i < PADDED_BYTES - 1; i++) {
      bytes[at + i] = (rest & 0x7f) | 0x80;
      rest >>>= 7;
    }
    bytes[at + PADDED_BYTES - 1] = rest;
  }

  /** Also writes an s33, when `value` lies outside 32 bits. */
  s32(value: number): void {
    const bytes = this.#room(PADDED_BYTES);
    let rest = value;
    while (rest < -0x40 || rest > 0x3f) {
      bytes[this.#length++] = (rest & 0x7f) | 0x80;
      rest = Math.floor(rest / 0x80);
    }
    bytes[this.#length++] = rest & 0x7f;
  }

  s64(value: bigint): void {
    let rest = BigInt.asIntN(64, value);
    while (rest < -0x40n || rest > 0x3fn) {
      this.u8(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.u8(Number(rest & 0x7fn));
  }

  u64(value: bigint): void {
    let rest = BigInt.asUintN(64, value);
    while (rest > 0x7fn) {
      this.u8(Number(rest & 0x7fn) | 0x80);
      rest >>= 7n;
    }
    this.u8(Number(rest));
  }

  /** An instruction's opcode, flattened as in `opcodes.ts`. */
  opcode(op: number): void {
    if (op < 0x100) this.u8(op);
    else {
      const prefix = op < 0x200 ? 0xfb : op < 0x300 ? 0xfc : op < 0x500 ? 0xfd : 0xfe;
      this.u8(prefix);
      this.u32(prefix === 0xfd ? op - 0x300 : op & 0xff);
    }
  }

  /** A name: u32 length in bytes, UTF-8. */
  name(text: string): void {
    const encoded = utf8.encode(text);
    this.u32(encoded.length);
    this.bytes(encoded);
  }

  bytes(source: Uint8Array): void {
    this.#room(source.length).set(source, this.#length);
    this.#length += source.length;
  }

  /** Copies `source` from `start` up to `end`. */
  range(source: Uint8Array, start: number, end: number): void {
    const length = end - start;
    const bytes = this.#room(length);
    const at = this.#length;
    if (length > LOOP_BYTES_MAX) bytes.set(source.subarray(start, end), at);
    else for (let i = 0; i < length; i++) bytes[at + i] = source[start + i]!;
    this.#length = at + length;
  }

  /** What was written, without a copy: valid until the next write. */
  view(): Uint8Array<ArrayBuffer> {
    return this.#bytes.subarray(0, this.#length);
  }

  /** A copy of what was written. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  /** Forgets what was written and keeps the room. */
  clear(): void {
    this.#length = 0;
  }
}
