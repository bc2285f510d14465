/**
 * One piece of work that can be done once only, such as opening a vault of an older format: each time on another copy
 * of the same directory, with a fault one operation later, until it comes through without meeting it.
 */
import { rmSync } from 'node:fs';
import { expect } from 'vitest';
import type { DiskState } from './crash-model.ts';
import { crashEverywhere } from './crash-points.ts';
import { putDown } from './disk-image.ts';
import { type FaultPlan, faultEverywhere, type Met } from './fault-everywhere.ts';
import { type Harmless, judge } from './judge.ts';
import { type Recorder, type Recording, record } from './recording.ts';
import { scratchRoot } from './survivor.ts';

export interface CopiedWork {
  readonly start: DiskState;
  /** What was promised of it. */
  readonly before: Pick<Recording, 'told' | 'images'>;
  readonly work: (recorder: Recorder) => Promise<void>;
  /** Looks, with the fault lifted, whether all that was promised is there, and works on. */
  readonly after: (recorder: Recorder, met: Met | null) => Promise<void>;
  readonly harmless: Harmless;
}

export interface FaultEffort {
  readonly seed: number;
  /** Every how many operations there is a fault; 1 for each. */
  readonly every: number;
  /** After every how many faults the power is cut. */
  readonly cutEvery: number;
  readonly randomPerPoint: number;
}

/** The power is cut after some of the faults, too, once before anything else is done and once at the end. */
export async function faultsOnCopies(
  plan: FaultPlan,
  { start, before, work, after, harmless }: CopiedWork,
  { seed, every, cutEvery, randomPerPoint }: FaultEffort,
): Promise<{ readonly points: number; readonly outcomes: number }> {
  let points = 0;
  let outcomes = 0;
  for (let round = seed % every; ; round += every) {
    const root = scratchRoot();
    try {
      putDown(root, start);
      let met: readonly Met[] = [];
      const recording = await record(
        root,
        async (recorder) => {
          met = await oneFault(recorder, plan, round, work);
          await after(recorder, met[0] ?? null);
        },
        before,
      );
      const [one] = met;
      if (one === undefined) return { points, outcomes };
      expect(met).toHaveLength(1);
      judge(plan, met, harmless);
      if (points++ % cutEvery !== 0) continue;
      const only = new Set([one.roundEnd, recording.steps.length]);
      const effort = { randomPerPoint, nestedEvery: 0, nestedPoints: 0, seed, only };
      outcomes += (await crashEverywhere(recording, effort, start)).outcomes;
    } finally {
      rmSync(root, { recursive: true });
    }
  }
}

/** Does `work` once, with the fault at operation `round`; nothing is met when it has fewer. */
export function oneFault(
  recorder: Recorder,
  plan: FaultPlan,
  round: number,
  work: (recorder: Recorder) => Promise<void>,
): Promise<readonly Met[]> {
  let isTried = false;
  return faultEverywhere(
    recorder,
    plan,
    async () => {
      if (isTried) return;
      isTried = true;
      await work(recorder);
    },
    async () => undefined,
    round,
  );
}
