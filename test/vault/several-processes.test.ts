/**
 * Four processes on one vault: two seal and remove, one collects without end, and this one lists and reads. None
 * fails, none waits for ever, and what was acknowledged is there.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { startChild } from './killed-child.ts';
import { makePlaces } from './places.ts';
import { ALICE, open, SOFTWARE } from './test-vault.ts';

const SEALS = process.env['STASIS_NIGHTLY'] === undefined ? 15 : 200;

test('two seal, one collects and one reads, all at once', async () => {
  const places = makePlaces();
  const children = [
    startChild('sealing-child.ts', [places.root, '0']),
    startChild('sealing-child.ts', [places.root, '1000']),
    startChild('changing-child.ts', [places.root, 'collect', '0']),
  ];
  const [first, second, collecting] = children as [
    (typeof children)[0],
    (typeof children)[0],
    (typeof children)[0],
  ];
  for (const child of children) await child.line(0);
  const vault = await open(places, { mode: 'existing' });
  const count = (child: typeof first, word: string): number =>
    child.lines().filter((line) => line.startsWith(word)).length;
  let [lists, reads, longestMs] = [0, 0, 0];
  while (
    count(first, 'sealed') < SEALS ||
    count(second, 'sealed') < SEALS ||
    count(collecting, 'done') < SEALS
  ) {
    for (const { child } of children)
      expect([child.exitCode, child.signalCode]).toEqual([null, null]);
    const before = performance.now();
    const listed = await vault.list(ALICE);
    longestMs = Math.max(longestMs, performance.now() - before);
    lists++;
    for (const { id } of listed.slice(0, 2)) {
      try {
        await vault.open(ALICE, id, SOFTWARE);
        reads++;
      } catch (error) {
        expect(error).toMatchObject({ code: 'ERR_NO_SUCH_CHECKPOINT' });
      }
    }
    await pause(5);
  }
  for (const { child } of children) child.kill('SIGKILL');
  await Promise.all(children.map(({ ended }) => ended));
  const ids = new Set((await vault.list(ALICE)).map(({ id }) => id));
  let acknowledged = 0;
  for (const child of [first, second]) {
    const given = new Set<string>();
    for (const line of child.lines()) {
      const [verb, id] = line.split(' ') as [string, string];
      if (verb === 'sealed') given.add(id);
      else given.delete(id);
    }
    acknowledged += given.size;
    expect([...given].filter((id) => !ids.has(id))).toEqual([]);
  }
  expect((await vault.verify({ depth: 'data' })).findings).toEqual([]);
  await vault.close();
  process.stdout.write(
    `${count(first, 'sealed') + count(second, 'sealed')} seals, ${count(collecting, 'done')} collections, ` +
      `${lists} lists (the longest ${longestMs.toFixed(0)} ms), ${reads} images read; ` +
      `${acknowledged} acknowledged and not removed, 0 lost\n`,
  );
  expect(lists).toBeGreaterThan(0);
  expect(acknowledged).toBeGreaterThan(0);
});
