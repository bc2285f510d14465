/**
 * A directory that a guest has open: one of its preopened ones, or one below.
 *
 * Invariants:
 * 1. `anchor` is null exactly while the handle is quiesced or closed. A preopened directory's handle has
 *    an anchor of its own, beside the grant's.
 * 2. `readOnly` is true wherever the grant is read-only; it may be true where the grant isn't.
 */
import { assert } from '../fault/assert.ts';
import { type Anchor, closeAnchor } from './anchor.ts';
import type { HandleFacts } from './handle-facts.ts';
import type { Listing } from './listing.ts';
import type { Preopen } from './preopens.ts';

export interface DirectoryHandle extends HandleFacts {
  readonly kind: 'directory';
  anchor: Anchor | null;
  readonly preopen: Preopen;
  /** From the preopened directory, as in `FileHandle`; empty for the granted directory itself. */
  path: string;
  /** The guest's name of a handle that it was started with (`fd_prestat_dir_name`), else null. */
  readonly preopenName: string | null;
  readonly readOnly: boolean;
  /** What `fd_readdir` numbers its cookies by; null until it is called. */
  listing: Listing | null;
}

/** The open directory, in a call of the guest: nothing is quiesced then. */
export function anchorOf(directory: DirectoryHandle): Anchor {
  assert(directory.anchor !== null, 'a guest calls only while its handles are held');
  return directory.anchor;
}

export function closeDirectory(directory: DirectoryHandle): void {
  if (directory.anchor !== null) closeAnchor(directory.anchor);
  directory.anchor = null;
}
