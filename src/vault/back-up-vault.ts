/**
 * Backing up a vault while it is used, and putting a backup back. A backup is a vault in another directory,
 * as it was at one moment: it opens with the same key, which it does not hold.
 *
 *   1. the packs are held, so that none is deleted
 *   2. the index is copied, as it is at one moment, to `index.partial`
 *   3. packs that this copy names and the backup does not have yet are copied, each to `<name>.partial` and
 *      then renamed: a pack never changes, so one that is there is the same
 *   4. `index.partial` is made durable and becomes `index.sqlite`: from here on the backup is the new one
 *   5. packs that the backup does not name any more are deleted from it
 *
 * Killed before 4, the backup is what it was, with some packs more, or none if it is the first; killed after
 * it, the new one with some packs more. Doing it again ends it.
 */
import { join, resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import { makeDurableDirectory } from '../store/durable-directory.ts';
import { copyWhole } from '../store/durable-file.ts';
import { findEmbeddedStore } from '../store/embedded-store.ts';
import type { FilePort } from '../store/file-port.ts';
import { isWrittenTo } from '../store/pack-files.ts';
import { readCopiedIndex } from '../store/sqlite-index.ts';
import type { Store } from '../store/store.ts';

export interface BackedUp {
  /** Of the backup as a whole. */
  readonly packs: number;
  /** What had to be copied now. */
  readonly copiedPacks: number;
  readonly copiedBytes: number;
  readonly removedPacks: number;
}

export interface CopyPlaces {
  readonly from: string;
  readonly to: string;
  readonly files: FilePort;
}

/** Throws ERR_USAGE for a place within the vault; ERR_DISK_FULL, ERR_IO, ERR_VAULT_BUSY. */
export async function backUpVault(
  { store }: { readonly store: Store },
  { from, to, files }: CopyPlaces,
): Promise<BackedUp> {
  const target = resolve(to);
  if (`${target}/`.startsWith(`${resolve(from)}/`)) {
    throw new HostError('ERR_USAGE', 'A backup can not lie within the vault.', {
      hint: 'name a directory on another disk',
    });
  }
  await refuseForeign(target, files);
  await refuseOtherVault(store, target, files);
  const hold = await store.packs.hold();
  try {
    return await copyVault(store, { from, to: target, files });
  } finally {
    await hold.release();
  }
}

async function copyVault(store: Store, { from, to, files }: CopyPlaces): Promise<BackedUp> {
  const packs = join(to, 'packs');
  const partial = join(to, 'index.partial');
  try {
    await makeDurableDirectory(packs, files);
    await files.makeDirectory(join(to, 'writers'));
    // A journal that a copy left when it was cut off would be taken for this one's.
    for (const name of [`${partial}-journal`, partial]) {
      if ((await files.look(name)) !== null) await files.remove(name);
    }
    // SQLite would make it readable for everybody.
    await (await files.create(partial)).close();
    // By its name a copy that was cut off is known, before there is anything else of it.
    await files.syncDirectory(to);
  } catch (error) {
    throw ioFailure('make the backup', error);
  }
  await store.index.copyTo(partial);
  const { packs: named } = await readCopiedIndex(partial);
  const done = { packs: named.length, copiedPacks: 0, copiedBytes: 0, removedPacks: 0 };
  try {
    const there = new Set(await files.list(packs));
    for (const name of named) {
      if (there.has(name)) continue;
      const scratch = join(packs, `${name}.partial`);
      if (there.delete(`${name}.partial`)) await files.remove(scratch);
      done.copiedBytes += await copyWhole(join(from, 'packs', name), scratch, files);
      await files.rename(scratch, join(packs, name));
      done.copiedPacks++;
    }
    await files.syncDirectory(packs);
    await syncFile(partial, files);
    // A log of the backup's former index, left by who opened it, must not be taken for the new one's.
    for (const log of ['index.sqlite-wal', 'index.sqlite-shm']) {
      if ((await files.look(join(to, log))) !== null) await files.remove(join(to, log));
    }
    await files.rename(partial, join(to, 'index.sqlite'));
    await files.syncDirectory(to);
    const wanted = new Set(named);
    for (const name of there) {
      if (wanted.has(name)) continue;
      await files.remove(join(packs, name));
      done.removedPacks++;
    }
    return done;
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure('copy the vault', error);
  }
}

async function syncFile(path: string, files: FilePort): Promise<void> {
  const file = await files.open(path);
  try {
    await file.datasync();
  } finally {
    await file.close();
  }
}

/** The backup of another vault, or a vault that somebody uses, is not written over. */
async function refuseOtherVault(store: Store, to: string, files: FilePort): Promise<void> {
  const index = join(to, 'index.sqlite');
  if (!(await findEmbeddedStore(to, files)).index) return;
  const { vault } = await readCopiedIndex(index);
  const own = await store.index.read((view) => view.vault());
  if (vault === null || own === null || Buffer.compare(vault, own.id) !== 0) {
    throw new HostError('ERR_USAGE', 'The place for the backup holds another vault.', {
      facts: { directory: to },
      hint: 'name an empty directory, or one with a backup of this vault',
    });
  }
  if (await isWrittenTo(to, files)) {
    throw new HostError('ERR_VAULT_BUSY', 'The place for the backup is a vault in use.', {
      facts: { directory: to },
      hint: 'name another directory',
    });
  }
}

/** Whether a copy was begun there, and has no index yet. */
async function isCutOff(to: string, files: FilePort): Promise<boolean> {
  try {
    return (await files.look(join(to, 'index.partial'))) !== null;
  } catch (error) {
    throw ioFailure('look at the place for the vault', error);
  }
}

/** A directory that holds something else than a backup is left alone. */
async function refuseForeign(to: string, files: FilePort): Promise<void> {
  let names: readonly string[] = [];
  try {
    if ((await files.look(to)) === null) return;
    names = await files.list(to);
  } catch (error) {
    throw ioFailure('look at the place for the backup', error);
  }
  const own = /^(packs|writers|index\.(partial(-journal)?|sqlite(-wal|-shm)?))$/;
  if (names.every((name) => own.test(name))) return;
  throw new HostError('ERR_USAGE', 'The place for the backup holds something else.', {
    facts: { directory: to },
    hint: 'name an empty directory, or one with a backup of this vault',
  });
}

/**
 * Throws ERR_NO_SUCH_DIRECTORY unless there is a backup, and ERR_STATE_ACCESS when there is a vault already:
 * one is never overwritten.
 */
export async function checkRestorePlaces({ from, to, files }: CopyPlaces): Promise<void> {
  if (!(await findEmbeddedStore(from, files)).index) {
    throw new HostError('ERR_NO_SUCH_DIRECTORY', 'There is no backup of a vault.', {
      facts: { directory: from },
    });
  }
  const found = await findEmbeddedStore(to, files);
  if (!found.index && (!found.packs || (await isCutOff(to, files)))) return;
  throw new HostError('ERR_STATE_ACCESS', 'There is a vault already, and it is not overwritten.', {
    facts: { directory: to },
    hint: 'move it away first; what the backup lacks would be lost',
  });
}
