/**
 * Where the command prints to.
 *
 * Node's streams for pipes and sockets set O_NONBLOCK on them, and leave it set. That flag belongs to the
 * open file description, which the guest and the user's other programs share: a `cat` on the same pipe
 * would fail. So those are written with plain blocking writes.
 */
import { fstatSync, writeSync } from 'node:fs';
import { Writable } from 'node:stream';
import { errorCode } from '../fault/io-failure.ts';

/** Between two attempts where somebody else has set the flag, and nobody reads. */
const AGAIN_MS = 5;

export function outputStream(fd: 1 | 2): NodeJS.WriteStream {
  const stats = fstatSync(fd);
  if (!stats.isFIFO() && !stats.isSocket()) return fd === 1 ? process.stdout : process.stderr;
  const stream = new Writable({
    write: (chunk: Uint8Array, _encoding, done) => {
      try {
        writeWhole(fd, chunk);
        done();
      } catch (error) {
        done(error as Error);
      }
    },
  });
  // What makes it one of these, a size and cursors, is of terminals alone.
  return Object.assign(stream, { fd, isTTY: false }) as unknown as NodeJS.WriteStream;
}

function writeWhole(fd: number, bytes: Uint8Array): void {
  for (let written = 0; written < bytes.length; ) {
    try {
      written += writeSync(fd, bytes, written);
    } catch (error) {
      if (errorCode(error) !== 'EAGAIN') throw error;
      Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, AGAIN_MS);
    }
  }
}
