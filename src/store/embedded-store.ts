/**
 * The store on this machine's disk: an index in SQLite and packs in files, all in one directory.
 *
 *   index.sqlite    the index (and its -wal and -shm)
 *   packs/          sealed chunks (`pack-files.ts`)
 *   writers/        leases of the processes that write packs
 */
import { join } from 'node:path';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { FilePort } from './file-port.ts';
import { openPackFiles } from './pack-files.ts';
import { openSqliteIndex } from './sqlite-index.ts';
import type { Store } from './store.ts';

const BUSY_MS_MAX = 30_000;

export interface EmbeddedStoreOptions {
  readonly directory: string;
  readonly files: FilePort;
  /** 16 hex digits that no other open store has. */
  readonly writer: string;
  /** How long a transaction waits for other processes; 30 s unless told. */
  readonly busyMsMax?: number;
}

/**
 * What of a store there is in `directory`, without touching it. Packs are looked for only where there is no index:
 * there may be very many. Throws ERR_IO.
 */
export async function findEmbeddedStore(
  directory: string,
  files: FilePort,
): Promise<{ readonly index: boolean; readonly packs: boolean }> {
  try {
    if (await hasIndex(directory, files)) return { index: true, packs: false };
    // Packs first: in a vault that is being made right now, the index is there before any pack.
    const packs = await listsPacks(directory, files);
    return { index: await hasIndex(directory, files), packs };
  } catch (error) {
    throw ioFailure('look into the vault', error);
  }
}

/** Whether there is any pack, named by the index or not. Throws ERR_IO. */
export async function hasPacks(directory: string, files: FilePort): Promise<boolean> {
  try {
    return await listsPacks(directory, files);
  } catch (error) {
    throw ioFailure('look into the vault', error);
  }
}

async function hasIndex(directory: string, files: FilePort): Promise<boolean> {
  const index = await files.look(join(directory, 'index.sqlite'));
  // An empty file is one that a crash left before anything was in it.
  return index !== null && index.bytes > 0;
}

async function listsPacks(directory: string, files: FilePort): Promise<boolean> {
  const packs = join(directory, 'packs');
  return (await files.look(packs)) !== null && (await files.list(packs)).length > 0;
}

/** Opens the store in an existing directory, or makes one there. Throws as `openSqliteIndex` does. */
export async function openEmbeddedStore(options: EmbeddedStoreOptions): Promise<Store> {
  const { directory, files, writer, busyMsMax = BUSY_MS_MAX } = options;
  const indexPath = join(directory, 'index.sqlite');
  try {
    await files.makeDirectory(join(directory, 'packs'));
    await files.makeDirectory(join(directory, 'writers'));
    // SQLite would make it readable for everybody, and gives its log the same mode.
    await createEmpty(indexPath, files);
  } catch (error) {
    throw ioFailure('make the vault', error);
  }
  const index = await openSqliteIndex({ path: indexPath, busyMsMax });
  try {
    // With the name of SQLite's log, which is there by now: SQLite syncs it as well, but goes on when it can't.
    await files.syncDirectory(directory);
  } catch (error) {
    await index.close();
    throw ioFailure('make the vault', error);
  }
  const packs = openPackFiles({ directory, files, index, writer });
  return {
    index,
    packs,
    close: async () => {
      await packs.close();
      await index.close();
    },
  };
}

async function createEmpty(path: string, files: FilePort): Promise<void> {
  try {
    await (await files.create(path)).close();
  } catch (error) {
    if (errorCode(error) !== 'EEXIST') throw error;
  }
}
