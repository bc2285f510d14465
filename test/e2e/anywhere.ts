/**
 * Invariant 1: a run ≡ a checkpoint anywhere in it and a restore in another process. Same output, same
 * exit status, same memory, same fuel, same number of calls.
 *
 * Each guest is captured at 100 random safepoints, and goes on after each; each of the checkpoints is
 * then restored to the guest's end in a cell of its own: a new process for each. Some are restored by the
 * command besides, in a new host and a new cell; all of them with STASIS_NIGHTLY=1, and where the guest
 * reads input. `STASIS_SEED` repeats the same safepoints.
 */
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import {
  type Captured,
  type CapturedJob,
  captureAnywhere,
  newestCaptured,
  restoreCase,
  restoreMany,
} from './captured-job.ts';
import type { GuestCase } from './guest-cases.ts';
import { newChance, pick } from './random-source.ts';
import { triggerOptions } from './safepoints.ts';
import { ROOT, type Stasis, stasisIn } from './stasis-command.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const POINTS = 100;
const BY_COMMAND = NIGHTLY ? POINTS : 2;
const CHAINS = NIGHTLY ? 5 : 1;
const CHAIN_LINKS = 3;

const scratch = scratchDirectory();
const chance = newChance();
const done = { guests: 0, safepoints: 0, cells: 0, byCommand: 0, chains: 0, links: 0, digests: 0 };

interface Part {
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

interface End {
  readonly fuel: string | null;
  readonly calls: string | null;
  readonly memoryDigest: string | null;
}

/** What was written before and after, against the whole of an undisturbed run. */
function expectWhole({ guest, reference }: CapturedJob, parts: readonly Part[]): void {
  const plain = (text: Buffer): string => {
    const words = text.toString('latin1');
    return guest.printsAnswers ? words.replaceAll(': restarted', ': checkpointed') : words;
  };
  for (const stream of ['stdout', 'stderr'] as const) {
    const whole = Buffer.concat(parts.map((part) => part[stream]));
    expect(plain(whole)).toBe(plain(reference[stream]));
  }
}

/** How a run ended that went on from `point`, against the run that the checkpoint was made in. */
function expectEnd(
  { made }: CapturedJob,
  { decided, cause }: Pick<Captured, 'decided' | 'cause'>,
  { fuel, calls, memoryDigest }: End,
): void {
  expect(calls).toBe(made.report.calls);
  // The answer to its own checkpoint is another after a restart, and stays in its memory.
  if (cause === 'guest' || !decided) return;
  expect(fuel).toBe(made.report.fuel);
  expect(memoryDigest).toMatch(/^[0-9a-f]{64}$/);
  expect(memoryDigest).toBe(made.report.memoryDigest);
  done.digests += 1;
}

/** Each in a cell of its own. */
async function inCells(job: CapturedJob): Promise<void> {
  const restored = await restoreMany(job, job.checkpoints);
  expect(restored).toHaveLength(job.checkpoints.length);
  for (const [at, { id, outcome, stdout, stderr }] of restored.entries()) {
    const point = job.checkpoints[at]!;
    expect(id).toBe(point.id);
    expect(outcome.ending).toEqual({ kind: 'exit', code: 0 });
    const after = {
      stdout: Buffer.from(stdout, 'base64'),
      stderr: Buffer.from(stderr, 'base64'),
    };
    expectWhole(job, [point, after]);
    expectEnd(job, point, outcome);
  }
  done.cells += restored.length;
}

/** In a host and a cell of its own. */
async function byCommand(job: CapturedJob, point: Captured): Promise<void> {
  const run = await restoreCase(job, point);
  expect(run.report.ending).toEqual({ kind: 'exit', code: 0 });
  expect(run.status).toBe(0);
  expectWhole(job, [point, run]);
  expectEnd(job, point, run.report);
  const { stdout, stderr } = await job.stasis(['logs', '--raw', job.name]);
  expectWhole(job, [{ stdout, stderr }]);
}

/** Restores, runs on to a later safepoint, stops there after a checkpoint, and so on. */
async function chain(job: CapturedJob, first: Captured): Promise<void> {
  const total = Number(job.made.report.fuel);
  let point = first;
  for (let link = 0; link < CHAIN_LINKS; link++) {
    // Where it really stands: it was stopped at the first poll behind the fuel that was named.
    const from = Number(point.fuel);
    if (from >= total - 1) break;
    const at = from + 1 + chance.below(total - 1 - from);
    const run = await restoreCase(job, point, triggerOptions([{ on: 'fuel', at }], true));
    expect(run.report.ending).toEqual({ kind: 'checkpointed' });
    const next = await newestCaptured(job, point);
    expectSame(next, [point, run]);
    point = next;
    done.links += 1;
  }
  const last = await restoreCase(job, point);
  expect(last.report.ending).toEqual({ kind: 'exit', code: 0 });
  expectWhole(job, [point, last]);
  expectEnd(job, first, last.report);
}

/** The log up to a checkpoint is what came out of the command. */
function expectSame(whole: Part, parts: readonly Part[]): void {
  for (const stream of ['stdout', 'stderr'] as const) {
    expect(String(whole[stream])).toBe(String(Buffer.concat(parts.map((part) => part[stream]))));
  }
}

/**
 * The tests of these guests, under the built program or a copy of it. Files run side by side, tests of
 * one file do not: so there are several.
 */
export function goesOnFromAnywhere(cases: readonly GuestCase[], program = ROOT): void {
  const stasis = stasisIn(join(scratch, 'home'), program);
  test.each(cases)('$name goes on from anywhere', (guest) => comesBack(stasis, guest));
  afterAll(report);
}

async function comesBack(stasis: Stasis, guest: GuestCase): Promise<void> {
  const job = await captureAnywhere(stasis, guest, chance, POINTS);
  const { reference, made, checkpoints } = job;
  expect(String(reference.stdout)).toMatch(new RegExp(`(^|\\n)ok ${guest.name}\\n$`));
  expect(made.report.ending).toEqual(reference.report.ending);
  expectWhole(job, [made]);
  expectEnd(job, { decided: !guest.drawsRandom, cause: 'trigger' }, reference.report);

  if (guest.lines === null) await inCells(job);
  const chosen = guest.lines === null ? pick(chance, checkpoints, BY_COMMAND) : checkpoints;
  for (const point of chosen) await byCommand(job, point);
  const firsts = pick(chance, checkpoints, CHAINS);
  for (const point of firsts) await chain(job, point);

  done.guests += 1;
  done.safepoints += new Set(checkpoints.map(({ fuel, calls }) => `${fuel} ${calls}`)).size;
  done.byCommand += chosen.length;
  done.chains += firsts.length;
}

function report(): void {
  process.stdout.write(
    `anywhere: ${done.guests} guests, ${done.safepoints} safepoints, ${done.cells} restored in a new ` +
      `cell each, ${done.byCommand} by the command in a new host and cell, ${done.chains} chains of ` +
      `${done.links} links, ` +
      `${done.digests} memory digests compared, seed ${chance.seed}\n`,
  );
}
