/**
 * A directory that a guest has open: one of its preopened ones, or one below.
 *
 * Invariants:
 * 1. `hostFd` is -1 exactly while the handle is quiesced or closed. A preopened directory's handle has
 *    a descriptor of its own, beside the grant's.
 */
import type { HandleFacts } from './handle-facts.ts';
import type { Listing } from './listing.ts';

export interface DirectoryHandle extends HandleFacts {
  readonly kind: 'directory';
  hostFd: number;
  /** Index of the grant it is, or below which it was opened. */
  readonly preopen: number;
  /** From there, as in `FileHandle`; empty for the granted directory itself. */
  path: string;
  /** The guest's name of a handle that it was started with (`fd_prestat_dir_name`), else null. */
  readonly preopenName: string | null;
  /** What `fd_readdir` numbers its cookies by; null until it is called. */
  listing: Listing | null;
}
