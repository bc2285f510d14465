/** A guest's stdout or stderr. */
import type { OutputSink } from './grants.ts';
import type { HandleFacts } from './handle-facts.ts';

export interface OutputHandle extends HandleFacts {
  readonly kind: 'output';
  readonly stream: 'stdout' | 'stderr';
  readonly sink: OutputSink;
}
