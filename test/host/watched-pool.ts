import type { BlankSource } from '../../src/host/cell-pool.ts';

/** A source of cells begun ahead that knows the process which it gave last; null when it gave none. */
export function watchedPool(pool: BlankSource): {
  blanks: BlankSource;
  taken: () => number | null;
} {
  let taken: number | null = null;
  return {
    blanks: {
      take: (wanted) => {
        const blank = pool.take(wanted);
        taken = blank?.process.pid ?? null;
        return blank;
      },
    },
    taken: () => taken,
  };
}
