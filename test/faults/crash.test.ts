/**
 * Power cuts: a vault's life is recorded operation by operation, SQLite's among them, and ended after each. What
 * was acknowledged is there and whole, what was not is whole or absent, and the vault works on.
 */
import { rmSync } from 'node:fs';
import { expect, test } from 'vitest';
import { ALICE, BOB, makeImage } from '../vault/test-vault.ts';
import { crashEverywhere } from './crash-points.ts';
import { record } from './recording.ts';
import { scratchRoot } from './survivor.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const EFFORT = NIGHTLY
  ? { randomPerPoint: 40, nestedEvery: 5, nestedPoints: 4, seed: SEED }
  : { randomPerPoint: 1, nestedEvery: 20, nestedPoints: 2, seed: SEED };

test('a vault is made, written, emptied, closed and opened again, and loses power after each operation', async () => {
  const root = scratchRoot();
  try {
    const recording = await record(root, async (recorder) => {
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
    });
    const bySqlite = recording.steps.filter(({ by }) => by === 'sqlite').length;
    expect(bySqlite).toBeGreaterThan(50);
    const report = await crashEverywhere(recording, EFFORT);
    console.log(
      `power cuts: seed ${SEED}, ${report.covered} of ${report.points} points covered, ` +
        `${report.outcomes} outcomes, ${report.nested} of recoveries, ` +
        `at most ${report.undecidedMax} writes undecided; ` +
        `${recording.steps.length} operations recorded, ${bySqlite} of them SQLite's`,
    );
    expect(report.covered).toBe(report.points);
    expect(report.outcomes).toBeGreaterThan(report.points);
  } finally {
    rmSync(root, { recursive: true });
  }
  expect(ALICE.owner).not.toBe(BOB.owner);
});
