/**
 * The writer of the subset that `cbor.ts` describes.
 */
import { type CborValue, DEFAULT_CBOR_LIMITS, LARGEST_INTEGER, SMALLEST_INTEGER } from './cbor.ts';
import { malformedCbor } from './malformed.ts';

const UNSIGNED = 0x00;
const NEGATIVE = 0x20;
const BYTES = 0x40;
const TEXT = 0x60;
const ARRAY = 0x80;
const MAP = 0xa0;
const FALSE = 0xf4;
const TRUE = 0xf5;
const NULL = 0xf6;
const FLOAT64 = 0xfb;

interface Sink {
  buffer: Buffer;
  length: number;
}

/**
 * `value` as deterministic CBOR, in bytes of its own.
 *
 * Throws ERR_MALFORMED_CBOR for what the subset can't carry: a value of another type, a bigint beyond 64
 * bits, text with a lone surrogate, a `__proto__` key, nesting beyond the default depth (cycles too).
 */
export function encodeCbor(value: CborValue): Uint8Array {
  const sink: Sink = { buffer: Buffer.allocUnsafe(256), length: 0 };
  writeValue(sink, value, 0);
  return new Uint8Array(sink.buffer.subarray(0, sink.length));
}

function writeValue(sink: Sink, value: CborValue, depth: number): void {
  if (value === null) writeByte(sink, NULL);
  else if (value === false) writeByte(sink, FALSE);
  else if (value === true) writeByte(sink, TRUE);
  else if (typeof value === 'number') writeNumber(sink, value);
  else if (typeof value === 'bigint') writeBigint(sink, value);
  else if (typeof value === 'string') writeText(sink, value);
  else if (value instanceof Uint8Array) writeBytes(sink, value);
  else if (typeof value === 'object') writeContainer(sink, value, depth + 1);
  else throw malformedCbor(`a value of type ${typeof value} can't be written`);
}

function writeContainer(
  sink: Sink,
  value: readonly CborValue[] | { readonly [key: string]: CborValue },
  depth: number,
): void {
  if (depth > DEFAULT_CBOR_LIMITS.depthMax) {
    throw malformedCbor(
      `values nested deeper than ${DEFAULT_CBOR_LIMITS.depthMax} can't be written`,
    );
  }
  if (isArray(value)) {
    writeHead(sink, ARRAY, value.length);
    for (let index = 0; index < value.length; index++) writeValue(sink, value[index]!, depth);
    return;
  }
  const prototype = Object.getPrototypeOf(value);
  if (prototype !== Object.prototype && prototype !== null) {
    throw malformedCbor("an object of a class can't be written");
  }
  const entries = Object.keys(value).map((key) => ({ key, bytes: encodeText(key) }));
  // Encoded keys begin with their length, so bytewise order is length first.
  entries.sort((a, b) => a.bytes.length - b.bytes.length || Buffer.compare(a.bytes, b.bytes));
  writeHead(sink, MAP, entries.length);
  for (const { key, bytes } of entries) {
    if (key === '__proto__') throw malformedCbor("a key named __proto__ can't be written");
    writeHead(sink, TEXT, bytes.length);
    append(sink, bytes);
    writeValue(sink, value[key]!, depth);
  }
}

/** `Array.isArray` does not narrow a readonly array. */
function isArray(value: object): value is readonly CborValue[] {
  return Array.isArray(value);
}

function writeNumber(sink: Sink, value: number): void {
  if (Number.isSafeInteger(value) && !Object.is(value, -0)) {
    if (value >= 0) writeHead(sink, UNSIGNED, value);
    else writeHead(sink, NEGATIVE, -1 - value);
    return;
  }
  reserve(sink, 9);
  sink.buffer[sink.length] = FLOAT64;
  // A NaN is written as a literal: which NaN an engine stores is its own choice.
  if (Number.isNaN(value)) sink.buffer.writeBigUInt64BE(0x7ff8000000000000n, sink.length + 1);
  else sink.buffer.writeDoubleBE(value, sink.length + 1);
  sink.length += 9;
}

function writeBigint(sink: Sink, value: bigint): void {
  if (value < SMALLEST_INTEGER || value > LARGEST_INTEGER) {
    throw malformedCbor("an integer of more than 64 bits can't be written");
  }
  const magnitude = value >= 0n ? value : -1n - value;
  const major = value >= 0n ? UNSIGNED : NEGATIVE;
  if (magnitude <= BigInt(Number.MAX_SAFE_INTEGER)) {
    writeHead(sink, major, Number(magnitude));
    return;
  }
  reserve(sink, 9);
  sink.buffer[sink.length] = major | 27;
  sink.buffer.writeBigUInt64BE(magnitude, sink.length + 1);
  sink.length += 9;
}

function writeText(sink: Sink, value: string): void {
  const bytes = encodeText(value);
  writeHead(sink, TEXT, bytes.length);
  append(sink, bytes);
}

function encodeText(value: string): Buffer {
  // A lone surrogate has no UTF-8; replacing it would make two different texts one.
  if (!value.isWellFormed()) throw malformedCbor("text with a lone surrogate can't be written");
  return Buffer.from(value, 'utf8');
}

function writeBytes(sink: Sink, value: Uint8Array): void {
  writeHead(sink, BYTES, value.length);
  append(sink, value);
}

/** Major type and argument, in the shortest form. `argument` is a safe integer, 0 or more. */
function writeHead(sink: Sink, major: number, argument: number): void {
  reserve(sink, 9);
  const { buffer } = sink;
  const at = sink.length;
  if (argument < 24) {
    buffer[at] = major | argument;
    sink.length += 1;
  } else if (argument < 0x100) {
    buffer[at] = major | 24;
    buffer[at + 1] = argument;
    sink.length += 2;
  } else if (argument < 0x10000) {
    buffer[at] = major | 25;
    buffer.writeUInt16BE(argument, at + 1);
    sink.length += 3;
  } else if (argument < 0x100000000) {
    buffer[at] = major | 26;
    buffer.writeUInt32BE(argument, at + 1);
    sink.length += 5;
  } else {
    buffer[at] = major | 27;
    buffer.writeUInt32BE(Math.floor(argument / 0x100000000), at + 1);
    buffer.writeUInt32BE(argument % 0x100000000, at + 5);
    sink.length += 9;
  }
}

function writeByte(sink: Sink, byte: number): void {
  reserve(sink, 1);
  sink.buffer[sink.length++] = byte;
}

function append(sink: Sink, bytes: Uint8Array): void {
  reserve(sink, bytes.length);
  sink.buffer.set(bytes, sink.length);
  sink.length += bytes.length;
}

function reserve(sink: Sink, bytes: number): void {
  if (sink.length + bytes <= sink.buffer.length) return;
  const grown = Buffer.allocUnsafe(Math.max(sink.buffer.length * 2, sink.length + bytes));
  sink.buffer.copy(grown, 0, 0, sink.length);
  sink.buffer = grown;
}
