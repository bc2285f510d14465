/** A vault that is put back as a whole looks like what it was; a witness kept elsewhere knows better. */
import { cpSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FilePort } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { makePlaces } from './places.ts';
import { ALICE, makeImage, open, opensAs, type Places, sealRequest } from './test-vault.ts';

const IMAGE = makeImage(1, 3);

async function twoSeals(): Promise<Places & { witness: string; copy: string }> {
  const places = makePlaces();
  const witness = join(places.root, 'witness');
  const vault = await open(places, { witness });
  await vault.seal(sealRequest(IMAGE));
  await vault.close();
  const copy = join(places.root, 'copy');
  cpSync(places.directory, copy, { recursive: true });
  const again = await open(places, { witness });
  await again.seal(sealRequest({ ...IMAGE, name: 'second' }));
  await again.close();
  return { ...places, witness, copy };
}

function putBack({ directory, copy }: { directory: string; copy: string }): void {
  rmSync(directory, { recursive: true });
  cpSync(copy, directory, { recursive: true });
}

const ROLLED_BACK = expect.objectContaining({ code: 'ERR_VAULT_ROLLED_BACK' });

test('a vault put back as it once was is refused by name, and without a witness it is not seen', async () => {
  const places = await twoSeals();
  putBack(places);
  await expect(open(places, { witness: places.witness })).rejects.toEqual(ROLLED_BACK);
  await (await open(places)).close();
});

test('a vault that went another way is refused, also when it came further', async () => {
  const places = await twoSeals();
  putBack(places);
  const other = await open(places);
  for (const name of ['a', 'b', 'c']) await other.seal(sealRequest({ ...IMAGE, name }));
  await other.close();
  await expect(open(places, { witness: places.witness })).rejects.toMatchObject({
    code: 'ERR_VAULT_ROLLED_BACK',
    message: expect.stringContaining('another way'),
  });
});

test('another vault, and a witness that was changed, are refused', async () => {
  const places = await twoSeals();
  const strange = makePlaces();
  await (await open(strange)).close();
  await expect(open(strange, { witness: places.witness })).rejects.toEqual(ROLLED_BACK);
  const line = readFileSync(places.witness, 'utf8');
  for (const changed of ['', 'x', line.replace(/[0-9a-f]\n$/, 'g\n'), `${line}${line}`]) {
    writeFileSync(places.witness, changed);
    await expect(open(places, { witness: places.witness })).rejects.toEqual(ROLLED_BACK);
  }
});

test('a rollback that is accepted stands in the ledger, and the witness goes on from there', async () => {
  const places = await twoSeals();
  putBack(places);
  const { witness } = places;
  await (await open(places, { witness, acceptRollback: true })).close();
  const vault = await open(places, { witness });
  const { entries } = await vault.audit({ event: 'rollback accepted' });
  expect(entries).toHaveLength(1);
  expect(entries[0]!.facts).toMatchObject({ seenNumber: 4 });
  const sealed = await vault.seal(sealRequest(IMAGE));
  expect(await opensAs(vault, ALICE, sealed, IMAGE)).toBe(true);
  await vault.close();
  expect(readFileSync(witness, 'utf8')).toMatch(/^stasis witness 1 [0-9a-f]{32} 5 [0-9a-f]{64}\n$/);
});

test('a witness that lags by what a crash cut off is no rollback', async () => {
  const places = await twoSeals();
  const vault = await open(places);
  const late = await vault.seal(sealRequest({ ...IMAGE, name: 'late' }));
  await vault.close();
  const again = await open(places, { witness: places.witness });
  expect(await opensAs(again, ALICE, late, IMAGE)).toBe(true);
  await again.close();
});

test('a seal whose witness can not be written is not acknowledged, and its checkpoint is whole', async () => {
  const places = await twoSeals();
  let isBroken = false;
  const files: FilePort = {
    ...nodeFiles,
    rename: async (from, to) => {
      if (isBroken) throw Object.assign(new Error('ENOSPC'), { code: 'ENOSPC' });
      await nodeFiles.rename(from, to);
    },
  };
  const vault = await open(places, { files, witness: places.witness });
  isBroken = true;
  const image = makeImage(8, 4);
  await expect(vault.seal(sealRequest(image))).rejects.toMatchObject({ code: 'ERR_DISK_FULL' });
  isBroken = false;
  const [last] = await vault.list(ALICE);
  expect(await opensAs(vault, ALICE, last!, image)).toBe(true);
  await vault.close();
});

test('several vaults that seal at once leave the witness with the newest entry', async () => {
  const places = makePlaces();
  const witness = join(places.root, 'witness');
  const vaults = await Promise.all([0, 1, 2].map(() => open(places, { witness })));
  await Promise.all(
    Array.from({ length: 12 }, (_, index) =>
      vaults[index % 3]!.seal(sealRequest({ ...IMAGE, name: `${index}` })),
    ),
  );
  const { head } = await vaults[0]!.audit({});
  await Promise.all(vaults.map((vault) => vault.close()));
  expect(readFileSync(witness, 'utf8')).toContain(` ${head.entries} ${head.head}\n`);
});
