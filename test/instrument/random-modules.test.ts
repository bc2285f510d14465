import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { RANDOM_ENTRIES, randomModule } from './random-module.ts';
import { runRaw } from './raw-run.ts';
import { type Coverage, checkRandomStops, checkStopsInARow, coverageOf } from './stop-places.ts';
import { prepare, runTrial } from './trial.ts';

const SEEDS = process.env['STASIS_NIGHTLY'] === '1' ? 3000 : 100;
const SEEDS_A_TEST = 20;
const OPTIONS = { entries: RANDOM_ENTRIES };

describe('random modules run as they do without the pass, and come back from anywhere', () => {
  for (let first = 0; first < SEEDS; first += SEEDS_A_TEST) {
    test(`seeds ${first} to ${first + SEEDS_A_TEST - 1}`, () => {
      const done: Coverage[] = [];
      for (let seed = first; seed < first + SEEDS_A_TEST; seed++) {
        const bytes = assemble(randomModule(seed));
        const subject = prepare(bytes);
        const { ends, output, calls } = runTrial(subject, OPTIONS).ending;
        expect({ seed, ends, output, calls }).toStrictEqual({ seed, ...runRaw(bytes, OPTIONS) });
        done.push(checkRandomStops(subject, OPTIONS, { seed, trials: 9 }));
        if (seed % 4 === 0) done.push(checkStopsInARow(subject, OPTIONS));
      }
      const coverage = coverageOf(done);
      console.log(`seeds from ${first}: ${JSON.stringify(coverage)}`);
      expect(coverage.hops).toBeGreaterThan(SEEDS_A_TEST * 9);
      expect(coverage.replaced).toBeGreaterThan(SEEDS_A_TEST);
      expect(coverage.deepest).toBeGreaterThan(10);
    });
  }
});
