/**
 * A regular file that a guest has open below one of its preopened directories.
 *
 * Invariants:
 * 1. `offsetBytes` is the guest's own offset: every read and write says where it happens, so the host's
 *    descriptor can be closed and opened again at any time.
 * 2. `hostFd` is -1 exactly while the handle is quiesced or closed.
 */
import type { HandleFacts } from './handle-facts.ts';

export interface FileHandle extends HandleFacts {
  readonly kind: 'file';
  hostFd: number;
  /** Index of the grant below which it was opened. */
  readonly preopen: number;
  /** From there, `/` between components, no `.`, `..` or symbolic link, as it was when opened. */
  path: string;
  offsetBytes: number;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Written since it was last made durable. */
  unsynced: boolean;
}
