import { afterAll, describe, expect, test } from 'vitest';
import { moduleBytes } from '../guests/built-modules.ts';
import { runRaw } from './raw-run.ts';
import { type Coverage, checkRandomStops, coverageOf } from './stop-places.ts';
import { prepare, runTrial } from './trial.ts';

/** Guests that need no files and no input, with arguments that keep a run short. */
const GUESTS: Readonly<Record<string, readonly string[]>> = {
  'block-parameters': [],
  'bulk-memory': ['2'],
  'changed-table': ['200'],
  conversions: ['200'],
  floats: ['200'],
  'function-pointers': ['200'],
  'globals-and-start': [],
  heap: ['1', '5'],
  interpreter: ['2000'],
  'multi-value': ['200'],
  nqueens: ['7'],
  recursion: ['20'],
  'rust-collections': ['20'],
  'self-checkpoint': [],
  simd: ['200'],
  strings: ['5'],
  'table-segments': [],
  'tail-calls': ['200'],
  'kernels/compress': ['1'],
  'kernels/crc': ['1'],
  'kernels/fib': ['18'],
  'kernels/floyd': ['20'],
  'kernels/gemm': ['20'],
  'kernels/interp': ['1000'],
  'kernels/jacobi': ['1'],
  'kernels/mandelbrot': ['20'],
  'kernels/objects': ['100'],
  'kernels/sha256': ['1'],
  'kernels/sort-hash': ['100'],
  'kernels/strings': ['2'],
};
const TRIALS = process.env['STASIS_NIGHTLY'] === '1' ? 1000 : 100;

/**
 * Guests that use more take no argument for how long they run: fewer trials have to do, as for the
 * kernels, which check nothing themselves and are much alike.
 */
const LONG_RUN_FUEL = 1_000_000n;

describe('a guest that is stopped at random safepoints ends as one that never was', () => {
  const done: Coverage[] = [];

  for (const [name, args] of Object.entries(GUESTS)) {
    test(name, () => {
      const subject = prepare(moduleBytes(name));
      const whole = runTrial(subject, { args });
      expect(whole.ending).toMatchObject(runRaw(subject.bytes, { args }));
      const isSlow = whole.ending.fuel > LONG_RUN_FUEL || name.startsWith('kernels/');
      const trials = isSlow ? TRIALS / 5 : TRIALS;
      const coverage = checkRandomStops(subject, { args }, { seed: 42, trials });
      expect(coverage.hops).toBeGreaterThan(0);
      done.push(coverage);
    });
  }

  afterAll(() => {
    const all = coverageOf(done);
    console.log(`guests: ${JSON.stringify(all)}`);
    expect(all.replaced).toBeGreaterThan(done.length);
    expect(all.deepest).toBeGreaterThan(100);
    expect(all.hops).toBeGreaterThan((TRIALS / 5) * done.length);
  });
});
