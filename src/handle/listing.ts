/**
 * The entries of a directory as `fd_readdir` counts them: cookie n is the n-th entry, from 0.
 *
 * Taken anew at cookie 0 and kept as it is until then, also through a checkpoint, so a cookie means the
 * same entry whatever happens to the directory.
 */
export interface Listing {
  /** Without `.` and `..`, which come before. Bytes as the host has them. */
  readonly names: readonly Uint8Array[];
  /** `filetype` of preview1 by entry. */
  readonly types: Uint8Array;
}
