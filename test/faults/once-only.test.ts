/**
 * What happens to a vault once: it comes out of an older version, it is put back from a backup. And the witness beside
 * it. With the power cut after each operation, and with an error of the system at each.
 */
import { cpSync, existsSync, mkdirSync, rmSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Vault } from '../../src/vault/vault.ts';
import { GOLDEN_IMAGES } from '../vault/golden-vault.ts';
import { ALICE, BOB, makeImage, open, opensAs } from '../vault/test-vault.ts';
import { crashEverywhere } from './crash-points.ts';
import { putDown, readDown } from './disk-image.ts';
import { FAULT_PLANS, type Met } from './fault-everywhere.ts';
import { type CopiedWork, faultsOnCopies } from './faults-on-copies.ts';
import { HARMLESS_ANYWHERE } from './judge.ts';
import { expectedAfter, placesBelow, RESTORED, type Recorder, record } from './recording.ts';
import { scratchRoot } from './survivor.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const CUTS = NIGHTLY
  ? { randomPerPoint: 40, nestedEvery: 5, nestedPoints: 4, seed: SEED }
  : { inTurns: true, randomPerPoint: 1, nestedEvery: 25, nestedPoints: 1, seed: SEED };
const FAULTS = NIGHTLY
  ? { seed: SEED, every: 1, cutEvery: 1, randomPerPoint: 10 }
  : { seed: SEED, every: 4, cutEvery: 8, randomPerPoint: 1 };

const NEXT = makeImage(50, 1);

type Start = Pick<CopiedWork, 'start' | 'before'>;

interface Case extends Omit<CopiedWork, 'start' | 'before'> {
  readonly title: string;
  readonly prepare: () => Promise<Start>;
}

const CASES: readonly Case[] = [
  ...[1, 2].map((format) => ({
    title: `a vault of format ${format} is opened and written`,
    prepare: () => goldenStart(format),
    work: openSealClose,
    after: worksOn,
    harmless: [
      ...HARMLESS_ANYWHERE,
      [/closing: sqlite .*index\.sqlite(-wal)?$/, "SQLite's log stays, and says it all"],
      [/opening: sqlite read .*index\.sqlite$/, 'SQLite reads it again'],
    ] as const,
  })),
  {
    title: 'a vault beside a witness is opened and written',
    prepare: witnessedStart,
    work: openSealClose,
    after: worksOn,
    harmless: [
      ...HARMLESS_ANYWHERE,
      [/closing: sqlite .*index\.sqlite(-wal)?$/, "SQLite's log stays, and says it all"],
    ],
  },
  {
    title: 'a backup is put back',
    prepare: backedUpStart,
    work: (recorder) => recorder.restore(),
    after: isPutBack,
    harmless: [
      ...HARMLESS_ANYWHERE,
      [
        /sqlite .*again\/index\.sqlite(-wal)?$/,
        "of the closing; SQLite's log stays, and says it all",
      ],
    ],
  },
];

describe.each(CASES)('$title', ({ title, prepare, ...rest }) => {
  test('and the power is cut after each operation', async () => {
    const { start, before } = await prepare();
    const root = scratchRoot();
    try {
      putDown(root, start);
      const recording = await record(root, rest.work, before);
      const report = await crashEverywhere(recording, CUTS, start);
      console.log(
        `power cuts, ${title}: seed ${SEED}, ${report.covered} of ${report.points} points covered, ` +
          `${report.outcomes} outcomes, ${report.nested} of recoveries`,
      );
      expect(report.covered).toBe(report.points);
      expect(report.points).toBeGreaterThan(10);
    } finally {
      rmSync(root, { recursive: true });
    }
  });

  test.each(NIGHTLY ? FAULT_PLANS : FAULT_PLANS.slice(0, 1))('with $name', async (plan) => {
    const prepared = await prepare();
    const { points, outcomes } = await faultsOnCopies(plan, { ...prepared, ...rest }, FAULTS);
    const which = FAULTS.every === 1 ? 'at each operation' : `at every ${FAULTS.every}th operation`;
    console.log(
      `${plan.name}, ${title}: seed ${SEED}, ${points} times, ${which}; ${outcomes} cuts`,
    );
    expect(points).toBeGreaterThan(10);
  });
});

