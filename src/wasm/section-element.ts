/**
 * Element section: u32 count, then that many segments of references for tables.
 *
 * A segment begins with u32 flags: bit 0: passive or declarative; bit 1: declarative, or for an active
 * one: with a table index; bit 2: constant expressions instead of function indices.
 *
 * | flags | then |
 * |---|---|
 * | 0 | offset, function indices, into table 0 |
 * | 1 | kind byte 0, function indices |
 * | 2 | table, offset, kind byte 0, function indices |
 * | 3 | kind byte 0, function indices: declarative |
 * | 4 | offset, expressions, into table 0 |
 * | 5 | reference type, expressions |
 * | 6 | table, offset, reference type, expressions |
 * | 7 | reference type, expressions: declarative |
 */
import { ByteReader } from './byte-reader.ts';
import { type ByteRange, readConstantExpression } from './constant-expression.ts';
import { ELEMENT_SEGMENTS_MAX, ELEMENTS_MAX } from './limits.ts';
import { readReferenceType, type ValueType } from './read-value-type.ts';
import { SECTION, sectionName } from './section-id.ts';
import { FUNCREF } from './value-type.ts';

export interface ElementSegment {
  readonly mode: 'active' | 'passive' | 'declarative';
  /** The table that an active segment goes to; 0 otherwise. */
  readonly table: number;
  /** Constant expression: where in the table an active segment goes. */
  readonly offset: ByteRange | undefined;
  readonly type: ValueType;
  readonly length: number;
  /** Function indices, where the segment lists functions. */
  readonly functions: Uint32Array | undefined;
  /** Otherwise each entry's constant expression: its start and its end, by turns. */
  readonly expressions: Uint32Array | undefined;
  /** The segment's own bytes in the file, flags included. */
  readonly range: ByteRange;
}

const NOT_ACTIVE = 1;
const EXPLICIT = 2;
const EXPRESSIONS = 4;

export function readElementSection(
  bytes: Uint8Array,
  start: number,
  end: number,
): ElementSegment[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.element));
  const segments: ElementSegment[] = [];
  const count = reader.count(ELEMENT_SEGMENTS_MAX, 3);
  for (let i = 0; i < count; i++) segments.push(readSegment(reader));
  reader.finish();
  return segments;
}

function readSegment(reader: ByteReader): ElementSegment {
  const start = reader.at;
  const flags = reader.u32();
  if (flags > 7) throw reader.refusal(`has unknown segment flags ${flags}`, start);
  const active = (flags & NOT_ACTIVE) === 0;
  const table = active && flags & EXPLICIT ? reader.u32() : 0;
  const offset = active ? readConstantExpression(reader) : undefined;
  const hasExpressions = (flags & EXPRESSIONS) !== 0;
  const type = (flags & (NOT_ACTIVE | EXPLICIT)) === 0 ? FUNCREF : readType(reader, hasExpressions);
  const length = reader.count(ELEMENTS_MAX, 1);
  const functions = hasExpressions ? undefined : readFunctions(reader, length);
  const expressions = hasExpressions ? readExpressions(reader, length) : undefined;
  return {
    mode: active ? 'active' : flags & EXPLICIT ? 'declarative' : 'passive',
    table,
    offset,
    type,
    length,
    functions,
    expressions,
    range: { start, end: reader.at },
  };
}

function readType(reader: ByteReader, hasExpressions: boolean): ValueType {
  if (hasExpressions) return readReferenceType(reader);
  const offset = reader.at;
  if (reader.byte() !== 0) throw reader.refusal('has an unknown kind of element', offset);
  return FUNCREF;
}

function readFunctions(reader: ByteReader, length: number): Uint32Array {
  const functions = new Uint32Array(length);
  for (let i = 0; i < length; i++) functions[i] = reader.u32();
  return functions;
}

function readExpressions(reader: ByteReader, length: number): Uint32Array {
  const expressions = new Uint32Array(length * 2);
  for (let i = 0; i < length; i++) {
    const { start, end } = readConstantExpression(reader);
    expressions[i * 2] = start;
    expressions[i * 2 + 1] = end;
  }
  return expressions;
}
