/**
 * The tests' own chance: a sequence that its seed repeats, so that a failure can be looked at again.
 */
import { randomInt } from 'node:crypto';

export interface Chance {
  readonly seed: number;
  /** A whole number from 0 up to, not including, `limit`. */
  below(limit: number): number;
}

const SEED_MAX = 2 ** 32;

/** `STASIS_SEED` repeats a run; without it each run is another. */
export function newChance(): Chance {
  const given = process.env['STASIS_SEED'];
  return chanceOf(given === undefined ? randomInt(SEED_MAX) : Number(given));
}

/** The mulberry32 generator. */
export function chanceOf(seed: number): Chance {
  let state = seed >>> 0;
  return {
    seed,
    below: (limit) => {
      state = (state + 0x6d2b79f5) >>> 0;
      let word = state;
      word = Math.imul(word ^ (word >>> 15), word | 1);
      word ^= word + Math.imul(word ^ (word >>> 7), word | 61);
      return Math.floor((((word ^ (word >>> 14)) >>> 0) / SEED_MAX) * limit);
    },
  };
}

/** `count` of `items`, each at most once, in their order. All of them when there are not so many. */
export function pick<T>(chance: Chance, items: readonly T[], count: number): T[] {
  const left = items.map((_, at) => at);
  const taken: number[] = [];
  while (taken.length < count && left.length > 0) {
    taken.push(...left.splice(chance.below(left.length), 1));
  }
  return taken.sort((a, b) => a - b).map((at) => items[at]!);
}
