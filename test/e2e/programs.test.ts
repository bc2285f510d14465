/**
 * Programs that nobody wrote for us, through the command: checkpointed at random safepoints and restored
 * in new processes, and killed with SIGKILL on the way. Output, exit status, files, fuel and the memory at
 * the end are those of a run that nobody disturbed.
 *
 * Chance and time are fixed (`fixed-program.ts`), or no two runs would end with the same memory.
 * `programs-by-chance.test.ts` does without that. `STASIS_NIGHTLY=1` stops them more often.
 */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { captureAnywhere, restoreCase } from './captured-job.ts';
import { makeFixedProgram } from './fixed-program.ts';
import { killOnTheWay } from './killed-on-the-way.ts';
import { contentOf, programCases, textOf } from './program-cases.ts';
import { newChance } from './random-source.ts';
import { stasisIn } from './stasis-command.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const POINTS = NIGHTLY ? 100 : 15;
const KILLS = NIGHTLY ? 50 : 6;
/** At most so many of one job, so that late moments get their share. */
const KILLS_A_JOB = 4;

const scratch = scratchDirectory();
const fixed = makeFixedProgram();
afterAll(() => rmSync(fixed, { recursive: true }));
const stasis = stasisIn(join(scratch, 'home'), fixed);
const chance = newChance();
const done = { restored: 0, kills: 0, killedJobs: 0, digests: 0 };

test.each(programCases(scratch))('$name goes on from anywhere, also after SIGKILL', async (one) => {
  const job = await captureAnywhere(stasis, one, chance, POINTS);
  const { reference, made, checkpoints } = job;
  const wav = contentOf(one);
  expect(String(reference.stdout)).toMatch(one.expected);
  expect(reference.report.memoryDigest).toMatch(/^[0-9a-f]{64}$/);
  const { ending, fuel, calls, memoryDigest } = reference.report;
  expect(ending).toEqual({ kind: 'exit', code: 0 });
  const end = { ending, fuel, calls, memoryDigest };
  expect(made.report).toMatchObject(end);
  expect(textOf([made])).toBe(textOf([reference]));
  expect(checkpoints).toHaveLength(POINTS);

  for (const point of checkpoints) {
    const run = await restoreCase(job, point);
    expect(run.report).toMatchObject(end);
    expect(run.status).toBe(0);
    expect(textOf([point, run])).toBe(textOf([reference]));
    expect(contentOf(one)).toBe(wav);
    done.restored += 1;
    done.digests += 1;
  }

  for (let kills = 0; kills < KILLS; ) {
    if (one.file !== null) rmSync(one.file);
    const name = `${one.name}-killed-${kills}`;
    const words = ['run', '--name', name, ...one.options, one.module, ...one.args];
    const killsMax = Math.min(KILLS_A_JOB, KILLS - kills);
    const survived = await killOnTheWay(stasis, chance, { name, words, killsMax });
    expect(survived.outcome).toEqual(end);
    expect(textOf([await stasis(['logs', '--raw', name])])).toBe(textOf([reference]));
    expect(contentOf(one)).toBe(wav);
    kills += survived.kills;
    done.kills += survived.kills;
    done.killedJobs += 1;
    done.digests += 1;
    expect((await stasis(['rm', name])).status).toBe(0);
  }
});

afterAll(() => {
  process.stdout.write(
    `programs: ${done.restored} restored by the command in a new host and cell, ${done.kills} kills ` +
      `of ${done.killedJobs} jobs, ${done.digests} memory digests compared, seed ${chance.seed}\n`,
  );
});
