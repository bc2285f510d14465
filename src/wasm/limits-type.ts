/** The size limits of tables and memories. */
import type { ByteReader } from './byte-reader.ts';

export interface Limits {
  /** Entries or pages. Exact up to 2^53. */
  readonly min: number;
  /** Undefined where the module states none. */
  readonly max: number | undefined;
  readonly shared: boolean;
  /** Whether addresses are i64. */
  readonly is64: boolean;
  /** Log2 of a page's bytes, where the module states one. */
  readonly pageLog2: number | undefined;
}

const HAS_MAX = 0x01;
const SHARED = 0x02;
const IS_64 = 0x04;
const HAS_PAGE_SIZE = 0x08;

/** Reads flags, minimum, maximum and page size. `allowed`: the flag bits that mean something here. */
export function readLimits(reader: ByteReader, allowed: number): Limits {
  const offset = reader.at;
  const flags = reader.byte();
  if ((flags & ~allowed) !== 0) {
    throw reader.refusal(`has unknown limit flags 0x${flags.toString(16)}`, offset);
  }
  const is64 = (flags & IS_64) !== 0;
  const min = is64 ? reader.u64() : reader.u32();
  const max = (flags & HAS_MAX) === 0 ? undefined : is64 ? reader.u64() : reader.u32();
  const pageLog2 = (flags & HAS_PAGE_SIZE) === 0 ? undefined : reader.u32();
  return { min, max, shared: (flags & SHARED) !== 0, is64, pageLog2 };
}

/** Flags of a table: maximum, shared, 64-bit. */
export const TABLE_FLAGS = HAS_MAX | SHARED | IS_64;
/** Flags of a memory: as a table's, and a page size. */
export const MEMORY_FLAGS = TABLE_FLAGS | HAS_PAGE_SIZE;
