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

/** Takes what is there, if nothing is at hand yet; says whether a read would come back at once. */
export function fillStdin(stdin: StdinHandle): 'ready' | 'empty' | 'failed' {
  if (stdin.unread.length > 0 || stdin.ended) return 'ready';
  const taken = stdin.source.read(UNREAD_BYTES_MAX);
  if (taken === 'empty' || taken === 'failed') return taken;
  if (taken === 'end') stdin.ended = true;
  else stdin.unread = taken.slice();
  return 'ready';
}
