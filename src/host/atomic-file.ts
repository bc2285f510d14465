import { closeSync, fdatasyncSync, openSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { ioFailure } from '../fault/io-failure.ts';

/**
 * Makes `path` hold `parts`, one after the other, whole or not at all. `scratch` is a name in the same
 * directory that nobody else uses. Throws ERR_DISK_FULL, ERR_IO; then nothing was changed.
 */
export function writeWholeFile(path: string, scratch: string, parts: readonly Uint8Array[]): void {
  try {
    const fd = openSync(scratch, 'wx', 0o600);
    try {
      for (const part of parts) {
        for (let at = 0; at < part.length; ) at += writeSync(fd, part, at);
      }
      fdatasyncSync(fd);
    } finally {
      closeSync(fd);
    }
    renameSync(scratch, path);
  } catch (error) {
    try {
      unlinkSync(scratch);
    } catch {
      // It was never made, or is renamed already.
    }
    throw ioFailure('write into the state directory', error);
  }
}
