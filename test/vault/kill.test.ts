/**
 * SIGKILL at random moments of processes that seal and remove. What was acknowledged must be there and
 * whole, what was not must be whole or absent, and nothing may be left behind in the end.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { seededRandom } from '../cbor/random-value.ts';
import { type Running, startChild } from './killed-child.ts';
import { makePlaces } from './places.ts';
import { ALICE, makeImage, open, opensAs } from './test-vault.ts';

const ROUNDS = process.env['STASIS_NIGHTLY'] === undefined ? 20 : 500;
/** A process is killed some time after one of its first lines: so much is acknowledged on the slowest machine too. */
const LINES_MAX = 8;
const PAUSE_MS_MAX = 30;

test(`${ROUNDS} rounds of two processes killed at random`, async () => {
  const places = makePlaces();
  const random = seededRandom(11);
  const expected = new Set<string>();
  const gone = new Set<string>();
  let acknowledged = 0;
  for (let round = 0; round < ROUNDS; round++) {
    const children = [start(places.root, round * 2), start(places.root, round * 2 + 1)];
    // The first line is that of a seal.
    await Promise.all(children.map((running) => running.line(Math.floor(random() * LINES_MAX))));
    for (const { child } of children) {
      await pause(random() * PAUSE_MS_MAX);
      child.kill('SIGKILL');
    }
    for (const { ended, lines } of children) {
      await ended;
      for (const line of lines()) {
        const [verb, id] = line.split(' ') as [string, string];
        if (verb === 'sealed') {
          expected.add(id);
          acknowledged++;
        } else {
          // From `removing` on it may be gone; at `removed` it is.
          expected.delete(id);
          if (verb === 'removed') gone.add(id);
        }
      }
    }
    const vault = await open(places, { mode: 'existing' });
    const listed = await vault.list(ALICE);
    const ids = new Set(listed.map(({ id }) => id));
    expect([...expected].filter((id) => !ids.has(id))).toEqual([]);
    expect([...gone].filter((id) => ids.has(id))).toEqual([]);
    for (const info of listed.slice(0, 8)) {
      expect(await opensAs(vault, ALICE, info, makeImage(Number(info.name) % 7, 12))).toBe(true);
    }
    await vault.verifyLedger();
    if (round === ROUNDS - 1) {
      for (const info of listed) {
        expect(await opensAs(vault, ALICE, info, makeImage(Number(info.name) % 7, 12))).toBe(true);
      }
      await vault.remove(ALICE, [...ids]);
    }
    await vault.close();
  }
  process.stdout.write(
    `${ROUNDS} rounds of two processes, ${acknowledged} seals acknowledged and ${gone.size} removals, 0 lost\n`,
  );
  expect(acknowledged).toBeGreaterThanOrEqual(2 * ROUNDS);
  const empty = await open(places);
  expect(await empty.list(ALICE)).toEqual([]);
  await empty.collect({ emptyTrash: true });
  await empty.close();
  expect(readdirSync(join(places.directory, 'packs'))).toEqual([]);
  expect(readdirSync(join(places.directory, 'writers'))).toEqual([]);
});

function start(root: string, number: number): Running {
  return startChild('sealing-child.ts', [root, `${number * 1000}`]);
}
