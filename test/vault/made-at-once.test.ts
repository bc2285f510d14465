/** A vault that several processes make at the same moment is one vault, and none of them fails. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { startChild } from './killed-child.ts';
import { makePlaces } from './places.ts';
import { ALICE, makeImage, open, opensAs, placesIn } from './test-vault.ts';

const VAULTS = process.env['STASIS_NIGHTLY'] === undefined ? 60 : 1000;
const MAKERS = 3;
/** Enough for a line to come through a pipe; where it isn't, the processes meet less closely. */
const NOTICE_MS = 15;

test(`${VAULTS} vaults made by ${MAKERS} processes at once`, async () => {
  const { root } = makePlaces();
  const seeds = Array.from({ length: MAKERS }, (_, number) => number + 1);
  const makers = seeds.map((seed) => startChild('making-child.ts', [`${seed}`]));
  await Promise.all(makers.map((maker) => maker.line(0)));
  let sealed = 0;
  for (let round = 1; round <= VAULTS; round++) {
    const places = placesIn(join(root, `${round}`));
    mkdirSync(places.root);
    const moment = Date.now() + NOTICE_MS;
    for (const { child } of makers) child.stdin.write(`${moment} ${places.root}\n`);
    const lines = await Promise.all(makers.map((maker) => maker.line(round)));
    const vault = await open(places, { mode: 'existing' });
    const listed = await vault.list(ALICE);
    expect(listed.map(({ id }) => `sealed ${id}`).sort()).toEqual([...lines].sort());
    for (const info of listed) {
      expect(await opensAs(vault, ALICE, info, makeImage(Number(info.name), 2))).toBe(true);
      sealed++;
    }
    await vault.verifyLedger();
    await vault.close();
  }
  for (const { child } of makers) child.kill('SIGKILL');
  await Promise.all(makers.map(({ ended }) => ended));
  process.stdout.write(
    `${VAULTS} vaults made by ${MAKERS} processes at once, ${sealed} images whole\n`,
  );
  expect(sealed).toBe(VAULTS * MAKERS);
});
