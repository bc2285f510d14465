/** What a guest wrote, as its log has it. */
import { LOG_HEADER_BYTES, readLogHeader } from '../../src/cell/log-record.ts';

export interface Streams {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** The two streams of a log, each as it was written. */
export function readStreams(log: Buffer): Streams {
  const parts: Record<1 | 2, Buffer[]> = { 1: [], 2: [] };
  const view = new DataView(log.buffer, log.byteOffset, log.length);
  for (let at = 0; at < log.length; ) {
    const found = readLogHeader(view, at);
    if (found === null) throw new Error(`no record at byte ${at} of the log`);
    at += LOG_HEADER_BYTES + found.textBytes;
    parts[found.stream].push(log.subarray(at - found.textBytes, at));
  }
  return { stdout: Buffer.concat(parts[1]), stderr: Buffer.concat(parts[2]) };
}
