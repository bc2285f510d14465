/** Fills all of `into` with bytes that nobody can foretell. Up to 64 KiB a call are asked for. */
export type RandomSource = (into: Uint8Array) => void;
