/**
 * SIGKILL at random moments of a process that seals and of one that collects, changes keys or backs up beside it.
 * What was acknowledged is there and whole under the key that is there, and a backup that was acknowledged holds
 * what was acknowledged before it began.
 */
import { readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { seededRandom } from '../cbor/random-value.ts';
import { type Running, startChild } from './killed-child.ts';
import { makePlaces } from './places.ts';
import { ALICE, makeImage, open, opensAs, type Places } from './test-vault.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] !== undefined;
const ROUNDS = NIGHTLY ? 500 : 3;
/** Both are killed some time after so many lines or changes at most: so much is acknowledged on any machine. */
const LINES_MAX = 10;
const CHANGES_MAX = 3;
const PAUSE_MS_MAX = 60;
const SEED = Number(process.env['STASIS_SEED'] ?? 7);

test.each(['collect', 'back up', 'rotate', 'reencrypt'])(
  `a process that was to %s, and one that seals, killed in ${ROUNDS} rounds`,
  async (what) => {
    const places = makePlaces();
    const random = seededRandom(SEED);
    const expected = new Set<string>();
    let acknowledged = 0;
    let changes = 0;
    let backups = 0;
    for (let round = 0; round < ROUNDS; round++) {
      const sealing = startChild('sealing-child.ts', [places.root, `${round * 1000}`]);
      const changing = startChild('changing-child.ts', [places.root, what, `${round * 1000}`]);
      const before = new Map<string, ReadonlySet<string>>();
      changing.onLine((line) => {
        const [, number] = /^backing up (\d+)$/.exec(line) ?? [];
        if (number !== undefined) before.set(number, new Set(acknowledgedBy(sealing, expected)));
      });
      const changesBefore = 1 + Math.floor(random() * CHANGES_MAX);
      await Promise.all([
        sealing.line(Math.floor(random() * LINES_MAX)),
        changing.line(changesBefore * (what === 'back up' ? 2 : 1)),
      ]);
      const first = random() < 0.5 ? [sealing, changing] : [changing, sealing];
      for (const { child } of first) {
        await pause(random() * PAUSE_MS_MAX);
        child.kill('SIGKILL');
      }
      await Promise.all([sealing.ended, changing.ended]);
      const now = acknowledgedBy(sealing, expected);
      acknowledged += sealing.lines().filter((line) => line.startsWith('sealed')).length;
      changes += changing.lines().filter((line) => /^(done|backed up)/.test(line)).length;
      for (const line of changing.lines()) {
        const [, number] = /^backed up (\d+)$/.exec(line) ?? [];
        if (number === undefined) continue;
        backups++;
        // Removed since, or about to be: a backup of that moment may lack it.
        const wanted = [...before.get(number)!].filter((id) => now.has(id));
        await checkVault({ ...places, directory: join(places.root, `backup-${number}`) }, wanted);
      }
      for (const name of readdirSync(places.root)) {
        if (name.startsWith('backup-')) rmSync(join(places.root, name), { recursive: true });
      }
      expected.clear();
      for (const id of now) expected.add(id);
      await checkVault(places, [...expected]);
    }
    console.log(
      `${what}: seed ${SEED}, ${ROUNDS} rounds, ${acknowledged} seals acknowledged, 0 lost; ${changes} changes, ${backups} backups`,
    );
    expect(acknowledged).toBeGreaterThanOrEqual(ROUNDS);
    expect(changes).toBeGreaterThanOrEqual(ROUNDS);
    expect(readdirSync(join(places.keyFile, '..'))).toEqual(['master.key']);
  },
);

/** What must be there: sealed, and no removal begun. */
function acknowledgedBy(sealing: Running, before: ReadonlySet<string>): Set<string> {
  const ids = new Set(before);
  for (const line of sealing.lines()) {
    const [verb, id] = line.split(' ') as [string, string];
    if (verb === 'sealed') ids.add(id);
    else ids.delete(id);
  }
  return ids;
}

async function checkVault(places: Places, wanted: readonly string[]): Promise<void> {
  const vault = await open(places, { mode: 'existing' });
  try {
    await vault.resumeReencryption();
    const listed = await vault.list(ALICE);
    const ids = new Set(listed.map(({ id }) => id));
    expect(wanted.filter((id) => !ids.has(id))).toEqual([]);
    for (const info of listed.slice(0, 6)) {
      expect(await opensAs(vault, ALICE, info, makeImage(Number(info.name) % 7, 12))).toBe(true);
    }
    await vault.verifyLedger();
  } finally {
    await vault.close();
  }
}
