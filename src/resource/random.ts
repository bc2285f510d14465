/**
 * A guest's randomness, and the number by which it can tell that it was brought back.
 *
 * Invariants:
 * 1. Nothing is read ahead, so an image holds no random byte that a guest has yet to get: a restarted or
 *    cloned guest gets fresh ones.
 * 2. The generation is drawn at the start and again at every restart and for every clone; it stays the
 *    same across a checkpoint that the guest goes on from. An image holds the one that was, only so that
 *    the next one is another.
 */
import { mapOf, u64 } from '../cbor/shape.ts';
import { OWN_PROVIDERS } from './own-providers.ts';
import { defineProvider, type Provider } from './provider.ts';

/** Fills all of `into` with bytes that nobody can foretell. Up to 64 KiB a call are asked for. */
export type RandomSource = (into: Uint8Array) => void;

const GENERATION_BYTES = 8;
const freshnessShape = mapOf({ generation: u64 });

export interface Freshness {
  /** u64. */
  generation(): bigint;
  readonly provider: Provider;
}

export function createFreshness(random: RandomSource): Freshness {
  let generation = drawGeneration(random);
  const provider = defineProvider({
    kind: 'random',
    version: OWN_PROVIDERS.random.version,
    shape: freshnessShape,
    prepare: () => ({ generation }),
    commit: () => undefined,
    abort: () => undefined,
    rebuild: (state, { reason }) => {
      if (reason === 'resumed' || reason === 'aborted') return;
      while (generation === state.generation) generation = drawGeneration(random);
    },
  });
  return { generation: () => generation, provider };
}

function drawGeneration(random: RandomSource): bigint {
  const bytes = new Uint8Array(GENERATION_BYTES);
  random(bytes);
  return new DataView(bytes.buffer).getBigUint64(0, true);
}
