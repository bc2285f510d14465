/**
 * Table section: u32 count, then that many of a reference type and limits, or of 0x40, 0x00, reference
 * type, limits and a constant expression that every entry begins as.
 */
import { ByteReader } from './byte-reader.ts';
import { type ByteRange, readConstantExpression } from './constant-expression.ts';
import { TABLES_MAX } from './limits.ts';
import { type Limits, readLimits, TABLE_FLAGS } from './limits-type.ts';
import { readReferenceType, type ValueType } from './read-value-type.ts';
import { SECTION, sectionName } from './section-id.ts';

export interface TableType extends Limits {
  /** What its entries are. */
  readonly type: ValueType;
}

export interface ModuleTable extends TableType {
  /** The constant expression that entries begin as; undefined: null. */
  readonly init: ByteRange | undefined;
  /** The entry's own bytes in the file. */
  readonly range: ByteRange;
}

const WITH_INIT = 0x40;

export function readTableSection(bytes: Uint8Array, start: number, end: number): ModuleTable[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.table));
  const tables: ModuleTable[] = [];
  const count = reader.count(TABLES_MAX, 3);
  for (let i = 0; i < count; i++) {
    const offset = reader.at;
    const hasInit = reader.peek() === WITH_INIT;
    if (hasInit) {
      reader.byte();
      if (reader.byte() !== 0) throw reader.refusal('has an unknown form of table', offset);
    }
    const type = readTableType(reader);
    const init = hasInit ? readConstantExpression(reader) : undefined;
    tables.push({ ...type, init, range: { start: offset, end: reader.at } });
  }
  reader.finish();
  return tables;
}

/** Reads a reference type and limits. */
export function readTableType(reader: ByteReader): TableType {
  const type = readReferenceType(reader);
  return { type, ...readLimits(reader, TABLE_FLAGS) };
}
