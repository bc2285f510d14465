/** Collecting: packs of which little is used are packed anew, and trash goes after two generations. */
import { readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { makePlaces } from './places.ts';
import {
  ALICE,
  BOB,
  makeImage,
  open,
  opensAs,
  PAGE,
  type Places,
  SOFTWARE,
  sealRequest,
} from './test-vault.ts';

const IMAGE = makeImage(4, 20);
/** The last two pages only, of which one can't be compressed. */
const REST = { head: makeImage(5, 0).head, pages: IMAGE.pages.slice(18 * PAGE) };

function packBytes({ directory }: Places): number {
  const packs = join(directory, 'packs');
  return readdirSync(packs).reduce((sum, name) => sum + statSync(join(packs, name)).size, 0);
}

async function makeWasteful(places: Places) {
  const vault = await open(places);
  const whole = await vault.seal(sealRequest(IMAGE));
  const rest = await vault.seal(sealRequest(REST));
  const his = await vault.seal(sealRequest({ ...IMAGE, requester: BOB }));
  await vault.remove(ALICE, [whole.id]);
  return { vault, rest, his };
}

test('what is used of a wasteful pack is packed anew, and the old pack is trash', async () => {
  const places = makePlaces();
  const { vault, rest, his } = await makeWasteful(places);
  const before = packBytes(places);
  const planned = await vault.collect({ dryRun: true });
  expect(planned).toMatchObject({ repackedPacks: 1, deletedPacks: 0 });
  expect(planned.unusedBytes).toBeGreaterThan(8 * PAGE);
  expect(packBytes(places)).toBe(before);

  const done = await vault.collect();
  expect(done).toMatchObject({ repackedPacks: 1, unusedBytes: planned.unusedBytes });
  expect(done.trashPacks).toBe(1);
  expect(await opensAs(vault, ALICE, rest, REST)).toBe(true);
  expect(await opensAs(vault, BOB, his, IMAGE)).toBe(true);
  expect((await vault.collect({ dryRun: true })).unusedBytes).toBe(0);

  // The generation in which it was freed was the first; two more and it is gone.
  expect(await vault.collect()).toMatchObject({ deletedPacks: 0, trashPacks: 1 });
  expect(await vault.collect()).toMatchObject({ deletedPacks: 1, trashPacks: 0 });
  expect(packBytes(places)).toBeLessThan(before - 8 * PAGE);
  expect(await opensAs(vault, ALICE, rest, REST)).toBe(true);
  await vault.verifyLedger();
  await vault.close();
});

test('unused bytes that are allowed stay', async () => {
  const { vault } = await makeWasteful(makePlaces());
  const lenient = { unusedBytesMax: () => Number.POSITIVE_INFINITY };
  expect(await vault.collect(lenient)).toMatchObject({ repackedPacks: 0 });
  expect(await vault.collect({ unusedBytesMax: () => 0 })).toMatchObject({ repackedPacks: 1 });
  await vault.close();
});

test('sealing, reading, removing and collecting side by side lose nothing', async () => {
  const places = makePlaces();
  const vaults = await Promise.all([open(places), open(places), open(places), open(places)]);
  const rounds = 12;
  let collected = 0;
  let read = 0;
  let over = false;
  const sealer = async (which: number): Promise<void> => {
    const vault = vaults[which]!;
    for (let round = 0; round < rounds; round++) {
      const first = await vault.seal(sealRequest({ ...IMAGE, name: `s${which}` }));
      const pages = IMAGE.pages.slice((round % 8) * PAGE);
      const second = await vault.seal(sealRequest({ ...REST, pages, name: `s${which}` }));
      await vault.remove(ALICE, [first.id]);
      expect(await opensAs(vault, ALICE, second, { head: REST.head, pages })).toBe(true);
      if (round % 2 === 0) await vault.remove(ALICE, [second.id]);
    }
  };
  const collector = async (): Promise<void> => {
    while (!over) {
      await vaults[2]!.collect({ unusedBytesMax: () => 0 });
      collected++;
      await pause(2);
    }
  };
  const reader = async (): Promise<void> => {
    while (!over) {
      for (const { id } of (await vaults[3]!.list(ALICE)).slice(0, 2)) {
        try {
          await vaults[3]!.open(ALICE, id, SOFTWARE);
          read++;
        } catch (error) {
          expect(error).toMatchObject({ code: 'ERR_NO_SUCH_CHECKPOINT' });
        }
      }
      await new Promise((resolve) => setImmediate(resolve));
    }
  };
  const beside = Promise.all([collector(), reader()]);
  await Promise.all([sealer(0), sealer(1)]).finally(() => {
    over = true;
  });
  await beside;
  process.stdout.write(
    `${collected} collections, ${read} images read beside ${4 * rounds} seals\n`,
  );
  expect(collected).toBeGreaterThan(0);
  expect(read).toBeGreaterThan(0);
  const left = await vaults[0]!.list(ALICE);
  expect(left).toHaveLength(rounds);
  for (const { id } of left) await vaults[0]!.open(ALICE, id, SOFTWARE);
  await vaults[0]!.verifyLedger();
  await Promise.all(vaults.map((vault) => vault.close()));
});
