/**
 * Where what lies in the file of a pool's frames. Numbers are little-endian, offsets in bytes.
 *
 *   0      header, 4096 bytes:
 *            magic "STASFRMS" 0, format u32 8, page bytes u32 12, frames u32 16, buckets u32 20,
 *            id of the page file 16 bytes 24, inode of the page file u64 40, busy u32 48,
 *            newest frame u32 52, oldest frame u32 56, dirty frames u32 60,
 *            guest lock of who is overdue u32 64, of the last holder of the mutex u32 68,
 *            for each guest lock 1 to 64: whether a guest was there, u32 each, 128
 *   4096   buckets, u32 each: first frame of the chain + 1, or 0
 *   …      frames' entries, 64 bytes each (on a multiple of 64):
 *            word u64 0: version · 256 + VALID 1 + DIRTY 2 + OTHER 4
 *            page u32 8, writer u32 12 (guest lock, or 0), readers u64 16 (bit n: guest lock n + 1),
 *            newer u32 24, older u32 28, next in the chain u32 32 (frame + 1, or 0),
 *            next writer u32 36 (guest lock of who waits to change it, or 0)
 *   …      for each frame its own bytes (on a multiple of 4096), then for each frame its other bytes
 *
 * It is no format for keeping: whoever opens a pool alone makes the file anew.
 */

const TABLE_FORMAT = 1;
const MAGIC = Buffer.from('STASFRMS', 'latin1');
export const TABLE_HEADER_BYTES = 4096;
export const ENTRY_BYTES = 64;
const ALIGNED_BYTES = 4096;

export const AT = {
  id: 24,
  inode: 40,
  busy: 48,
  newest: 52,
  oldest: 56,
  dirty: 60,
  overdue: 64,
  last: 68,
  guests: 128,
} as const;
export const ENTRY = {
  word: 0,
  page: 8,
  writer: 12,
  readers: 16,
  newer: 24,
  older: 28,
  next: 32,
  waiter: 36,
} as const;

export const VALID = 1n;
export const DIRTY = 2n;
export const OTHER = 4n;
export const VERSION_SHIFT = 8n;

export const FRAMES_MIN = 8;
export const FRAMES_MAX = 262_144;
export const FRAMES_DEFAULT = 256;
/** Of all frames together, once: the file holds each twice. */
export const POOL_BYTES_MAX = 2 ** 30;

export interface TableShape {
  readonly pageBytes: number;
  readonly frames: number;
}

export interface TableIdentity extends TableShape {
  readonly id: Uint8Array;
  readonly inode: bigint;
}

export interface TableLayout {
  readonly buckets: number;
  readonly entriesAt: number;
  readonly ownAt: number;
  readonly otherAt: number;
  readonly totalBytes: number;
}

export function tableLayout({ pageBytes, frames }: TableShape): TableLayout {
  const buckets = 2 ** Math.ceil(Math.log2(frames));
  const entriesAt = rounded(TABLE_HEADER_BYTES + 4 * buckets, ENTRY_BYTES);
  const ownAt = rounded(entriesAt + ENTRY_BYTES * frames, ALIGNED_BYTES);
  const otherAt = rounded(ownAt + pageBytes * frames, ALIGNED_BYTES);
  const totalBytes = rounded(otherAt + pageBytes * frames, ALIGNED_BYTES);
  return { buckets, entriesAt, ownAt, otherAt, totalBytes };
}

/** What a table's first bytes say of it; null when they are not a table's of this format. */
export function readTableIdentity(header: Buffer): TableIdentity | null {
  if (header.length < AT.busy || MAGIC.compare(header, 0, MAGIC.length) !== 0) return null;
  if (header.readUInt32LE(8) !== TABLE_FORMAT) return null;
  return {
    pageBytes: header.readUInt32LE(12),
    frames: header.readUInt32LE(16),
    id: Buffer.from(header.subarray(AT.id, AT.id + 16)),
    inode: header.readBigUInt64LE(AT.inode),
  };
}

/** The first bytes of a new table. */
export function encodeTableHeader({ pageBytes, frames, id, inode }: TableIdentity): Buffer {
  const header = Buffer.alloc(AT.guests);
  MAGIC.copy(header, 0);
  header.writeUInt32LE(TABLE_FORMAT, 8);
  header.writeUInt32LE(pageBytes, 12);
  header.writeUInt32LE(frames, 16);
  header.writeUInt32LE(tableLayout({ pageBytes, frames }).buckets, 20);
  header.set(id, AT.id);
  header.writeBigUInt64LE(inode, AT.inode);
  return header;
}

function rounded(value: number, to: number): number {
  return Math.ceil(value / to) * to;
}
