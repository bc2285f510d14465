/** Directories that are rolled back: whatever the guest did since a checkpoint is undone. */
import { existsSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test, vi } from 'vitest';
import type { CapturedResources, Grants } from '../../src/handle/grants.ts';
import { UndoJournal } from '../../src/handle/undo-journal.ts';
import { type Chance, chanceOf } from '../e2e/random-source.ts';
import { createHost, type Guest, removeHost, restoredGuest, startGuest } from '../wasi/harness.ts';
import { type Counts, eachSeed, operate, treeOf } from './random-operations.ts';
import { throughImage } from './through-image.ts';

const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const JOBS = process.env['STASIS_NIGHTLY'] === undefined ? 25 : 2000;
const done: Counts = {};
/** Memory, on Linux. */
const OTHER_DISK = '/dev/shm';
const totals = { jobs: 0, copying: 0, checkpoints: 0, restores: 0, interrupted: 0, replayed: 0 };

/** Lets the undo die at one of its steps, as a kill would end it. */
function killUndo(chance: Chance): { restore(): void } {
  let left = chance.below(6);
  const dieAtLast = () => {
    if (left-- === 0) throw new Error('killed');
  };
  const { cutTo, read } = UndoJournal.prototype;
  const spies = [
    vi.spyOn(UndoJournal.prototype, 'cutTo').mockImplementation(function (this: UndoJournal, at) {
      dieAtLast();
      cutTo.call(this, at);
    }),
    vi.spyOn(UndoJournal.prototype, 'read').mockImplementation(function (this: UndoJournal, at) {
      dieAtLast();
      return read.call(this, at);
    }),
  ];
  return {
    restore: () => {
      for (const spy of spies) spy.mockRestore();
    },
  };
}

/** One job: operations, checkpoints, crashes and restores of any checkpoint that can still be reached. */
async function runJob(seed: number): Promise<void> {
  const chance = chanceOf(seed);
  const host = createHost();
  // On another file system nothing can be kept by a further name: it is copied.
  const place = chance.below(3) === 0 && existsSync(OTHER_DISK) ? OTHER_DISK : tmpdir();
  if (place === OTHER_DISK) totals.copying++;
  const directory = realpathSync(mkdtempSync(join(place, 'stasis-keeping-')));
  const overrides: Partial<Grants> = {
    keeping: { directory, carryBytesMax: 2 ** 24 },
    preopens: [
      { hostPath: host.dir, guestPath: '/data', readOnly: false, policy: 'rollback' } as const,
    ],
  };
  let guest: Guest = startGuest(host, overrides);
  let reachable: { image: CapturedResources; tree: Record<string, string> }[] = [];
  const steps = () => {
    for (let n = chance.below(80); n > 0; n--) operate(guest, chance, done);
  };
  try {
    steps();
    for (let round = 0; round < 8; round++) {
      if (reachable.length === 0 || chance.below(3) > 0) {
        let image: CapturedResources;
        try {
          image = throughImage(await guest.resources.quiesce());
        } catch (error) {
          // A directory that is open and gone.
          expect((error as { code: string }).code).toBe('ERR_NOT_CAPTURABLE');
          for (const [fd, handle] of guest.resources.handles.entries()) {
            if (handle.kind === 'directory' && fd > 3) guest.calls['fd_close']!(fd);
          }
          continue;
        }
        reachable.push({ image, tree: treeOf(host.dir) });
        totals.checkpoints++;
        await guest.resources.resume(chance.below(4) === 0 ? 'aborted' : 'resumed');
      } else {
        // The process is gone without a word; what it held is closed by the system.
        guest.resources.close();
        const at = chance.below(reachable.length);
        const { image, tree } = reachable[at]!;
        reachable = reachable.slice(0, at + 1);
        while (chance.below(3) === 0) {
          const kill = killUndo(chance);
          try {
            (await restoredGuest(host, image, overrides)).resources.close();
          } catch {
            totals.interrupted++;
          } finally {
            kill.restore();
          }
        }
        guest = await restoredGuest(host, image, overrides);
        expect(treeOf(host.dir)).toEqual(tree);
        totals.restores++;
      }
      steps();
    }
  } finally {
    guest.resources.close();
    removeHost(host);
    rmSync(directory, { recursive: true, force: true });
  }
  totals.jobs++;
}

