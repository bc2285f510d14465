/**
 * Copying between open files, so that nobody can put a link in the way meanwhile.
 */
import { chmodSync, closeSync, constants, fstatSync, openSync, readSync, writeSync } from 'node:fs';

const CHUNK_BYTES = 2 ** 20;

/**
 * Makes the file `to`, which must not exist, a copy of the regular file `from`, neither being a link.
 * Throws what Node throws.
 */
export function copyFile(from: string, to: string): void {
  const reader = openSync(from, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    const flags = constants.O_WRONLY | constants.O_CREAT | constants.O_EXCL;
    const writer = openSync(to, flags, 0o600);
    try {
      copyContents(reader, writer);
    } finally {
      closeSync(writer);
    }
  } finally {
    closeSync(reader);
  }
}

/** Sets the mode of the file or directory `path`, which must not be a link. Throws what Node throws. */
export function setMode(path: string, mode: number): void {
  const fd = openSync(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK);
  try {
    if ((fstatSync(fd).mode & 0o7777) !== mode) chmodSync(`/proc/self/fd/${fd}`, mode);
  } finally {
    closeSync(fd);
  }
}

/** Of the open file `reader` to the open, empty one `writer`. Throws what Node throws. */
export function copyContents(reader: number, writer: number): void {
  const chunk = new Uint8Array(CHUNK_BYTES);
  for (let at = 0; ; ) {
    const read = readSync(reader, chunk, 0, CHUNK_BYTES, at);
    if (read === 0) return;
    for (let done = 0; done < read; ) {
      done += writeSync(writer, chunk, done, read - done, at + done);
    }
    at += read;
  }
}
