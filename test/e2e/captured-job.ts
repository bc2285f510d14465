/**
 * A guest that ran once undisturbed, and once with a checkpoint at each of many random safepoints.
 */
import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { logPath } from '../../src/host/log-reader.ts';
import type { RunRequest } from '../../src/host/run-request.ts';
import type { CheckpointCause } from '../../src/vault/checkpoint-info.ts';
import { type FileContents, filesAt, placeWord, putFiles } from './files-at.ts';
import { feedInStep, type GuestCase, type InputSoFar } from './guest-cases.ts';
import { openState } from './open-state.ts';
import type { Chance } from './random-source.ts';
import type { ManyRestores, OneRestore } from './restore-many.ts';
import { randomSafepoints, triggerOptions } from './safepoints.ts';
import { type CommandResult, type ReportedRun, reported, type Stasis } from './stasis-command.ts';
import { readStreams } from './streams.ts';

/** A checkpoint, and where in its run it stands. */
export interface Captured {
  readonly id: string;
  readonly cause: CheckpointCause;
  readonly fuel: bigint;
  readonly calls: bigint;
  /** What the guest had written. */
  readonly stdout: Buffer;
  readonly stderr: Buffer;
  readonly input: InputSoFar;
  /** The guest has drawn all its random numbers: whatever it does from here on is decided. */
  readonly decided: boolean;
  readonly files: FileContents;
}

export interface CapturedJob {
  readonly stasis: Stasis;
  readonly guest: GuestCase;
  /** Name of the job with the checkpoints. */
  readonly name: string;
  readonly reference: ReportedRun;
  readonly made: ReportedRun;
  readonly checkpoints: readonly Captured[];
  /** Numbers of the host calls at whose entry it was captured, by their names. */
  readonly callsOf: CallsOf;
}

type CallsOf = ReadonlyMap<string, readonly bigint[]>;

/** The host's directory that the guest sees as /data. */
function dataOf({ stasis, guest }: Pick<CapturedJob, 'stasis' | 'guest'>): string {
  return join(stasis.home, '..', `data-${guest.name}`);
}

/** What was asked for when the job was made. */
async function requestOf(stasis: Stasis, name: string): Promise<RunRequest> {
  const state = await openState(stasis.home);
  const { request } = state.table.find(state.owner, name).run;
  await state.close();
  return request;
}

/** Runs the guest with `words` before its module's name; its input is given line by line. */
export function runCase(
  { stasis, guest }: Pick<CapturedJob, 'stasis' | 'guest'>,
  words: readonly string[],
): Promise<CommandResult> {
  const { module, args, options, lines, usesFiles } = guest;
  const data = dataOf({ stasis, guest });
  if (usesFiles) mkdirSync(data, { recursive: true });
  return stasis(
    [
      'run',
      ...words,
      ...options,
      ...(usesFiles ? ['--dir', `${data}::/data`] : []),
      module,
      ...args,
    ],
    lines === null ? {} : { talk: feedInStep(lines, { echoed: 0, taken: 0 }) },
  );
}

/** Runs the guest twice, the second time as a job that makes `count` checkpoints. */
export async function captureAnywhere(
  stasis: Stasis,
  guest: GuestCase,
  chance: Chance,
  count: number,
): Promise<CapturedJob> {
  const report = ['--json', '--memory-digest'];
  // Making a directory and finding it there are two things, and its memory tells which it was.
  if (guest.usesFiles) await runCase({ stasis, guest }, []);
  const reference = await reported(runCase({ stasis, guest }, report));
  assert.deepEqual(reference.report.ending, { kind: 'exit', code: 0 }, 'an undisturbed run failed');
  const extent = {
    fuel: Number(reference.report.fuel),
    calls: Number(reference.report.calls),
  };
  const points = randomSafepoints(chance, extent, count);
  const { name } = guest;
  const options = [...report, '--name', name, ...triggerOptions(points)];
  const made = await reported(runCase({ stasis, guest }, options));
  const images = await readImages(stasis, name);
  const callsOf = callsByName(images);
  const contents = guest.usesFiles
    ? await filesAt(await requestOf(stasis, name), points, `${dataOf({ stasis, guest })}-again`)
    : new Map<string, FileContents>();
  const checkpoints = images.map((image) => ({
    ...capturedAt(guest, image, callsOf),
    files: contents.get(placeWord(image)) ?? {},
  }));
  return { stasis, guest, name, reference, made, checkpoints, callsOf };
}

