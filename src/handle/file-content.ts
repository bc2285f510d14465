/**
 * What a file holds, as it goes into an image: its size, and the parts that are not zero.
 *
 * Invariants:
 * 1. Parts are ascending, apart from each other, not empty, and end within the size.
 * 2. Never more bytes are taken than `Allowance` has left, and never is much more looked at than that:
 *    a file of zeros without end costs a guest nothing.
 */
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import {
  arrayOf,
  bytes,
  integer,
  mapOf,
  mismatch,
  type Shape,
  type ShapeOf,
  tupleOf,
} from '../cbor/shape.ts';

const BLOCK_BYTES = 65_536;
/** Beyond so many times what may be taken, a file is not even read. */
const SPARSE_FACTOR = 64;

const contentFields = mapOf({
  sizeBytes: integer(0),
  parts: arrayOf(tupleOf(integer(0), bytes(1))),
});

export type FileContent = ShapeOf<typeof contentFields>;

export const fileContentShape: Shape<FileContent> = (value) => {
  const content = contentFields(value);
  let free = 0;
  for (const [start, part] of content.parts) {
    if (start < free || start + part.length > content.sizeBytes) {
      throw mismatch('ascending parts within the size of the file');
    }
    free = start + part.length;
  }
  return content;
};

/** How many bytes of files may still go into an image. */
export interface Allowance {
  leftBytes: number;
  readonly totalBytes: number;
}

export function newAllowance(totalBytes: number): Allowance {
  return { leftBytes: totalBytes, totalBytes };
}

/** What the open file `fd`, readable, holds; null when that is more than is left. Throws what Node throws. */
export function readContent(fd: number, allowance: Allowance): FileContent | null {
  const sizeBytes = fstatSync(fd).size;
  if (sizeBytes > allowance.totalBytes * SPARSE_FACTOR) return null;
  const parts: [number, Uint8Array][] = [];
  const block = new Uint8Array(BLOCK_BYTES);
  let gathered: Uint8Array[] = [];
  let begin = 0;
  const finishPart = () => {
    if (gathered.length > 0) parts.push([begin, Buffer.concat(gathered)]);
    gathered = [];
  };
  for (let at = 0; at < sizeBytes; ) {
    const read = readSync(fd, block, 0, Math.min(BLOCK_BYTES, sizeBytes - at), at);
    if (read === 0) break;
    if (block.subarray(0, read).every((byte) => byte === 0)) {
      finishPart();
    } else {
      if (gathered.length === 0) begin = at;
      gathered.push(block.slice(0, read));
      allowance.leftBytes -= read;
      if (allowance.leftBytes < 0) return null;
    }
    at += read;
  }
  finishPart();
  return { sizeBytes, parts };
}

/** Makes the open file `fd`, which is empty, hold `content`. Throws what Node throws. */
export function writeContent(fd: number, content: FileContent): void {
  for (const [start, part] of content.parts) {
    for (let done = 0; done < part.length; ) {
      done += writeSync(fd, part, done, part.length - done, start + done);
    }
  }
  ftruncateSync(fd, content.sizeBytes);
}
