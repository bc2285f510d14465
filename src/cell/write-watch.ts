/**
 * Which units of a guest's memories were written since its last image, by the kernel's book.
 *
 * Invariants:
 * 1. A memory that grew was written where it grew; one that lies elsewhere than before, everywhere.
 * 2. What it can't say for certain it doesn't say: null means that everything may have changed.
 */
import { UNIT_BYTES, type UnitRun } from '../image/retained-pages.ts';
import type { WriteTracking } from '../native/write-tracking.ts';

interface Watched {
  readonly address: bigint;
  readonly lengthBytes: number;
}

/** What `PageCapture` asks; memories are views of whole ones, always in the same order. */
export interface WriteWatch {
  /** From now on; false where it can't be. */
  begin(memories: readonly Uint8Array[]): boolean;
  /** Written since `begin` or the last `take`. */
  take(memories: readonly Uint8Array[]): UnitRun[] | null;
  /** How many bytes of the memories `take` would name now; null: not known. */
  count(memories: readonly Uint8Array[]): number | null;
}

export function createWriteWatch(tracking: WriteTracking): WriteWatch | null {
  if (tracking.pageBytes % UNIT_BYTES !== 0) return null;
  let watched: Watched[] = [];

  const placeOf = (memory: Uint8Array): Watched => ({
    // A memory of no pages has no place.
    address: memory.length === 0 ? 0n : tracking.addressOf(memory.buffer),
    lengthBytes: memory.length,
  });

  /** Where the memories lie now; null when one lies elsewhere than it did. */
  function sameAsBefore(memories: readonly Uint8Array[]): Watched[] | null {
    if (memories.length !== watched.length) return null;
    const now = memories.map(placeOf);
    const stayed = now.every(({ address, lengthBytes }, memory) => {
      const before = watched[memory]!;
      if (before.lengthBytes === 0) return true;
      return before.address === address && before.lengthBytes <= lengthBytes;
    });
    return stayed ? now : null;
  }

  return {
    begin: (memories) => {
      watched = memories.map(placeOf);
      return watched.every(
        ({ address, lengthBytes }) => lengthBytes === 0 || tracking.watch(address, lengthBytes),
      );
    },
    take: (memories) => {
      const now = sameAsBefore(memories);
      if (now === null) return null;
      const runs: UnitRun[] = [];
      for (const [memory, { address, lengthBytes }] of now.entries()) {
        const before = watched[memory]!.lengthBytes;
        const ranges = before === 0 ? [] : tracking.take(address, before);
        if (ranges === null) return null;
        for (const { from, to } of ranges) runs.push(runOf(memory, from, to));
        if (before === lengthBytes) continue;
        if (!tracking.watch(address + BigInt(before), lengthBytes - before)) return null;
        runs.push(runOf(memory, before, lengthBytes));
      }
      watched = now;
      return runs;
    },
    count: (memories) => {
      const now = sameAsBefore(memories);
      if (now === null) return null;
      let bytes = 0;
      for (const [memory, { address, lengthBytes }] of now.entries()) {
        const before = watched[memory]!.lengthBytes;
        const written = before === 0 ? 0 : tracking.count(address, before);
        if (written === null) return null;
        bytes += written + lengthBytes - before;
      }
      return bytes;
    },
  };
}

function runOf(memory: number, from: number, to: number): UnitRun {
  return { memory, first: from / UNIT_BYTES, count: (to - from) / UNIT_BYTES };
}
