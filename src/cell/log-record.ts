/**
 * One write of a guest in its run's log.
 *
 *   offset  size  what
 *   0       1     u8: 1 standard output, 2 standard error
 *   1       3     zero
 *   4       4     u32 little-endian: bytes of text, n; at most LOG_TEXT_BYTES_MAX
 *   8       8     u64 little-endian: when, nanoseconds since 1970-01-01 UTC
 *   16      n     the bytes that the guest wrote
 *
 * Invariants:
 * 1. Records are only appended, each with one write. The last one may be cut short by a crash.
 * 2. A log is written by a cell, so a reader trusts none of its fields.
 */
export const LOG_HEADER_BYTES = 16;
export const LOG_TEXT_BYTES_MAX = 0x7fff_ffff;

export interface LogHeader {
  readonly stream: 1 | 2;
  readonly textBytes: number;
  readonly timeNs: bigint;
}

/** Writes a header into `into`, which holds at least LOG_HEADER_BYTES. */
export function writeLogHeader(into: DataView, header: LogHeader): void {
  into.setUint32(0, header.stream, true);
  into.setUint32(4, header.textBytes, true);
  into.setBigUint64(8, header.timeNs, true);
}

/** The header at `offset`, or null when no header can look like this. */
export function readLogHeader(from: DataView, offset: number): LogHeader | null {
  const stream = from.getUint32(offset, true);
  const textBytes = from.getUint32(offset + 4, true);
  if ((stream !== 1 && stream !== 2) || textBytes > LOG_TEXT_BYTES_MAX) return null;
  return { stream, textBytes, timeNs: from.getBigUint64(offset + 8, true) };
}
