/** Changing the master key, and changing every key after a leak, beside other processes and after crashes. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { FilePort } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { interruptedFiles } from './interrupted-files.ts';
import { makePlaces } from './places.ts';
import { ALICE, BOB, makeImage, open, opensAs, type Places, sealRequest } from './test-vault.ts';

const HERS = makeImage(1, 6);
const HIS = makeImage(2, 6);

async function makeVault(places: Places) {
  const vault = await open(places);
  const hers = await vault.seal(sealRequest(HERS));
  const his = await vault.seal(sealRequest({ ...HIS, requester: BOB }));
  return { vault, hers, his };
}

test('a new master key opens everything, and the old one nothing', async () => {
  const places = makePlaces();
  const { vault, hers, his } = await makeVault(places);
  const packs = contentOf(join(places.directory, 'packs'));
  const old = readFileSync(places.keyFile);
  expect(await vault.rotateKey({ reencrypt: false })).toEqual({
    owners: 2,
    reencrypted: 0,
    scrubbed: true,
  });
  expect(readFileSync(places.keyFile)).not.toEqual(old);
  expect(readdirSync(join(places.keyFile, '..'))).toEqual(['master.key']);
  expect(contentOf(join(places.directory, 'packs'))).toEqual(packs);
  expect(await opensAs(vault, ALICE, hers, HERS)).toBe(true);
  await vault.rotateKey({ reencrypt: false });
  const later = await vault.seal(sealRequest(HIS));
  await vault.close();

  const again = await open(places, { mode: 'existing' });
  expect(await opensAs(again, ALICE, hers, HERS)).toBe(true);
  expect(await opensAs(again, ALICE, later, HIS)).toBe(true);
  expect(await opensAs(again, BOB, his, HIS)).toBe(true);
  // Entries under three keys are one chain.
  expect((await again.verifyLedger()).entries).toBe(5 + 2 + 1);
  await again.close();
  writeFileSync(places.keyFile, old);
  await expect(open(places)).rejects.toMatchObject({ code: 'ERR_VAULT_KEY' });
});

test('a vault that is open while another process changes the key goes on', async () => {
  const places = makePlaces();
  const { vault, hers } = await makeVault(places);
  const other = await open(places);
  for (const reencrypt of [false, true]) {
    await other.rotateKey({ reencrypt });
    expect(await opensAs(vault, ALICE, hers, HERS)).toBe(true);
    const { id } = await vault.seal(sealRequest(HIS));
    expect(await opensAs(other, ALICE, { id }, HIS)).toBe(true);
  }
  await vault.verifyLedger();
  await Promise.all([vault.close(), other.close()]);
});

test('after a leak nothing that is stored is as it was, and all of it opens', async () => {
  const places = makePlaces();
  const { vault, hers, his } = await makeVault(places);
  const shared = await vault.seal(sealRequest({ ...HERS, head: makeImage(9, 0).head }));
  const before = Object.values(contentOf(join(places.directory, 'packs')));
  expect(await vault.rotateKey({ reencrypt: true })).toEqual({
    owners: 2,
    reencrypted: 2,
    scrubbed: true,
  });
  const after = Object.values(contentOf(join(places.directory, 'packs')));
  expect(after.length).toBe(2);
  expect(after.filter((content) => before.includes(content))).toEqual([]);
  expect((await vault.list(ALICE)).map(({ id }) => id)).toEqual([shared.id, hers.id]);
  expect(await opensAs(vault, ALICE, hers, HERS)).toBe(true);
  expect(await opensAs(vault, BOB, his, HIS)).toBe(true);
  // What is sealed again is known by its new name.
  expect((await vault.seal(sealRequest(HERS))).storedBytes).toBe(0);
  await vault.remove(
    ALICE,
    (await vault.list(ALICE)).map(({ id }) => id),
  );
  await vault.collect({ emptyTrash: true });
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
  await vault.verifyLedger();
  await vault.close();
});

test('what could not be deleted after a leak is deleted when the command is resumed', async () => {
  const places = makePlaces();
  const { vault: made } = await makeVault(places);
  await made.close();
  const packs = join(places.directory, 'packs');
  const leaked = readdirSync(packs);
  let mayDelete = false;
  const files: FilePort = {
    ...nodeFiles,
    remove: async (path) => {
      const isPack = path.endsWith('.pack');
      if (isPack && !mayDelete) throw Object.assign(new Error('EIO'), { code: 'EIO' });
      await nodeFiles.remove(path);
    },
  };
  const vault = await open(places, { files });
  await expect(vault.rotateKey({ reencrypt: true })).rejects.toMatchObject({ code: 'ERR_IO' });
  expect(readdirSync(packs)).toEqual(expect.arrayContaining(leaked));
  mayDelete = true;
  expect(await vault.resumeReencryption()).toBe(0);
  expect(readdirSync(packs).filter((name) => leaked.includes(name))).toEqual([]);
  expect(leaked.length).toBeGreaterThan(0);
  await vault.close();
});

test('a seal that began under an owner key which is replaced begins anew', async () => {
  const places = makePlaces();
  const { vault: other } = await makeVault(places);
  let isRotated = false;
  const files = interruptedFiles(async () => {
    await other.rotateKey({ reencrypt: true });
    isRotated = true;
  });
  const vault = await open(places, { files });
  const image = makeImage(7, 5);
  const sealed = await vault.seal(sealRequest(image));
  expect(isRotated).toBe(true);
  expect(await opensAs(other, ALICE, sealed, image)).toBe(true);
  await Promise.all([vault.close(), other.close()]);
});

/** A file system that ends the process's work at the `failAt`th operation that changes something. */
function failing(failAt: number): { files: FilePort; count: () => number } {
  let count = 0;
  const step = (): void => {
    if (count++ >= failAt) throw Object.assign(new Error('EIO'), { code: 'EIO' });
  };
  const names = ['makeDirectory', 'syncDirectory', 'link', 'rename', 'remove'] as const;
  const changing = Object.fromEntries(
    names.map((name) => [
      name,
      async (...paths: [string, string]) => {
        step();
        await (nodeFiles[name] as (...paths: string[]) => Promise<void>)(...paths);
      },
    ]),
  );
  const files: FilePort = {
    ...nodeFiles,
    ...changing,
    create: async (path) => {
      step();
      const file = await nodeFiles.create(path);
      return {
        ...file,
        write: async (bytes, position) => {
          step();
          return file.write(bytes, position);
        },
        datasync: async () => {
          step();
          await file.datasync();
        },
      };
    },
  };
  return { files, count: () => count };
}

