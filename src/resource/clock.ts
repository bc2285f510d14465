/**
 * A guest's clocks: the host's, with the monotonic ones shifted so that they go on across a restart.
 *
 * Invariants:
 * 1. The monotonic and the processor clock of a guest never go back, in all of its runs together.
 * 2. The time between a checkpoint and a restart does not pass on them. It does on the wall clock.
 */
export interface Clock {
  /** Nanoseconds since 1970-01-01T00:00Z. */
  realtimeNs(): bigint;
  /** Nanoseconds since a moment that is not told. */
  monotonicNs(): bigint;
  /** Nanoseconds of processor time that the guest used. */
  cpuNs(): bigint;
  readonly resolutionNs: bigint;
}
