/**
 * How much of each a guest may have or ask for. Of a bound that is part of what the system's own calls mean
 * (a full table of handles is EMFILE), a guest is told by an errno, as any program is; it ends only when it
 * does not take the errno for an answer, or asks for what no program does: docs/limits.md.
 */

/** What a user may set. */
export interface Bounds {
  /** Handles open at once. */
  readonly handles: number;
  /** Files and directories that it opened, among the handles. */
  readonly files: number;
  /** What one call for randomness may ask for. */
  readonly randomCallBytes: number;
  /** What the host keeps on its disk for the guest alone: private files and what undoes changes. */
  readonly privateBytes: number;
  /** Checkpoints that it asks for itself in one run. */
  readonly checkpoints: number;
}

export const BOUNDS_DEFAULT: Bounds = {
  handles: 1024,
  files: 1024,
  randomCallBytes: 256 * 2 ** 20,
  privateBytes: 2 ** 30,
  checkpoints: 1000,
};

/** A cell has no more than 8,192 descriptors, and some handles take two. */
export const HANDLES_LIMIT = 4000;

/**
 * So often in a row a guest may ask for a handle that it can't have, without giving one back: a server that
 * has all its connections open may ask for the next one for a while.
 */
export const REFUSALS_MAX = 10_000;

/** Longer paths, more iovecs and more subscriptions in one call are an error below, and the end beyond. */
export const CALL_ITEMS_MAX = 65_536;
