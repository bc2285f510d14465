/**
 * A guest's stdin: bytes that come when they come.
 *
 * Invariant: bytes taken from the source are the guest's. They are in `unread` until it reads them.
 */
import type { StdinSource } from './grants.ts';
import type { HandleFacts } from './handle-facts.ts';

export interface StdinHandle extends HandleFacts {
  readonly kind: 'stdin';
  readonly source: StdinSource;
  unread: Uint8Array;
  /** The source said that there is no more; it is not asked again. */
  ended: boolean;
}

/** At most so much is taken from the source before the guest asks for it. */
export const UNREAD_BYTES_MAX = 65_536;
const ahead = new Uint8Array(UNREAD_BYTES_MAX);

/**
 * Takes what is there, if nothing is at hand yet; says whether a read would come back at once. For a
 * guest that waits for input: one that reads gets it from the source, and nothing is read ahead.
 */
export function fillStdin(stdin: StdinHandle): 'ready' | 'empty' | 'failed' {
  if (stdin.unread.length > 0 || stdin.ended) return 'ready';
  const taken = stdin.source.read(ahead);
  if (taken === 'empty' || taken === 'failed') return taken;
  if (taken === 'end') stdin.ended = true;
  else stdin.unread = ahead.slice(0, taken);
  return 'ready';
}

/** Reads into `into`, which has room for at least 1: bytes read, 0 at the end. */
export function readStdin(stdin: StdinHandle, into: Uint8Array): number | 'empty' | 'failed' {
  const { unread } = stdin;
  if (unread.length > 0) {
    const taken = unread.subarray(0, into.length);
    into.set(taken);
    stdin.unread = unread.subarray(taken.length);
    return taken.length;
  }
  if (stdin.ended) return 0;
  const taken = stdin.source.read(into);
  if (taken !== 'end') return taken;
  stdin.ended = true;
  return 0;
}