/** What an image tells of the place where it was made. */
interface ImagePlace {
  readonly id: string;
  readonly cause: CheckpointCause;
  readonly fuel: bigint;
  readonly calls: bigint;
  /** Name of the host call that it waits in. */
  readonly pending: string | null;
  /** What was written in the run that it was made in. */
  readonly stdout: Buffer;
  readonly stderr: Buffer;
}

/** Opens checkpoints of the job, oldest first, as a restore does: all, or so many of the newest. */
async function readImages(stasis: Stasis, name: string, newest?: number): Promise<ImagePlace[]> {
  const state = await openState(stasis.home);
  try {
    const images: ImagePlace[] = [];
    const all = await state.checkpoints(name);
    const checkpoints = newest === undefined ? all : all.slice(-newest);
    for (const { id, job, cause, run, logBytes } of checkpoints) {
      const { head } = await state.open(id);
      const log = readFileSync(logPath(state.places, job, run)).subarray(0, logBytes);
      const pending = head.stack.pending?.name ?? null;
      images.push({ id, cause, ...head.counters, pending, ...readStreams(log) });
    }
    return images;
  } finally {
    await state.close();
  }
}

function callsByName(images: readonly ImagePlace[]): CallsOf {
  const found = new Map<string, bigint[]>();
  for (const { pending, calls } of images) {
    if (pending === null) continue;
    const known = found.get(pending) ?? [];
    if (!known.includes(calls)) found.set(pending, [...known, calls]);
  }
  return found;
}

function capturedAt(
  { drawsRandom }: GuestCase,
  { pending: _, ...image }: ImagePlace,
  callsOf: CallsOf,
): Captured {
  const made = (name: string): number =>
    (callsOf.get(name) ?? []).filter((call) => call < image.calls).length;
  const input = { echoed: linesIn(image.stdout), taken: made('fd_read') };
  return { ...image, input, files: {}, decided: !drawsRandom || made('random_get') > 0 };
}

function linesIn(text: Buffer): number {
  return text.toString('latin1').split('\n').length - 1;
}

/** The job's newest checkpoint, made in a later run than `from`. */
export async function newestCaptured(job: CapturedJob, from: Captured): Promise<Captured> {
  const image = (await readImages(job.stasis, job.name, 1)).at(-1)!;
  const stdout = Buffer.concat([from.stdout, image.stdout]);
  const stderr = Buffer.concat([from.stderr, image.stderr]);
  return capturedAt(job.guest, { ...image, stdout, stderr }, job.callsOf);
}

/**
 * Restores all of them, each in a new cell, to the guest's end. In their order. Not for a guest that
 * reads: its input would be nobody's.
 */
export async function restoreMany(
  { stasis, guest }: CapturedJob,
  checkpoints: readonly Captured[],
): Promise<OneRestore[]> {
  assert.equal(guest.lines, null);
  const order: ManyRestores = {
    home: stasis.home,
    cellCode: join(stasis.program, 'dist/'),
    logFile: join(stasis.home, '..', `log-${guest.name}`),
    checkpoints: checkpoints.map(({ id, files }) => ({ id, files })),
  };
  const program = fileURLToPath(new URL('./restore-many.ts', import.meta.url));
  const child = spawn(process.execPath, [program], { stdio: ['pipe', 'pipe', 'inherit'] });
  child.stdin.end(JSON.stringify(order));
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  assert.equal(status, 0, 'the process that restores checkpoints failed');
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as OneRestore);
}

/** `stasis restore` of one of them; its input goes on where the guest had got. */
export function restoreCase(
  { stasis, guest }: CapturedJob,
  { id, input, files }: Captured,
  words: readonly string[] = [],
): Promise<ReportedRun> {
  const { lines } = guest;
  if (guest.usesFiles) putFiles(dataOf({ stasis, guest }), files);
  return reported(
    stasis(
      ['restore', '--id', id, '--again', '--json', '--memory-digest', ...words],
      lines === null ? {} : { talk: feedInStep(lines, input) },
    ),
  );
}
