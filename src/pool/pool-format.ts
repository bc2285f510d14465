/**
 * The page file and its journal, by offset. All numbers little-endian. docs/format/pool.md says the same
 * for readers outside of this program.
 *
 * Page file
 *   0       64  header: magic "STASPOOL" 0, format u32 8, page bytes u32 12, id 16 bytes 16,
 *               zeros 32, CRC-32 of the 60 bytes before u32 60
 *   4096    …   records, one after the other: page n at 4096 + n · (16 + page bytes)
 *   record      CRC-32 u32 0, zero u32 4, version u64 8, the page's bytes 16
 *
 * Journal
 *   0       64  header: magic "STASPJNL" 0, format u32 8, page bytes u32 12, id 16 bytes 16,
 *               count u32 32, CRC-32 of all records' CRCs u32 36, zeros 40, CRC-32 u32 60
 *   64      …   count entries, one after the other: page number u32 0, zero u32 4, then a record as above
 *
 * Invariants:
 * 1. A record's CRC covers page number, version and bytes; a record of zeros alone is a page that was
 *    never written: version 0, all zeros. So a file may end anywhere, and may have holes.
 * 2. A journal counts only when its header, its chain and each of its records are whole and its id is the
 *    page file's. Anything else is a batch that was never finished, and is ignored.
 * 3. A page's version counts its changes. It never goes back.
 */
import { crc32 } from 'node:zlib';

export const POOL_FORMAT = 1;
export const HEADER_BYTES = 64;
export const RECORDS_AT = 4096;
export const RECORD_HEAD_BYTES = 16;
export const ENTRY_HEAD_BYTES = 8;
export const ID_BYTES = 16;
export const PAGE_BYTES_MIN = 1024;
export const PAGE_BYTES_MAX = 65_536;
export const PAGE_BYTES_DEFAULT = 4096;
/** A page file of the smallest pages can be this long; of the largest, 256 TiB in name only. */
export const PAGES_LIMIT = 2 ** 32 - 1;

const PAGE_FILE_MAGIC = Buffer.from('STASPOOL', 'latin1');
const JOURNAL_MAGIC = Buffer.from('STASPJNL', 'latin1');
const CRC_AT = 60;

export function isPageBytes(value: number): boolean {
  const inRange = value >= PAGE_BYTES_MIN && value <= PAGE_BYTES_MAX;
  return Number.isInteger(value) && inRange && (value & (value - 1)) === 0;
}

export interface PageFileHeader {
  readonly pageBytes: number;
  readonly id: Uint8Array;
}

export function encodeHeader({ pageBytes, id }: PageFileHeader): Buffer {
  const bytes = begun(PAGE_FILE_MAGIC, pageBytes, id);
  return closed(bytes);
}

/** What a header says, or why it is none: `foreign` (not ours), `version`, `damaged`. */
export function decodeHeader(bytes: Buffer): PageFileHeader | 'foreign' | 'version' | 'damaged' {
  const found = opened(bytes, PAGE_FILE_MAGIC);
  if (typeof found === 'string') return found;
  return isPageBytes(found.pageBytes) ? found : 'damaged';
}

export interface JournalHeader extends PageFileHeader {
  readonly count: number;
  readonly chain: number;
}

export function encodeJournalHeader({ pageBytes, id, count, chain }: JournalHeader): Buffer {
  const bytes = begun(JOURNAL_MAGIC, pageBytes, id);
  bytes.writeUInt32LE(count, 32);
  bytes.writeUInt32LE(chain, 36);
  return closed(bytes);
}

/** null: not a whole header. */
export function decodeJournalHeader(bytes: Buffer): JournalHeader | null {
  const found = opened(bytes, JOURNAL_MAGIC);
  if (typeof found === 'string') return null;
  return { ...found, count: bytes.readUInt32LE(32), chain: bytes.readUInt32LE(36) };
}

function begun(magic: Buffer, pageBytes: number, id: Uint8Array): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES);
  magic.copy(bytes, 0);
  bytes.writeUInt32LE(POOL_FORMAT, 8);
  bytes.writeUInt32LE(pageBytes, 12);
  bytes.set(id, 16);
  return bytes;
}

function closed(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(0, CRC_AT)), CRC_AT);
  return bytes;
}

function opened(bytes: Buffer, magic: Buffer): PageFileHeader | 'foreign' | 'version' | 'damaged' {
  if (bytes.length < HEADER_BYTES || magic.compare(bytes, 0, magic.length) !== 0) return 'foreign';
  // Before the checksum: a later format may have put it elsewhere.
  if (bytes.readUInt32LE(8) !== POOL_FORMAT) return 'version';
  if (crc32(bytes.subarray(0, CRC_AT)) !== bytes.readUInt32LE(CRC_AT)) return 'damaged';
  return { pageBytes: bytes.readUInt32LE(12), id: Buffer.from(bytes.subarray(16, 16 + ID_BYTES)) };
}

export function recordAt(page: number, pageBytes: number): number {
  return RECORDS_AT + page * (RECORD_HEAD_BYTES + pageBytes);
}

/** Writes CRC and version into the head of `record`, whose bytes are in place. Returns the CRC. */
export function sealRecord(record: Buffer, page: number, version: bigint): number {
  record.writeUInt32LE(0, 4);
  record.writeBigUInt64LE(version, 8);
  const crc = recordCrc(record, page);
  record.writeUInt32LE(crc, 0);
  return crc;
}

/** The version of a record as it was read; null when it is damaged. */
export function recordVersion(record: Buffer, page: number): bigint | null {
  const version = record.readBigUInt64LE(8);
  const crc = record.readUInt32LE(0);
  if (crc === recordCrc(record, page) && record.readUInt32LE(4) === 0) return version;
  return crc === 0 && version === 0n && isZero(record) ? 0n : null;
}

function recordCrc(record: Buffer, page: number): number {
  return crc32(record.subarray(8), page);
}

function isZero(bytes: Buffer): boolean {
  return bytes.every((byte) => byte === 0);
}
