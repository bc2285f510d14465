/** Global section: u32 count, then the type, mutability and first value of each global. */
import { ByteReader } from './byte-reader.ts';
import { type ByteRange, readConstantExpression } from './constant-expression.ts';
import { GLOBALS_MAX } from './limits.ts';
import { readValueType, type ValueType } from './read-value-type.ts';
import { SECTION, sectionName } from './section-id.ts';

export interface GlobalType {
  readonly type: ValueType;
  readonly mutable: boolean;
}

export interface ModuleGlobal extends GlobalType {
  /** The constant expression that it begins as, `end` included. */
  readonly init: ByteRange;
}

export function readGlobalSection(bytes: Uint8Array, start: number, end: number): ModuleGlobal[] {
  const reader = new ByteReader(bytes, start, end, sectionName(SECTION.global));
  const globals: ModuleGlobal[] = [];
  const count = reader.count(GLOBALS_MAX, 3);
  for (let i = 0; i < count; i++) {
    const { type, mutable } = readGlobalType(reader);
    globals.push({ type, mutable, init: readConstantExpression(reader) });
  }
  reader.finish();
  return globals;
}

/** Reads a value type and a mutability. */
export function readGlobalType(reader: ByteReader): GlobalType {
  const type = readValueType(reader);
  const offset = reader.at;
  const mutability = reader.byte();
  if (mutability > 1) throw reader.refusal('has an unknown mutability', offset);
  return { type, mutable: mutability === 1 };
}
