/** Compares a guest that runs through with the same guest stopped at random places, or at every one. */
import { deepStrictEqual } from 'node:assert/strict';
import { runTrial, type Stop, type Subject, type Trial, type TrialOptions } from './trial.ts';

/** What was really done: a check that covered nothing must not pass unseen. */
export interface Coverage {
  readonly trials: number;
  readonly hops: number;
  /** Hops in the same instance, in optimised twins. */
  readonly replaced: number;
  readonly deepest: number;
  readonly frames: number;
}

/** A stream of numbers from 0 up to 1, the same for the same seed. */
export function randomStream(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return state / 2 ** 32;
  };
}

/**
 * Stops `subject` at random places, one to three of them one after the other, `trials` times. At every third
 * stop the guest goes on in optimised twins, before or behind stops at which it is carried over.
 */
export function checkRandomStops(
  subject: Subject,
  options: TrialOptions,
  { seed, trials }: { readonly seed: number; readonly trials: number },
): Coverage {
  const whole = runTrial(subject, options);
  const random = randomStream(seed);
  const done: Trial[] = [];
  for (let trial = 0; trial < trials; trial++) {
    const parts = Array.from({ length: 1 + (trial % 3) }, random).sort((a, b) => a - b);
    const stops = parts.map((part, index): Stop => {
      const at = random() < 0.4 ? 'call' : 'fuel';
      const total = at === 'call' ? whole.ending.calls : Number(whole.ending.fuel);
      return { at, count: Math.floor(part * total), replaces: (trial + index) % 3 === 1 };
    });
    done.push(checkStops(subject, options, whole, stops));
  }
  return coverageOf(done);
}

/** Stops `subject` once at each of its safepoints, each in a trial of its own, `trialsMax` at most. */
export function checkEveryStop(
  subject: Subject,
  options: TrialOptions = {},
  trialsMax = 400,
): Coverage {
  const whole = runTrial(subject, options);
  const fuel = Number(whole.ending.fuel);
  const step = Math.max(1, Math.ceil((fuel + whole.ending.calls) / trialsMax));
  const done: Trial[] = [];
  for (let count = 1; count <= fuel; count += step) {
    done.push(checkStops(subject, options, whole, [{ at: 'fuel', count }]));
  }
  for (let count = 0; count < whole.ending.calls; count += step) {
    done.push(checkStops(subject, options, whole, [{ at: 'call', count }]));
  }
  return coverageOf(done);
}

/** Stops `subject` at every safepoint that it comes to, all in one trial. */
export function checkStopsInARow(subject: Subject, options: TrialOptions = {}): Coverage {
  const whole = runTrial(subject, options);
  const stops: Stop[] = [];
  for (let count = 1; count <= Math.min(Number(whole.ending.fuel), 500); count++) {
    stops.push({ at: 'fuel', count });
  }
  const byFuel = checkStops(subject, options, whole, stops);
  const calls = Array.from(
    { length: Math.min(whole.ending.calls, 500) },
    (_, count): Stop => ({
      at: 'call',
      count,
    }),
  );
  return coverageOf([byFuel, checkStops(subject, options, whole, calls)]);
}

function checkStops(
  subject: Subject,
  options: TrialOptions,
  whole: Trial,
  stops: readonly Stop[],
): Trial {
  const trial = runTrial(subject, { ...options, stops });
  deepStrictEqual({ stops, ...trial.ending }, { stops, ...whole.ending });
  return trial;
}

export function coverageOf(done: readonly Coverage[] | readonly Trial[]): Coverage {
  const sum = { trials: 0, hops: 0, replaced: 0, deepest: 0, frames: 0 };
  for (const part of done) {
    sum.trials += 'trials' in part ? part.trials : 1;
    sum.hops += part.hops;
    sum.replaced += part.replaced;
    sum.frames += part.frames;
    sum.deepest = Math.max(sum.deepest, part.deepest);
  }
  return sum;
}