/** What a tree holds but for its times: those are of the run that set them. */
function contentsOf(directory: string): Record<string, string> {
  const tree = treeOf(directory);
  return Object.fromEntries(
    Object.entries(tree).map(([path, what]) => [
      path,
      what.replace(/^(directory|file) (\d+) \d+|^(link .*) \d+$/, '$1$3 $2'),
    ]),
  );
}

/**
 * A job in segments, a checkpoint after each: what its calls answer and what the tree is then, segment by
 * segment. With `killAt`, it is killed somewhere in that segment and goes on from the checkpoint before it.
 */
async function playSegments(seed: number, killAt: number | null) {
  const chance = chanceOf(seed);
  const host = createHost();
  const directory = realpathSync(mkdtempSync(join(tmpdir(), 'stasis-keeping-')));
  const overrides: Partial<Grants> = {
    keeping: { directory, carryBytesMax: 2 ** 24 },
    preopens: [{ hostPath: host.dir, guestPath: '/data', readOnly: false, policy: 'rollback' }],
  };
  let guest = startGuest(host, overrides);
  const played: { answers: string[]; tree: Record<string, string> }[] = [];
  try {
    let image: CapturedResources | null = null;
    for (let segment = 0; segment < SEGMENTS; segment++) {
      if (segment === killAt && image !== null) {
        const lost = chanceOf(seed + segment);
        for (let n = chance.below(60); n > 0; n--) operate(guest, lost, {});
        guest.resources.close();
        guest = await restoredGuest(host, image, overrides);
      }
      const own = chanceOf(seed + segment);
      const answers: string[] = [];
      for (let n = 0; n < 60; n++) answers.push(operate(guest, own, done));
      for (const [fd, handle] of guest.resources.handles.entries()) {
        if (handle.kind === 'directory' && fd > 3) guest.calls['fd_close']!(fd);
      }
      played.push({ answers, tree: contentsOf(host.dir) });
      image = throughImage(await guest.resources.quiesce());
      await guest.resources.resume('resumed');
    }
    return played;
  } finally {
    guest.resources.close();
    removeHost(host);
    rmSync(directory, { recursive: true, force: true });
  }
}

const SEGMENTS = 5;
/** Seeds that thousands of others were needed to find. */
const SCRIPTS_ONCE_WRONG = [75_201];
const JOBS_ONCE_WRONG = [100_225, 101_032];
const SCRIPTS = process.env['STASIS_NIGHTLY'] === undefined ? 4 : 200;

test(`${SCRIPTS} scripts end as if they had never been killed, wherever they are`, async () => {
  const seeds = Array.from({ length: SCRIPTS }, (_, script) => SEED * 70_001 + script * 100);
  for (const seed of [...SCRIPTS_ONCE_WRONG, ...seeds]) {
    const whole = await playSegments(seed, null);
    for (let killAt = 1; killAt < SEGMENTS; killAt++) {
      const replayed = await playSegments(seed, killAt).catch((cause: Error) => {
        throw new Error(`seed ${seed}, killed in segment ${killAt}: ${cause.message}`, { cause });
      });
      expect([seed, killAt, replayed]).toEqual([seed, killAt, whole]);
      totals.replayed++;
    }
  }
}, 1_200_000);

test(`${JOBS} jobs with random operations, checkpoints, kills and restores`, async () => {
  for (const seed of JOBS_ONCE_WRONG) await runJob(seed);
  await eachSeed(SEED, JOBS, runJob);
  // A run that did nothing would prove nothing.
  expect(totals.restores).toBeGreaterThan(JOBS);
  expect(Object.keys(done).length).toBe(16);
}, 1_200_000);

afterAll(() => {
  process.stdout.write(`rollback: ${JSON.stringify({ ...totals, ...done })}, seed ${SEED}\n`);
});
