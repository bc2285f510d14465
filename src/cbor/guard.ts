/**
 * The guard: walks CBOR bytes once, builds nothing, and refuses everything outside the subset of
 * `cbor.ts` before a decoder sees it.
 *
 * It keeps one small entry for each open container, so memory is bounded by the depth limit, and it never
 * recurses. Every step takes at least one byte, so time is bounded by the input.
 */
import { isUtf8 } from 'node:buffer';
import type { CborLimits } from './cbor.ts';
import { malformedCbor } from './malformed.ts';

const PROTO = Buffer.from('__proto__');
const CANONICAL_NAN = 0x7ff8000000000000n;

interface OpenContainer {
  /** Values still to come. */
  left: number;
  readonly isMap: boolean;
  /** Where the encoded bytes of the key before lie; empty at the first. */
  keyStart: number;
  keyEnd: number;
}

interface Cursor {
  readonly bytes: Uint8Array;
  readonly view: DataView;
  at: number;
}

/** What the guard learnt on its way. */
export interface GuardReport {
  /** There is an integer in the 64-bit form, which a decoder gives as a bigint whatever its value. */
  readonly wideIntegers: boolean;
}

/** Throws ERR_MALFORMED_CBOR with the byte where the first offence stands. */
export function guardCbor(bytes: Uint8Array, limits: CborLimits): GuardReport {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const cursor: Cursor = { bytes, view, at: 0 };
  const open: OpenContainer[] = [];
  let items = 0;
  let wideIntegers = false;
  do {
    const parent = open.at(-1);
    if (parent !== undefined) {
      parent.left--;
      if (parent.isMap) readKey(cursor, parent);
    }
    const start = cursor.at;
    if (++items > limits.itemsMax) throw malformedCbor(`more than ${limits.itemsMax} items`, start);
    const first = readByte(cursor);
    const major = first >> 5;
    if (major === 7) {
      checkSimpleOrFloat(cursor, first, start);
    } else if (major === 6) {
      throw malformedCbor('a tag', start);
    } else {
      const argument = readArgument(cursor, first, start);
      if (major <= 1) {
        if ((first & 31) === 27) wideIntegers = true;
        if (major === 1 && typeof argument === 'bigint' && argument > 0x7fffffffffffffffn) {
          throw malformedCbor('an integer below the signed 64-bit range', start);
        }
      } else if (major <= 3) {
        checkString(cursor, argument, major === 3, start);
      } else {
        // Each value takes a byte at least, and each key another.
        const left = cursor.bytes.length - cursor.at;
        if (typeof argument === 'bigint' || argument > (major === 5 ? left / 2 : left)) {
          throw malformedCbor('a container longer than the data', start);
        }
        if (open.length >= limits.depthMax) {
          throw malformedCbor(`values nested deeper than ${limits.depthMax}`, start);
        }
        open.push({ left: argument, isMap: major === 5, keyStart: 0, keyEnd: 0 });
      }
    }
    while (open.at(-1)?.left === 0) open.pop();
  } while (open.length > 0);
  if (cursor.at !== bytes.length) throw malformedCbor('bytes after the end', cursor.at);
  return { wideIntegers };
}

function readKey(cursor: Cursor, map: OpenContainer): void {
  const start = cursor.at;
  const first = readByte(cursor);
  if (first >> 5 !== 3) throw malformedCbor('a key that is not text', start);
  const argument = readArgument(cursor, first, start);
  const textStart = cursor.at;
  checkString(cursor, argument, true, start);
  const key = cursor.bytes.subarray(start, cursor.at);
  if (map.keyEnd > 0) {
    const order = Buffer.compare(cursor.bytes.subarray(map.keyStart, map.keyEnd), key);
    if (order === 0) throw malformedCbor('a key that stands twice', start);
    if (order > 0) throw malformedCbor('keys out of order', start);
  }
  if (Buffer.compare(cursor.bytes.subarray(textStart, cursor.at), PROTO) === 0) {
    throw malformedCbor('a key named __proto__', start);
  }
  map.keyStart = start;
  map.keyEnd = cursor.at;
}

/** Steps over a string's content. */
function checkString(
  cursor: Cursor,
  argument: number | bigint,
  text: boolean,
  start: number,
): void {
  if (typeof argument === 'bigint' || argument > cursor.bytes.length - cursor.at) {
    throw malformedCbor('a string longer than the data', start);
  }
  const end = cursor.at + argument;
  if (text && !isUtf8(cursor.bytes.subarray(cursor.at, end))) {
    throw malformedCbor('text that is not UTF-8', start);
  }
  cursor.at = end;
}

function checkSimpleOrFloat(cursor: Cursor, first: number, start: number): void {
  if (first === 0xf4 || first === 0xf5 || first === 0xf6) return;
  if (first !== 0xfb) throw malformedCbor('a simple value or float of another kind', start);
  need(cursor, 8);
  const value = cursor.view.getFloat64(cursor.at);
  if (Number.isNaN(value)) {
    if (cursor.view.getBigUint64(cursor.at) !== CANONICAL_NAN) {
      throw malformedCbor('a NaN that is not the one NaN', start);
    }
  } else if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    throw malformedCbor('an integer written as a float', start);
  }
  cursor.at += 8;
}

/** The argument of a head in its shortest form: number, or bigint beyond the safe integers. */
function readArgument(cursor: Cursor, first: number, start: number): number | bigint {
  const form = first & 31;
  if (form < 24) return form;
  if (form > 27) throw malformedCbor('an indefinite or reserved length', start);
  const size = 1 << (form - 24);
  need(cursor, size);
  const { view, at } = cursor;
  cursor.at += size;
  let argument: number;
  let shortest: number;
  if (form === 24) {
    argument = view.getUint8(at);
    shortest = 24;
  } else if (form === 25) {
    argument = view.getUint16(at);
    shortest = 0x100;
  } else if (form === 26) {
    argument = view.getUint32(at);
    shortest = 0x10000;
  } else {
    const wide = view.getBigUint64(at);
    if (wide > BigInt(Number.MAX_SAFE_INTEGER)) return wide;
    argument = Number(wide);
    shortest = 0x100000000;
  }
  if (argument < shortest)
    throw malformedCbor('a length or integer longer than it has to be', start);
  return argument;
}

function readByte(cursor: Cursor): number {
  need(cursor, 1);
  return cursor.bytes[cursor.at++]!;
}

function need(cursor: Cursor, bytes: number): void {
  if (bytes > cursor.bytes.length - cursor.at) {
    throw malformedCbor('it ends in the middle', cursor.bytes.length);
  }
}
