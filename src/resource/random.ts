/**
 * Fills all of `into` with bytes that nobody can foretell. Up to 64 KiB a call are asked for.
 *
 * A guest's randomness has no provider: nothing is read ahead, so nothing is captured, and a restarted
 * or cloned guest gets fresh bytes.
 */
export type RandomSource = (into: Uint8Array) => void;
