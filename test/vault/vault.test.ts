import { randomBytes } from 'node:crypto';
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makePlaces } from './places.ts';
import {
  ALICE,
  BOB,
  makeImage,
  open,
  opensAs,
  PAGE,
  SOFTWARE,
  sealRequest,
  steadyClock,
} from './test-vault.ts';

test('a checkpoint comes back bit by bit, with all that was said about it', async () => {
  const places = makePlaces();
  const image = makeImage(7, 20);
  const vault = await open(places, { now: () => new Date('2026-11-23T10:00:00.123Z') });
  const sealed = await vault.seal(sealRequest({ ...image, run: 4, cause: 'timer' }));
  expect(sealed).toMatchObject({
    job: 'job-1',
    name: 'nqueens',
    sequence: 1,
    stamp: '2026-11-23T10:00:00.123Z',
    cause: 'timer',
    software: SOFTWARE,
    entry: 'cli',
    run: 4,
    logBytes: 17,
    imageBytes: image.head.length + 20 * PAGE,
  });
  expect(sealed.id).toMatch(/^[0-9a-f]{32}$/);
  await vault.close();

  const again = await open(places, { mode: 'existing' });
  expect(await again.list(ALICE)).toEqual([sealed]);
  expect((await again.open(ALICE, sealed.id, SOFTWARE)).info).toEqual(sealed);
  expect(await opensAs(again, ALICE, sealed, image)).toBe(true);
  await again.close();
});

test.each([0, 1, 70_000])('an image of no pages and a head of %i bytes', async (length) => {
  const vault = await open(makePlaces());
  const image = { head: new Uint8Array(randomBytes(length)), pages: new Uint8Array(0) };
  expect(await opensAs(vault, ALICE, await vault.seal(sealRequest(image)), image)).toBe(true);
  await vault.close();
});

describe('finding', () => {
  test('by sequence, name, job, id and time', async () => {
    const clock = steadyClock('2026-01-01T00:00:01.000Z');
    const vault = await open(makePlaces(), { now: clock.now });
    const first = await vault.seal(sealRequest({ name: 'a', job: 'j1' }));
    clock.set('2026-01-01T00:00:02.000Z');
    const second = await vault.seal(sealRequest({ name: 'b', job: 'j2' }));
    clock.set('2026-01-01T00:00:03.000Z');
    const third = await vault.seal(sealRequest({ name: 'a', job: 'j3' }));
    expect(await vault.list(ALICE)).toEqual([third, second, first]);
    expect(await vault.list(ALICE, { name: 'a' })).toEqual([third, first]);
    expect(await vault.list(ALICE, { job: 'j2' })).toEqual([second]);
    expect(await vault.list(ALICE, { name: 'a', job: 'j2' })).toEqual([]);
    expect(await vault.find(ALICE, {})).toEqual(third);
    expect(await vault.find(ALICE, { name: 'b' })).toEqual(second);
    expect(await vault.find(ALICE, { name: 'c' })).toBeNull();
    expect(await vault.find(ALICE, { id: first.id })).toEqual(first);
    expect(await vault.find(ALICE, { id: first.id, name: 'b' })).toBeNull();
    expect(await vault.find(ALICE, { at: new Date('2026-01-01T00:00:02.999Z') })).toEqual(second);
    expect(await vault.find(ALICE, { at: new Date('2026-01-01T00:00:02.000Z') })).toEqual(second);
    expect(
      await vault.find(ALICE, { name: 'a', at: new Date('2026-01-01T00:00:02.000Z') }),
    ).toEqual(first);
    expect(await vault.find(ALICE, { at: new Date('2025-01-01T00:00:00.000Z') })).toBeNull();
    await vault.close();
  });

  test('stamps ascend with the sequence when the clock stands, goes back a year or comes back', async () => {
    const clock = steadyClock('2026-06-01T00:00:00.000Z');
    const places = makePlaces();
    let vault = await open(places, { now: clock.now });
    const stamps: string[] = [];
    const times = ['2026-06-01', '2025-06-01', '2126-06-01', '1926-06-01'];
    for (const time of times) {
      clock.set(`${time}T00:00:00.000Z`);
      for (let twice = 0; twice < 2; twice++) stamps.push((await vault.seal(sealRequest())).stamp);
      await vault.close();
      vault = await open(places, { now: clock.now });
    }
    expect(stamps).toEqual([
      '2026-06-01T00:00:00.000Z',
      '2026-06-01T00:00:00.001Z',
      '2026-06-01T00:00:00.002Z',
      '2026-06-01T00:00:00.003Z',
      '2126-06-01T00:00:00.000Z',
      '2126-06-01T00:00:00.001Z',
      '2126-06-01T00:00:00.002Z',
      '2126-06-01T00:00:00.003Z',
    ]);
    expect((await vault.find(ALICE, {}))?.sequence).toBe(8);
    await vault.close();
  });

  test('a sequence is never given twice, even when the last checkpoint was removed', async () => {
    const vault = await open(makePlaces());
    const first = await vault.seal(sealRequest());
    const second = await vault.seal(sealRequest());
    await vault.remove(ALICE, [second.id]);
    expect((await vault.find(ALICE, {}))?.id).toBe(first.id);
    expect((await vault.seal(sealRequest())).sequence).toBe(3);
    await vault.close();
  });
});