async function openSealClose(recorder: Recorder): Promise<void> {
  const vault = await recorder.openVault();
  try {
    await recorder.seal(vault, 'next', NEXT);
  } finally {
    await recorder.closeVault(vault);
  }
}

async function worksOn(recorder: Recorder): Promise<void> {
  const vault = await recorder.openVault();
  await holdsAll(recorder, vault);
  const id = await recorder.seal(vault, 'later', NEXT);
  expect(await opensAs(vault, ALICE, { id }, NEXT)).toBe(true);
  await recorder.remove(vault, [id]);
  expect((await vault.verify({ depth: 'data' })).findings).toEqual([]);
  await recorder.closeVault(vault);
}

async function isPutBack(recorder: Recorder, met: Met | null): Promise<void> {
  const places = { ...placesBelow(recorder.root), directory: join(recorder.root, RESTORED) };
  // Cut off, it goes on when it is given again; the index comes last.
  if (!existsSync(join(places.directory, 'index.sqlite'))) await recorder.restore();
  const vault = await open(places, { mode: 'existing' });
  await holdsAll(recorder, vault);
  const { entries } = await vault.audit({ event: 'restored from backup' });
  if (met?.error == null) expect(entries.length).toBeGreaterThan(0);
  expect((await vault.verify({ depth: 'data' })).findings).toEqual([]);
  await vault.close();
}

/** What was promised, whole; and what else is there, whole too. */
async function holdsAll(recorder: Recorder, vault: Vault): Promise<void> {
  const listed = new Set<string>();
  for (const requester of [ALICE, BOB]) {
    for (const info of await vault.list(requester)) {
      listed.add(info.id);
      const image = recorder.images.get(info.name)!;
      expect(await opensAs(vault, requester, info, image)).toBe(true);
    }
  }
  const { kept } = expectedAfter(recorder, recorder.steps.length);
  expect([...kept.keys()].filter((id) => !listed.has(id))).toEqual([]);
  await vault.verifyLedger();
}

/** A vault as an older version wrote it. */
async function goldenStart(format: number): Promise<Start> {
  const root = scratchRoot();
  const golden = join(import.meta.dirname, '..', 'vault', 'golden', `format-${format}`);
  const { directory, keyFile } = placesBelow(root);
  for (const made of [directory, dirname(keyFile)]) mkdirSync(made, { recursive: true });
  cpSync(join(golden, 'master.key'), keyFile);
  cpSync(join(golden, 'index.sqlite'), join(directory, 'index.sqlite'));
  cpSync(join(golden, 'packs'), join(directory, 'packs'), { recursive: true });
  const start = readDown(root);
  // What it holds is asked of another copy: to open it is to change it.
  rmSync(root, { recursive: true });
  mkdirSync(root);
  putDown(root, start);
  const vault = await open(placesBelow(root));
  const infos = [...(await vault.list(ALICE)), ...(await vault.list(BOB))];
  await vault.close();
  const told = infos.map(({ id, name }) => ({ at: 0, what: 'sealed' as const, id, name }));
  expect(told).toHaveLength(3);
  rmSync(root, { recursive: true });
  return { start, before: { told, images: new Map(Object.entries(GOLDEN_IMAGES)) } };
}

function witnessedStart(): Promise<Start> {
  return startAfter(async (recorder) => {
    recorder.witnessed = true;
    const vault = await recorder.openVault();
    await recorder.seal(vault, 'first', makeImage(1, 1));
    await vault.close();
  });
}

function backedUpStart(): Promise<Start> {
  return startAfter(async (recorder) => {
    const vault = await recorder.openVault();
    await recorder.seal(vault, 'first', makeImage(1, 2));
    await recorder.seal(vault, 'second', makeImage(2, 1), BOB);
    await recorder.backUp(vault);
    await vault.close();
  });
}

async function startAfter(work: (recorder: Recorder) => Promise<void>): Promise<Start> {
  const root = scratchRoot();
  try {
    const before = await record(root, work);
    return { start: readDown(root), before };
  } finally {
    rmSync(root, { recursive: true });
  }
}
