/**
 * Programs that nobody wrote for us, through the command: checkpointed at random safepoints and restored
 * in new processes, and killed with SIGKILL on the way. Output, exit status, files and the memory at the
 * end are those of a run that nobody disturbed.
 *
 * Ruby and QuickJS draw random numbers and read clocks before they print anything, so no two runs end
 * with the same memory. A restore is held against the end of the very run that it was captured in. Flite
 * keeps what the file system told it of its new file, so its memory is another each time; its fuel and
 * its file are not.
 */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import type { RunRecord } from '../../src/host/job-records.ts';
import { killProcess } from '../../src/host/process-identity.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { FLITE_TEXT, fliteArguments, fliteModulePath } from '../programs/flite.ts';
import { QUICKJS_SCRIPTS, quickjsCommand } from '../programs/quickjs.ts';
import { RUBY_SCRIPT, rubyCommand } from '../programs/ruby.ts';
import { type Captured, type CapturedJob, captureAnywhere, restoreCase } from './captured-job.ts';
import type { GuestCase } from './guest-cases.ts';
import { openState } from './open-state.ts';
import { newChance, pick } from './random-source.ts';
import { type ReportedRun, reported, stasisIn } from './stasis-command.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const POINTS = NIGHTLY ? 100 : 20;
const RESTORES = NIGHTLY ? 100 : 4;
const KILLS = NIGHTLY ? 20 : 2;
const POLL_MS = 10;
const KILL_MS_MAX = 300;

const scratch = scratchDirectory();
const said = join(scratch, 'said');
mkdirSync(said);
const stasis = stasisIn(join(scratch, 'home'));
const chance = newChance();
const done = { restored: 0, exact: 0, kills: 0 };

interface ProgramCase extends GuestCase {
  readonly expected: RegExp;
  /** Made by the program, or null. */
  readonly file: string | null;
}

function program(name: string, bytes: Uint8Array, expected: RegExp): ProgramCase {
  const module = join(scratch, `${name}.wasm`);
  writeFileSync(module, bytes);
  return { ...PLAIN, name, module, options: ['--trap-unknown-imports'], expected, file: null };
}

const PLAIN = {
  args: [],
  options: [],
  lines: null,
  usesFiles: false,
  readsHost: false,
  drawsRandom: true,
  printsAnswers: false,
} as const;

const PROGRAMS: readonly ProgramCase[] = [
  // Measured pauses of the collector would put times into its memory to the end.
  program('ruby', rubyCommand(`GC.measure_total_time = false\n${RUBY_SCRIPT}`), /^primes 6057\n/),
  program('quickjs', quickjsCommand(QUICKJS_SCRIPTS), /^sorted /),
  {
    ...PLAIN,
    name: 'flite',
    module: fliteModulePath(),
    args: fliteArguments(FLITE_TEXT, '/out/said.wav'),
    options: ['--dir', `${said}::/out`],
    drawsRandom: false,
    readsHost: true,
    expected: /^/,
    file: join(said, 'said.wav'),
  },
];

function contentOf({ file }: ProgramCase): string | null {
  return file === null ? null : readFileSync(file).toString('base64');
}

/** Restores by the command, each in a new host and a new cell. */
async function restoreSome(job: CapturedJob, one: ProgramCase, wav: string | null): Promise<void> {
  for (const point of pick(chance, job.checkpoints, RESTORES)) {
    const run = await restoreCase(job, point);
    expect(run.report.ending).toEqual({ kind: 'exit', code: 0 });
    expect(textOf([point, run])).toBe(textOf([job.reference]));
    expect(contentOf(one)).toBe(wav);
    expect(run.report.calls).toBe(job.made.report.calls);
    done.restored += 1;
    // From its first word on nothing that it does depends on chance or time.
    if (one.drawsRandom && point.stdout.length === 0) continue;
    expect(run.report.fuel).toBe(job.made.report.fuel);
    if (!one.readsHost) expect(run.report.memoryDigest).toBe(job.made.report.memoryDigest);
    done.exact += 1;
  }
}

function textOf(parts: readonly Pick<Captured, 'stdout' | 'stderr'>[]): string {
  return (['stdout', 'stderr'] as const)
    .map((stream) => parts.map((part) => String(part[stream])).join(''))
    .join('|');
}

/** SIGKILL to host and cell, some time after the first checkpoint; restored from the last one. */
async function killAndRestore(
  job: CapturedJob,
  one: ProgramCase,
  name: string,
): Promise<ReportedRun> {
  if (one.file !== null) rmSync(one.file, { force: true });
  const { module, args, options } = one;
  const state = await openState(stasis.home);
  try {
    const started = ['run', '--detach', '--name', name, '--checkpoint-every', '50ms'];
    expect((await stasis([...started, ...options, module, ...args])).status).toBe(0);
    const run = (): RunRecord => state.table.find(state.owner, name).run;
    while (run().checkpoint === null) {
      expect(run().outcome, 'it ended before its first checkpoint').toBeNull();
      await sleep(POLL_MS);
    }
    await sleep(chance.below(KILL_MS_MAX));
    const { host, cell } = run();
    killProcess(host);
    killProcess(cell!);
    done.kills += 1;
    const restored = await reported(stasis(['restore', name, '--json', '--memory-digest']));
    const { stdout, stderr } = await stasis(['logs', name]);
    expect(textOf([{ stdout, stderr }])).toBe(textOf([job.reference]));
    return restored;
  } finally {
    await state.close();
  }
}

test.each(PROGRAMS)('$name goes on from anywhere, also after SIGKILL', async (one) => {
  const job = await captureAnywhere(stasis, one, chance, POINTS);
  const { reference, made, checkpoints } = job;
  const wav = contentOf(one);
  expect(String(reference.stdout)).toMatch(one.expected);
  expect(made.report.ending).toEqual({ kind: 'exit', code: 0 });
  expect(textOf([made])).toBe(textOf([reference]));
  expect(checkpoints.length).toBeGreaterThan(POINTS / 2);
  await restoreSome(job, one, wav);
  for (let kill = 0; kill < KILLS; kill++) {
    const { report } = await killAndRestore(job, one, `${one.name}-killed-${kill}`);
    expect(report.ending).toEqual({ kind: 'exit', code: 0 });
    expect(contentOf(one)).toBe(wav);
    if (!one.drawsRandom) expect(report.fuel).toBe(reference.report.fuel);
  }
});

afterAll(() => {
  process.stdout.write(
    `programs: ${done.restored} restored, ${done.exact} of them held to fuel and memory too, ` +
      `${done.kills} killed, seed ${chance.seed}\n`,
  );
});
