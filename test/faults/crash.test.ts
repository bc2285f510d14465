/**
 * Power cuts: a vault's life is recorded operation by operation, SQLite's among them, and ended after each. What
 * was acknowledged is there and whole, what was not is whole or absent, and the vault works on.
 */
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import type { ClaimRequest } from '../../src/vault/use.ts';
import { ALICE, BOB, makeImage } from '../vault/test-vault.ts';
import { crashEverywhere } from './crash-points.ts';
import { type Recorder, record } from './recording.ts';
import { scratchRoot } from './survivor.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const EFFORT = NIGHTLY
  ? { randomPerPoint: 40, nestedEvery: 5, nestedPoints: 4, seed: SEED }
  : { inTurns: true, randomPerPoint: 1, nestedEvery: 25, nestedPoints: 1, seed: SEED };

async function cutEverywhere(
  what: string,
  work: (recorder: Recorder) => Promise<void>,
): Promise<void> {
  const root = scratchRoot();
  try {
    const recording = await record(root, work);
    const bySqlite = recording.steps.filter(({ by }) => by === 'sqlite').length;
    expect(bySqlite).toBeGreaterThan(50);
    const report = await crashEverywhere(recording, EFFORT);
    console.log(
      `power cuts, ${what}: seed ${SEED}, ${report.covered} of ${report.points} points covered, ` +
        `${report.outcomes} outcomes, ${report.nested} of recoveries, ` +
        `at most ${report.undecidedMax} writes undecided; ` +
        `${recording.steps.length} operations recorded, ${bySqlite} of them SQLite's`,
    );
    expect(report.covered).toBe(report.points);
    expect(report.outcomes).toBeGreaterThan(report.points / 3);
  } finally {
    rmSync(root, { recursive: true });
  }
}

test('a vault is made, written, emptied, closed and opened again, and loses power after each operation', () =>
  cutEverywhere('one checkpoint after the other', async (recorder) => {
    let vault = await recorder.openVault();
    const first = await recorder.seal(vault, 'first', makeImage(1, 2));
    await recorder.seal(vault, 'second', { ...makeImage(2, 0), pages: makeImage(1, 2).pages });
    await recorder.seal(vault, 'third', makeImage(3, 1), BOB);
    await recorder.remove(vault, [first]);
    await vault.close();
    vault = await recorder.openVault();
    const fourth = await recorder.seal(vault, 'fourth', makeImage(4, 1));
    await recorder.remove(vault, [fourth]);
    await vault.close();
  }));

const NOTHING_UNUSED = { unusedBytesMax: () => 0 };

test('packs are packed anew and trash is deleted, and power is lost after each operation', () =>
  cutEverywhere('collecting', async (recorder) => {
    const vault = await recorder.openVault();
    const shared = makeImage(1, 4).pages;
    const first = await recorder.seal(vault, 'first', makeImage(1, 4));
    await recorder.seal(vault, 'second', { ...makeImage(2, 0), pages: shared.slice(0, 65_536) });
    await recorder.seal(vault, 'third', makeImage(3, 1), BOB);
    recorder.begin();
    await recorder.remove(vault, [first]);
    const { repackedPacks } = await vault.collect(NOTHING_UNUSED);
    expect(repackedPacks).toBeGreaterThan(0);
    await vault.collect({ emptyTrash: true });
    await vault.close();
  }));

test.each([
  ['the master key is changed', false],
  ['all keys are changed', true],
])('%s, and power is lost after each operation', (what, reencrypt) =>
  cutEverywhere(what, async (recorder) => {
    const vault = await recorder.openVault();
    await recorder.seal(vault, 'first', makeImage(1, 2));
    await recorder.seal(vault, 'second', makeImage(3, 1), BOB);
    recorder.begin();
    await vault.rotateKey({ reencrypt });
    await recorder.seal(vault, 'third', makeImage(2, 1));
    await vault.close();
  }),
);

test('a vault is backed up twice, and power is lost after each operation', () =>
  cutEverywhere('backing up', async (recorder) => {
    const vault = await recorder.openVault();
    const first = await recorder.seal(vault, 'first', makeImage(1, 2));
    await recorder.seal(vault, 'kept', makeImage(2, 1));
    recorder.begin();
    await recorder.backUp(vault);
    await recorder.seal(vault, 'second', makeImage(3, 1), BOB);
    await recorder.remove(vault, [first]);
    await recorder.backUp(vault);
    await vault.close();
  }));

const USE: ClaimRequest = { job: 'job-1', run: 2, how: 'once', fateOf: () => 'running' };

test('a checkpoint is claimed and used up, operators come and go, and power is lost after each operation', () =>
  cutEverywhere('claims and operators', async (recorder) => {
    const vault = await recorder.openVault();
    const first = await recorder.seal(vault, 'first', makeImage(1, 1));
    const second = await recorder.seal(vault, 'second', makeImage(2, 1));
    recorder.begin();
    await recorder.change(vault, `use of ${first}`, 'claimed', () =>
      vault.claim(ALICE, first, USE),
    );
    await recorder.change(vault, 'operators', BOB.owner, () => vault.grant(ALICE, BOB.owner));
    await recorder.change(vault, `use of ${first}`, 'none', () =>
      vault.settle(ALICE, first, USE, false),
    );
    await recorder.change(vault, `use of ${second}`, 'claimed', () =>
      vault.claim(ALICE, second, USE),
    );
    // The checkpoint that a run seals uses up the one that it began at, in one step.
    await recorder.change(vault, `use of ${second}`, 'used', () =>
      recorder.seal(vault, 'third', makeImage(3, 1), ALICE, { from: second, run: USE.run }),
    );
    await recorder.change(vault, 'operators', '', () => vault.revoke(ALICE, BOB.owner));
    await vault.close();
  }));

test('an owner is shredded beside a witness, and power is lost after each operation', () =>
  cutEverywhere('shredding and a witness', async (recorder) => {
    recorder.witnessed = true;
    const vault = await recorder.openVault();
    await recorder.seal(vault, 'kept', makeImage(1, 1));
    await recorder.seal(vault, 'doomed', makeImage(2, 1), BOB);
    recorder.begin();
    await recorder.seal(vault, 'another', makeImage(3, 1), BOB);
    await recorder.shred(vault, BOB);
    await recorder.seal(vault, 'later', makeImage(4, 1));
    await vault.close();
  }));
