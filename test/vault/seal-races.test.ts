/** What happens between the storing of a pack and the commit that names it, forced at that very moment. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import { openEmbeddedStore } from '../../src/store/embedded-store.ts';
import type { FilePort } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { findMasterKey, unlockVault } from '../../src/vault/master-key.ts';
import { sealCheckpoint } from '../../src/vault/seal-checkpoint.ts';
import { createContext, type VaultContext } from '../../src/vault/vault-context.ts';
import { interruptedFiles } from './interrupted-files.ts';
import { makePlaces } from './places.ts';
import {
  ALICE,
  makeImage,
  open,
  opensAs,
  type Places,
  predictableBytes,
  sealRequest,
} from './test-vault.ts';

const IMAGE = makeImage(4, 8);
/** Shares the pages of the image and nothing else. */
const OTHER_HEAD = { ...IMAGE, head: makeImage(5, 0).head };

test('chunks that were to be shared and are removed meanwhile are stored after all', async () => {
  const places = makePlaces();
  const other = await open(places);
  const first = await other.seal(sealRequest(IMAGE));
  const files = interruptedFiles(() => other.remove(ALICE, [first.id]));
  const vault = await open(places, { files });
  const second = await vault.seal(sealRequest(OTHER_HEAD));
  expect(await vault.list(ALICE)).toEqual([second]);
  expect(second.storedBytes).toBeGreaterThan(4 * 65_536);
  expect(await opensAs(other, ALICE, second, OTHER_HEAD)).toBe(true);
  await other.collect({ emptyTrash: true });
  await Promise.all([vault.close(), other.close()]);
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
});

test('chunks that another stored meanwhile are taken from there, and our pack goes', async () => {
  const places = makePlaces();
  const other = await open(places);
  await other.seal(sealRequest(makeImage(1, 1)));
  const files = interruptedFiles(() => other.seal(sealRequest(IMAGE)));
  const vault = await open(places, { files });
  const second = await vault.seal(sealRequest(IMAGE));
  expect(second.storedBytes).toBe(0);
  const listed = await vault.list(ALICE);
  expect(listed).toHaveLength(3);
  await other.remove(ALICE, [listed[1]!.id]);
  expect(await opensAs(other, ALICE, second, IMAGE)).toBe(true);
  await other.collect({ emptyTrash: true });
  await Promise.all([vault.close(), other.close()]);
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(2);
});

test.each([
  ['is read from the trash', false],
  ['is not damage, when the trash is emptied too', true],
])('a checkpoint removed while it is being opened %s', async (_, emptyTrash) => {
  const places = makePlaces();
  const vault = await open(places);
  const { id } = await vault.seal(sealRequest(IMAGE));
  let reads = 0;
  const files: FilePort = {
    ...nodeFiles,
    open: async (path) => {
      if (path.endsWith('.pack') && ++reads === 2) {
        await vault.remove(ALICE, [id]);
        if (emptyTrash) await vault.collect({ emptyTrash });
      }
      return nodeFiles.open(path);
    },
  };
  const reader = await open(places, { files });
  const opening = opensAs(reader, ALICE, { id }, IMAGE);
  if (emptyTrash) await expect(opening).rejects.toMatchObject({ code: 'ERR_NO_SUCH_CHECKPOINT' });
  else expect(await opening).toBe(true);
  expect(reads).toBe(2);
  await Promise.all([vault.close(), reader.close()]);
});

test('a commit of unknown outcome keeps its pack: the rows may yet be there', async () => {
  const places = makePlaces();
  await (await open(places)).close();
  const context = await contextOf(places);
  let writes = 0;
  const unsure: VaultContext = {
    ...context,
    write: async (work) => {
      const result = await context.write(work);
      // The first adds the owner.
      if (++writes === 1) return result;
      throw new HostError('ERR_IO', 'The commit failed.', { facts: { outcome: 'unknown' } });
    },
  };
  await expect(sealCheckpoint(unsure, sealRequest(IMAGE))).rejects.toMatchObject({
    code: 'ERR_IO',
  });
  await context.store.close();
  const vault = await open(places);
  const [info] = await vault.list(ALICE);
  expect(await opensAs(vault, ALICE, info!, IMAGE)).toBe(true);
  await vault.close();
});

async function contextOf({ directory, keyFile }: Places): Promise<VaultContext> {
  const store = await openEmbeddedStore({ directory, files: nodeFiles, writer: 'c'.repeat(16) });
  const random = predictableBytes('context');
  const master = findMasterKey(
    { kind: 'file', path: keyFile },
    { files: nodeFiles, uid: null, random },
  );
  return createContext({
    store,
    now: () => new Date(),
    random,
    unlock: (row) => unlockVault(master, row),
    witness: null,
  });
}
