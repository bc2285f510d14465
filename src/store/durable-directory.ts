/**
 * Directories that are still there after a power cut.
 *
 * Invariant: whenever a directory is made, the name of the one above it is durable. So an attempt that ends
 * in the middle leaves one name at most that is not, and the next attempt begins with that one.
 */
import { dirname } from 'node:path';
import { errorCode } from '../fault/io-failure.ts';
import type { FilePort } from './file-port.ts';

/** Makes `path`, mode 0700, and what is missing above it. Rejects with the system's errors. */
export async function makeDurableDirectory(path: string, files: FilePort): Promise<void> {
  const missing: string[] = [];
  let there = path;
  while ((await files.look(there)) === null) {
    missing.push(there);
    there = dirname(there);
  }
  await syncIfAllowed(dirname(there), files);
  for (const directory of missing.toReversed()) {
    await files.makeDirectory(directory);
    await files.syncDirectory(dirname(directory));
  }
}

/** A directory above may be closed to us; then we have not made anything in it either. */
async function syncIfAllowed(directory: string, files: FilePort): Promise<void> {
  try {
    await files.syncDirectory(directory);
  } catch (error) {
    if (errorCode(error) !== 'EACCES') throw error;
  }
}
