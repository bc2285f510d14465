/**
 * Crashes at every point of a recording. A point is the moment after an operation that lasts, and the one
 * before the first; at each of them several outcomes are tried, and of the recoveries, which are recorded too,
 * some are crashed again.
 */
import { seededRandom } from '../cbor/random-value.ts';
import { CrashModel, type DiskState, type Fate } from './crash-model.ts';
import { isLasting } from './disk-operation.ts';
import { expectedAfter, type Recording } from './recording.ts';
import { checkSurvivor, digestOf } from './survivor.ts';

export interface CrashEffort {
  /** Whether "all lost" and "all kept" are tried in turns, and not both at each point. */
  readonly inTurns?: boolean;
  /** Outcomes chosen at random at each point, beside those two. */
  readonly randomPerPoint: number;
  /** Every how many outcomes checked a recovery is crashed too; 0 for never. */
  readonly nestedEvery: number;
  /** Points of such a recovery. */
  readonly nestedPoints: number;
  readonly seed: number;
  /** Only after so many operations; after each, unless told. */
  readonly only?: ReadonlySet<number>;
}

export interface CrashReport {
  /** Points known, and points at which all outcomes chosen were checked. */
  readonly points: number;
  readonly covered: number;
  /** Outcomes checked, those of recoveries apart; equal outcomes once. */
  readonly outcomes: number;
  readonly nested: number;
  readonly undecidedMax: number;
}

/** Most of the time of a check goes into working on with the vault. */
const WORKS_ON_EVERY = 8;

export async function crashEverywhere(
  recording: Recording,
  effort: CrashEffort,
  start: DiskState = new Map(),
): Promise<CrashReport> {
  const { only } = effort;
  const random = seededRandom(effort.seed);
  const seen = new Set<string>();
  const report = { points: 0, covered: 0, outcomes: 0, nested: 0, undecidedMax: 0 };
  for (const { model, done } of points(recording, start, only)) {
    report.points++;
    report.undecidedMax = Math.max(report.undecidedMax, model.undecided);
    for (const fate of fates(random, effort, report.points)) {
      const state = model.crash(fate);
      const expected = expectedAfter(recording, done);
      const digest = `${digestOf(state)} ${[...expected.kept.keys()]} ${[...expected.gone]}`;
      if (seen.has(digest)) continue;
      seen.add(digest);
      const recovery = await at(done, recording, () =>
        checkSurvivor(state, recording, expected, report.outcomes % WORKS_ON_EVERY === 0),
      );
      report.outcomes++;
      if (effort.nestedEvery === 0 || report.outcomes % effort.nestedEvery !== 0) continue;
      report.nested += await crashRecovery({ recording, recovery, state, done }, effort, random);
    }
    report.covered++;
  }
  return report;
}

function* points(
  { steps, from }: Recording,
  start: DiskState,
  only: ReadonlySet<number> | null = null,
): Generator<{ readonly model: CrashModel; readonly done: number }> {
  const model = new CrashModel(start);
  if (only === null && from === 0) yield { model, done: 0 };
  for (const [index, { operation, fault }] of steps.entries()) {
    model.apply(operation, fault);
    const isPoint = only === null ? index + 1 > from && isLasting(operation) : only.has(index + 1);
    if (isPoint) yield { model, done: index + 1 };
  }
}

function* fates(
  random: () => number,
  { randomPerPoint, inTurns = false }: CrashEffort,
  point: number,
): Generator<Fate> {
  if (!inTurns || point % 2 === 0) yield () => 0;
  if (!inTurns || point % 2 === 1) yield () => 1;
  for (let count = 0; count < randomPerPoint; count++) {
    // Sometimes nearly all is kept, sometimes nearly nothing; some of it torn.
    const share = random();
    yield () => {
      if (random() < 0.15) return random();
      return random() < share ? 1 : 0;
    };
  }
}

async function crashRecovery(
  crash: {
    readonly recording: Recording;
    readonly recovery: Recording;
    readonly state: DiskState;
    readonly done: number;
  },
  { nestedPoints }: CrashEffort,
  random: () => number,
): Promise<number> {
  const { recording, recovery, state, done } = crash;
  const wanted = new Set<number>();
  const known = [...points(recovery, state)].length;
  while (wanted.size < Math.min(nestedPoints, known)) wanted.add(Math.floor(random() * known));
  let number = 0;
  for (const { model, done: recovered } of points(recovery, state)) {
    if (!wanted.has(number++)) continue;
    const share = random();
    const again = model.crash(() => (random() < share ? 1 : 0));
    const before = expectedAfter(recording, done);
    const since = expectedAfter(recovery, recovered);
    const expected = {
      kept: new Map([...before.kept, ...since.kept]),
      gone: new Set([...before.gone, ...since.gone]),
      facts: new Map([...before.facts, ...since.facts]),
      backedUp: before.backedUp,
      isPutBack: before.isPutBack,
    };
    const images = new Map([...recording.images, ...recovery.images]);
    await at(done, recording, () => checkSurvivor(again, { images }, expected, true));
  }
  return wanted.size;
}

/** Says where it went wrong. */
async function at<T>(done: number, { steps }: Recording, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const last = steps[done - 1];
    const where = last === undefined ? 'nothing' : `${last.operation.kind} ${last.operation.path}`;
    throw new Error(`after operation ${done} of ${steps.length} (${where})`, { cause: error });
  }
}