test.each([false, true])(
  'ended at every step, the vault opens (reencrypt: %s)',
  async (reencrypt) => {
    let points = 0;
    for (let failAt = 0; ; failAt++) {
      const places = makePlaces();
      const { vault, hers, his } = await makeVault(places);
      await vault.close();
      const opening = failing(Number.POSITIVE_INFINITY);
      await (await open(places, { files: opening.files })).close();
      const port = failing(opening.count() + failAt);
      const rotating = await open(places, { files: port.files });
      const failed = await rotating.rotateKey({ reencrypt }).then(
        () => false,
        () => true,
      );
      await rotating.close();
      const again = await open(places, { mode: 'existing' });
      expect(existsSync(`${places.keyFile}.next`)).toBe(false);
      await again.resumeReencryption();
      expect(await opensAs(again, ALICE, hers, HERS)).toBe(true);
      expect(await opensAs(again, BOB, his, HIS)).toBe(true);
      await again.verifyLedger();
      await again.collect({ emptyTrash: true });
      await again.close();
      expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(2);
      if (!failed) break;
      points++;
    }
    process.stdout.write(`rotation, reencrypt ${reencrypt}: ended at ${points} points\n`);
    expect(points).toBeGreaterThan(reencrypt ? 15 : 6);
  },
);

function contentOf(directory: string): Record<string, string> {
  return Object.fromEntries(
    readdirSync(directory).map((name) => [
      name,
      readFileSync(join(directory, name)).toString('base64'),
    ]),
  );
}
