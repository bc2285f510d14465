/**
 * The programs of `programs.test.ts` under the program as it is built, with true clocks and fresh random
 * numbers. Output, exit status, files and number of calls are those of an undisturbed run from anywhere;
 * fuel and memory those of the run that was captured, once the program has drawn its random numbers and
 * read its clocks. Only Flite reads the clock in its last call, which leaves the time in its memory.
 */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import type { RunOutcome } from '../../src/host/job-records.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { type Captured, type CapturedJob, captureAnywhere, restoreCase } from './captured-job.ts';
import { killOnTheWay } from './killed-on-the-way.ts';
import { contentOf, type ProgramCase, programCases, textOf } from './program-cases.ts';
import { newChance, pick } from './random-source.ts';
import { stasisIn } from './stasis-command.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const POINTS = NIGHTLY ? 100 : 25;
const RESTORES = NIGHTLY ? 50 : 6;
const KILLS = NIGHTLY ? 20 : 3;

const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));
const chance = newChance();
const done = { restored: 0, kills: 0, killedJobs: 0, digests: 0 };

function isDecided({ decidedFromCall }: ProgramCase, { calls }: Captured): boolean {
  return decidedFromCall !== null && calls >= decidedFromCall;
}

/** How a run ended that goes back to `point`. */
function expectEnd(job: CapturedJob, one: ProgramCase, point: Captured, end: RunOutcome): void {
  const { ending, fuel, calls, memoryDigest } = end;
  const { report } = job.made;
  expect({ ending, calls }).toEqual({ ending: { kind: 'exit', code: 0 }, calls: report.calls });
  if (one.decidedFromCall === null) expect(fuel).toBe(report.fuel);
  if (!isDecided(one, point)) return;
  expect(memoryDigest).toMatch(/^[0-9a-f]{64}$/);
  expect({ fuel, memoryDigest }).toEqual({ fuel: report.fuel, memoryDigest: report.memoryDigest });
  done.digests += 1;
}

test.each(programCases(scratch))('$name goes on by chance as it would have', async (one) => {
  const job = await captureAnywhere(stasis, one, chance, POINTS);
  const { reference, made, checkpoints } = job;
  const wav = contentOf(one);
  expect(String(reference.stdout)).toMatch(one.expected);
  expect(made.report.ending).toEqual({ kind: 'exit', code: 0 });
  expect(textOf([made])).toBe(textOf([reference]));
  expect(checkpoints).toHaveLength(POINTS);

  for (const point of pick(chance, checkpoints, RESTORES)) {
    const run = await restoreCase(job, point);
    expectEnd(job, one, point, run.report);
    expect(run.status).toBe(0);
    expect(textOf([point, run])).toBe(textOf([reference]));
    expect(contentOf(one)).toBe(wav);
    done.restored += 1;
  }

  const decided = checkpoints.filter((point) => isDecided(one, point));
  const firsts = decided.length > 0 ? decided : checkpoints;
  for (let kills = 0; kills < KILLS; ) {
    const point = firsts[chance.below(firsts.length)]!;
    const { name } = job;
    const words = ['restore', '--again', '--id', point.id];
    const survived = await killOnTheWay(stasis, chance, { name, words, killsMax: KILLS - kills });
    expectEnd(job, one, point, survived.outcome);
    expect(textOf([await stasis(['logs', '--raw', name])])).toBe(textOf([reference]));
    expect(contentOf(one)).toBe(wav);
    kills += survived.kills;
    done.kills += survived.kills;
    done.killedJobs += 1;
  }
});

afterAll(() => {
  process.stdout.write(
    `programs by chance: ${done.restored} restored by the command in a new host and cell, ` +
      `${done.kills} kills of ${done.killedJobs} jobs, ${done.digests} memory digests compared, ` +
      `seed ${chance.seed}\n`,
  );
});
