/**
 * A checked reader over one section: every read stays inside it or throws `ERR_MALFORMED_MODULE`.
 *
 * Invariants:
 * 1. `at` ≤ `end`, and `end` ≤ the length of `bytes`.
 * 2. No number that a module states makes the reader allocate more than the section's own bytes allow:
 *    counts are held against what is left before anything is made room for.
 */
import { malformed } from './malformed.ts';

// A name that is not UTF-8 makes the module malformed; a byte order mark is a character like others.
const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

export class ByteReader {
  readonly bytes: Uint8Array;
  readonly end: number;
  /** What is being read, in the words of an error: `the type section`. */
  readonly where: string;
  at: number;

  constructor(bytes: Uint8Array, start: number, end: number, where: string) {
    this.bytes = bytes;
    this.at = start;
    this.end = end;
    this.where = where;
  }

  /** The refusal of what stands at `offset`; `what` continues the sentence that `where` begins. */
  refusal(what: string, offset: number = this.at): Error {
    return malformed(this.where, offset, what);
  }

  byte(): number {
    if (this.at >= this.end) throw this.refusal('ends in the middle of an entry');
    return this.bytes[this.at++]!;
  }

  /** The next byte, which stays; -1 at the end. */
  peek(): number {
    return this.at < this.end ? this.bytes[this.at]! : -1;
  }

  u32(): number {
    const start = this.at;
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.byte();
      if (shift === 28 && byte > 0x0f) break;
      value |= (byte & 0x7f) << shift;
      if (!(byte & 0x80)) return value >>> 0;
    }
    throw this.refusal('has a number that does not fit 32 bits', start);
  }

  /** A u64 as a number: exact up to 2^53, rounded above. */
  u64(): number {
    const start = this.at;
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 10; count++) {
      const byte = this.byte();
      if (count === 9 && byte > 0x01) break;
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
      if (!(byte & 0x80)) return value;
    }
    throw this.refusal('has a number that does not fit 64 bits', start);
  }

  s33(): number {
    const start = this.at;
    let value = 0;
    let factor = 1;
    for (let count = 0; count < 5; count++) {
      const byte = this.byte();
      if (count === 4 && byte > 0x0f && byte < 0x70) break;
      value += (byte & 0x7f) * factor;
      factor *= 0x80;
      if (!(byte & 0x80)) return byte & 0x40 ? value - factor : value;
    }
    throw this.refusal('has a number that does not fit 33 bits', start);
  }

  /**
   * How many entries follow. Refuses a count above `limit`, or one that the bytes left can't hold when
   * each entry takes at least `entryBytes`.
   */
  count(limit: number, entryBytes: number): number {
    const start = this.at;
    const count = this.u32();
    if (count > limit) throw this.refusal(`counts ${count} entries; the limit is ${limit}`, start);
    if (count * entryBytes > this.end - this.at) {
      throw this.refusal(`counts ${count} entries, more than its bytes can hold`, start);
    }
    return count;
  }

  /** Steps over `length` bytes and returns where they began. */
  skip(length: number): number {
    const start = this.at;
    if (length > this.end - start) throw this.refusal('ends in the middle of an entry', start);
    this.at = start + length;
    return start;
  }

  /** A name: u32 length in bytes, UTF-8. */
  name(): string {
    const length = this.u32();
    const start = this.skip(length);
    try {
      return utf8.decode(this.bytes.subarray(start, start + length));
    } catch {
      throw this.refusal('has a name that is not UTF-8', start);
    }
  }

  /** Refuses bytes that are left over. */
  finish(): void {
    if (this.at !== this.end) throw this.refusal('has bytes left over behind its last entry');
  }
}
