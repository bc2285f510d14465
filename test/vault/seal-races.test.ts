/** What happens between the storing of a pack and the commit that names it, forced at that very moment. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import { openEmbeddedStore } from '../../src/store/embedded-store.ts';
import type { FilePort } from '../../src/store/file-port.ts';
import { nodeFiles } from '../../src/store/node-files.ts';
import { readKeyFile } from '../../src/vault/key-file.ts';
import { sealCheckpoint } from '../../src/vault/seal-checkpoint.ts';
import type { VaultContext } from '../../src/vault/vault-context.ts';
import { deriveVaultKeys } from '../../src/vault/vault-keys.ts';
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

/** Runs `meanwhile` once, when the first pack is synced. */
function interrupted(meanwhile: () => Promise<unknown>): FilePort {
  let pending: (() => Promise<unknown>) | null = meanwhile;
  return {
    ...nodeFiles,
    create: async (path) => {
      const file = await nodeFiles.create(path);
      return {
        ...file,
        datasync: async () => {
          const work = pending;
          pending = null;
          await work?.();
          await file.datasync();
        },
      };
    },
  };
}

test('chunks that were to be shared and are removed meanwhile are stored after all', async () => {
  const places = makePlaces();
  const other = await open(places);
  const first = await other.seal(sealRequest(IMAGE));
  const files = interrupted(() => other.remove(ALICE, [first.id]));
  const vault = await open(places, { files });
  const second = await vault.seal(sealRequest(OTHER_HEAD));
  expect(await vault.list(ALICE)).toEqual([second]);
  expect(second.storedBytes).toBeGreaterThan(4 * 65_536);
  expect(await opensAs(other, ALICE, second, OTHER_HEAD)).toBe(true);
  await Promise.all([vault.close(), other.close()]);
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(1);
});

test('chunks that another stored meanwhile are taken from there, and our pack goes', async () => {
  const places = makePlaces();
  const other = await open(places);
  await other.seal(sealRequest(makeImage(1, 1)));
  const files = interrupted(() => other.seal(sealRequest(IMAGE)));
  const vault = await open(places, { files });
  const second = await vault.seal(sealRequest(IMAGE));
  expect(second.storedBytes).toBe(0);
  const listed = await vault.list(ALICE);
  expect(listed).toHaveLength(3);
  await other.remove(ALICE, [listed[1]!.id]);
  expect(await opensAs(other, ALICE, second, IMAGE)).toBe(true);
  await Promise.all([vault.close(), other.close()]);
  expect(readdirSync(join(places.directory, 'packs'))).toHaveLength(2);
});

test('a checkpoint removed while it is being opened is not damage', async () => {
  const places = makePlaces();
  const vault = await open(places);
  const { id } = await vault.seal(sealRequest(IMAGE));
  let reads = 0;
  const files: FilePort = {
    ...nodeFiles,
    open: async (path) => {
      if (path.endsWith('.pack') && ++reads === 2) await vault.remove(ALICE, [id]);
      return nodeFiles.open(path);
    },
  };
  const reader = await open(places, { files });
  await expect(opensAs(reader, ALICE, { id }, IMAGE)).rejects.toMatchObject({
    code: 'ERR_NO_SUCH_CHECKPOINT',
  });
  expect(reads).toBe(2);
  await Promise.all([vault.close(), reader.close()]);
});

test('a commit of unknown outcome keeps its pack: the rows may yet be there', async () => {
  const places = makePlaces();
  await (await open(places)).close();
  const context = await contextOf(places);
  const { store } = context;
  let writes = 0;
  const unsure: VaultContext = {
    ...context,
    store: {
      ...store,
      index: {
        ...store.index,
        write: async (work) => {
          const result = await store.index.write(work);
          // The first adds the owner.
          if (++writes === 1) return result;
          throw new HostError('ERR_IO', 'The commit failed.', { facts: { outcome: 'unknown' } });
        },
      },
    },
  };
  await expect(sealCheckpoint(unsure, sealRequest(IMAGE))).rejects.toMatchObject({
    code: 'ERR_IO',
  });
  await store.close();
  const vault = await open(places);
  const [info] = await vault.list(ALICE);
  expect(await opensAs(vault, ALICE, info!, IMAGE)).toBe(true);
  await vault.close();
});

async function contextOf({ directory, keyFile }: Places): Promise<VaultContext> {
  const store = await openEmbeddedStore({ directory, files: nodeFiles, writer: 'c'.repeat(16) });
  const master = await readKeyFile({ path: keyFile, files: nodeFiles, uid: null });
  const row = await store.index.read((view) => view.vault());
  return {
    store,
    keys: deriveVaultKeys(master!, row!.id),
    now: () => new Date(),
    random: predictableBytes('context'),
  };
}
