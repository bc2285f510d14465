/**
 * The entries of a directory as `fd_readdir` counts them: cookie n is the n-th entry, from 0.
 *
 * Taken anew at cookie 0 and kept as it is until then, also through a checkpoint, so a cookie means the
 * same entry whatever happens to the directory. An entry that is gone by the time it is asked for is
 * passed over.
 */
import { type BigIntStats, type Dirent, readdirSync, type Stats } from 'node:fs';
import { FILETYPE } from '../abi/flags.ts';
import type { Anchor } from './anchor.ts';

export interface Listing {
  /** Without `.` and `..`, which come before. Bytes as the host has them. */
  readonly names: readonly Uint8Array[];
  /** `filetype` of preview1 by entry. */
  readonly types: Uint8Array;
}

/** Throws what Node throws. */
export function takeListing(anchor: Anchor): Listing {
  const entries = readdirSync(`${anchor.prefix}.`, { withFileTypes: true, encoding: 'buffer' });
  return {
    names: entries.map((entry) => entry.name),
    types: Uint8Array.from(entries, filetypeOf),
  };
}

/** `filetype` of preview1; what it has no name for, such as a pipe, is UNKNOWN. */
export function filetypeOf(entry: Stats | BigIntStats | Dirent<string | NonSharedBuffer>): number {
  if (entry.isFile()) return FILETYPE.REGULAR_FILE;
  if (entry.isDirectory()) return FILETYPE.DIRECTORY;
  if (entry.isSymbolicLink()) return FILETYPE.SYMBOLIC_LINK;
  if (entry.isCharacterDevice()) return FILETYPE.CHARACTER_DEVICE;
  if (entry.isBlockDevice()) return FILETYPE.BLOCK_DEVICE;
  if (entry.isSocket()) return FILETYPE.SOCKET_STREAM;
  return FILETYPE.UNKNOWN;
}