describe('space', () => {
  const packsOf = (directory: string): number =>
    readdirSync(join(directory, 'packs')).reduce(
      (bytes, name) => bytes + statSync(join(directory, 'packs', name)).size,
      0,
    );

  test('only chunks that the owner does not have are stored', async () => {
    const places = makePlaces();
    const vault = await open(places);
    const image = makeImage(3, 40);
    const first = await vault.seal(sealRequest(image));
    const pages = image.pages.slice();
    pages[3 * PAGE + 5]! ^= 1;
    const second = await vault.seal(sealRequest({ ...image, pages }));
    const third = await vault.seal(sealRequest({ ...image, pages }));
    expect(first.storedBytes).toBeGreaterThan(20 * PAGE);
    expect(first.storedBytes).toBeLessThan(21 * PAGE);
    expect(second.storedBytes).toBeLessThan(1.1 * PAGE);
    expect(third.storedBytes).toBe(0);
    expect(packsOf(places.directory)).toBe(first.storedBytes + second.storedBytes);
    expect(await opensAs(vault, ALICE, third, { ...image, pages })).toBe(true);
    await vault.close();
  });

  test('owners share nothing', async () => {
    const vault = await open(makePlaces());
    const image = makeImage(3, 10);
    const hers = await vault.seal(sealRequest(image));
    const his = await vault.seal(sealRequest({ ...image, requester: BOB }));
    expect(his.storedBytes).toBe(hers.storedBytes);
    await vault.close();
  });

  test('removing frees what nothing else uses, and nothing else', async () => {
    const places = makePlaces();
    const vault = await open(places);
    const shared = makeImage(3, 10);
    const pages = shared.pages.slice();
    pages.set(makeImage(9, 3).pages, 0);
    const first = await vault.seal(sealRequest(shared));
    const second = await vault.seal(sealRequest({ ...shared, pages }));
    const third = await vault.seal(sealRequest({ ...shared, pages }));
    await vault.remove(ALICE, [first.id]);
    expect(await opensAs(vault, ALICE, second, { ...shared, pages })).toBe(true);
    await vault.remove(ALICE, [second.id]);
    expect(await opensAs(vault, ALICE, third, { ...shared, pages })).toBe(true);
    await vault.remove(ALICE, [third.id]);
    expect(await vault.list(ALICE)).toEqual([]);
    await vault.collect({ emptyTrash: true });
    expect(readdirSync(join(places.directory, 'packs'))).toEqual([]);
    await vault.close();
  });

  test('removing is all or nothing', async () => {
    const vault = await open(makePlaces());
    const mine = await vault.seal(sealRequest());
    const his = await vault.seal(sealRequest({ requester: BOB }));
    for (const ids of [[mine.id, his.id], [mine.id, 'ff'.repeat(16)], [his.id]]) {
      await expect(vault.remove(ALICE, ids)).rejects.toMatchObject({
        code: 'ERR_NO_SUCH_CHECKPOINT',
      });
    }
    await vault.remove(ALICE, []);
    expect(await vault.list(ALICE)).toEqual([mine]);
    expect(await vault.list(BOB)).toEqual([his]);
    await vault.close();
  });
});

test('several vaults on one directory seal, read and remove side by side', async () => {
  const places = makePlaces();
  const vaults = await Promise.all([open(places), open(places), open(places)]);
  const image = makeImage(5, 12);
  const sealed = await Promise.all(
    Array.from({ length: 12 }, async (_, round) => {
      const vault = vaults[round % 3]!;
      const pages = image.pages.slice();
      pages[round * PAGE] = 255;
      const info = await vault.seal(sealRequest({ ...image, pages, name: `job-${round % 4}` }));
      return { info, pages };
    }),
  );
  const sequences = sealed.map(({ info }) => info.sequence).sort((a, b) => a - b);
  expect(sequences).toEqual(Array.from({ length: 12 }, (_, index) => index + 1));
  expect(new Set(sealed.map(({ info }) => info.stamp)).size).toBe(12);
  // The chunks that all share go with the last one only, whoever stored them.
  for (const [index, { info, pages }] of sealed.entries()) {
    expect(await opensAs(vaults[(index + 1) % 3]!, ALICE, info, { ...image, pages })).toBe(true);
    await vaults[(index + 2) % 3]!.remove(ALICE, [info.id]);
  }
  expect((await vaults[0]!.verifyLedger()).entries).toBe(2 + 12 + 12);
  await vaults[1]!.collect({ emptyTrash: true });
  await Promise.all(vaults.map((vault) => vault.close()));
  expect(readdirSync(join(places.directory, 'packs'))).toEqual([]);
  expect(readdirSync(join(places.directory, 'writers'))).toEqual([]);
});

test('sealing while another removes what it shares never loses a chunk', async () => {
  const places = makePlaces();
  const [one, two] = [await open(places), await open(places)];
  const image = makeImage(6, 24);
  let last = await one.seal(sealRequest(image));
  for (let round = 0; round < 10; round++) {
    const [next] = await Promise.all([one.seal(sealRequest(image)), two.remove(ALICE, [last.id])]);
    expect(await opensAs(two, ALICE, next, image)).toBe(true);
    last = next;
  }
  await Promise.all([one.close(), two.close()]);
});

test('files are for their owner alone', async () => {
  const places = makePlaces();
  const vault = await open(places);
  await vault.seal(sealRequest());
  const paths = readdirSync(places.root, { recursive: true, encoding: 'utf8' });
  expect(paths.length).toBeGreaterThan(6);
  for (const path of paths) {
    expect(statSync(join(places.root, path)).mode & 0o077, path).toBe(0);
  }
  await vault.close();
});

test('half a page, or an owner without a name, is refused', async () => {
  const vault = await open(makePlaces());
  for (const change of [{ pages: new Uint8Array(5) }, { requester: { ...ALICE, owner: '' } }]) {
    await expect(vault.seal(sealRequest(change))).rejects.toMatchObject({ code: 'ERR_USAGE' });
  }
  expect(await vault.list(ALICE)).toEqual([]);
  await vault.close();
});
