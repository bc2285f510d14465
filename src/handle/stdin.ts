/** A guest's stdin: bytes that come when they come. */
import type { StdinSource } from './grants.ts';
import type { HandleFacts } from './handle-facts.ts';

export interface StdinHandle extends HandleFacts {
  readonly kind: 'stdin';
  readonly source: StdinSource;
  /** Taken from the source, not yet read by the guest. */
  unread: Uint8Array;
  /** The source said that there is no more; it is not asked again. */
  ended: boolean;
}
