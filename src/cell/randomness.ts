/**
 * The one place where randomness comes in. Everything else is handed these functions.
 */
import { randomBytes, randomFillSync } from 'node:crypto';

/** `count` bytes from the system's generator. */
export function freshBytes(count: number): Uint8Array {
  return new Uint8Array(randomBytes(count));
}

/** Fills `into` from the system's generator. */
export function fillFresh(into: Uint8Array): void {
  randomFillSync(into);
}
