/**
 * A guest's clocks: the host's, with the monotonic ones shifted so that they go on across a restart.
 *
 * Invariants:
 * 1. The monotonic and the processor clock of a guest never go back, in all of its runs together.
 * 2. Every clock is rounded in the same way, so that none is a finer one in disguise.
 * 3. The time between a checkpoint and a restart does not pass on them. It does on the wall clock.
 */
import { mapOf, wideInteger } from '../cbor/shape.ts';
import { OWN_PROVIDERS } from './own-providers.ts';
import { defineProvider, type Provider } from './provider.ts';

export interface Clock {
  /** Nanoseconds since 1970-01-01T00:00Z. */
  realtimeNs(): bigint;
  /** Nanoseconds since a moment that is not told. */
  monotonicNs(): bigint;
  /** Nanoseconds of processor time that the guest used. */
  cpuNs(): bigint;
  readonly resolutionNs: bigint;
}

/** `coarse`: whole milliseconds, so that a guest can't tell by them what its neighbours' caches hold. */
export const CLOCK_GRAINS = ['coarse', 'fine'] as const;
export type ClockGrain = (typeof CLOCK_GRAINS)[number];

/** Nanoseconds to which clocks and times of files are rounded down; 1: not at all. */
export const GRAIN_NS: Readonly<Record<ClockGrain, bigint>> = { coarse: 1_000_000n, fine: 1n };

/** As far as a clock may have got: beyond it, sums with a guest's timeouts would pass 64 bits. */
const CLOCK_NS_MAX = 2n ** 62n;

const ns = wideInteger(0n, CLOCK_NS_MAX);
const clockShape = mapOf({ monotonicNs: ns, cpuNs: ns });

/** The clocks of a new guest, counted from its start, and the provider that carries them on. */
export function createGuestClock(
  host: Clock,
  grain: ClockGrain = 'fine',
): {
  readonly clock: Clock;
  readonly provider: Provider;
} {
  let monotonicShiftNs = -host.monotonicNs();
  let cpuShiftNs = -host.cpuNs();
  const grainNs = GRAIN_NS[grain];
  const rounded = grainNs === 1n ? same : (ns: bigint) => ns - (ns % grainNs);
  const clock: Clock = {
    realtimeNs: () => rounded(host.realtimeNs()),
    monotonicNs: () => rounded(host.monotonicNs() + monotonicShiftNs),
    cpuNs: () => rounded(host.cpuNs() + cpuShiftNs),
    resolutionNs: grainNs > host.resolutionNs ? grainNs : host.resolutionNs,
  };
  const provider = defineProvider({
    kind: 'clock',
    version: OWN_PROVIDERS.clock.version,
    shape: clockShape,
    prepare: () => ({ monotonicNs: clock.monotonicNs(), cpuNs: clock.cpuNs() }),
    commit: () => undefined,
    abort: () => undefined,
    rebuild: (state, { reason }) => {
      if (reason === 'resumed' || reason === 'aborted') return;
      monotonicShiftNs = state.monotonicNs - host.monotonicNs();
      cpuShiftNs = state.cpuNs - host.cpuNs();
    },
  });
  return { clock, provider };
}

function same(ns: bigint): bigint {
  return ns;
}
