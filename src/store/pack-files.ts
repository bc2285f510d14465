/**
 * Packs as files: `packs/<writer>-<number>.pack`, each a row of sealed chunks with nothing before,
 * between or after them. `<writer>` is 16 hex digits, one writer a process; `writers/<writer>.lease` is
 * its lease (`writer-lease.ts`), and `writers/<writer>.hold` a lock of the same kind by which somebody
 * keeps all packs from being deleted, such as who copies them.
 *
 * Invariants:
 * 1. A pack whose writer holds its lease is never swept.
 * 2. A pack that a sweep removes is not named by the index at a time when nobody can name it any more.
 * 3. A lease file stays until the packs of its writer have been looked through, unless the writer itself
 *    left nothing behind.
 * 4. What is in the trash is deleted by a sweep only, and by none while somebody has a hold.
 * 5. A lease is durable before a pack of its writer exists. So where no lease was left behind there is no pack that
 *    nobody names, and a sweep need not list all packs to know it.
 */
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { FileFacts, FilePort, OpenFile } from './file-port.ts';
import type { SqliteIndex } from './sqlite-index.ts';
import type { IndexView, PackHold, PackStore, PackWriter, SweepScope, Swept } from './store.ts';
import { type Lease, takeLease } from './writer-lease.ts';

const PACK_NAME = /^([0-9a-f]{16})-[0-9]{1,15}\.pack$/;
const LEASE_NAME = /^([0-9a-f]{16})\.lease$/;
const HOLD_NAME = /^[0-9a-f]{16}-[0-9]{1,15}\.hold$/;

export interface PackFilesOptions {
  readonly directory: string;
  readonly files: FilePort;
  readonly index: Pick<SqliteIndex, 'exclusively'>;
  /** 16 hex digits that no other writer has. */
  readonly writer: string;
}

/** How a sweep deletes. */
interface Discard {
  /** False: it could not be deleted now, and stays in the trash. */
  readonly fromTrash: (path: string) => Promise<boolean>;
  readonly orphan: (path: string, operation: string) => Promise<void>;
}

/** What a sweep asks of the index. */
type SweepRows = Pick<IndexView, 'pack' | 'trash'> & {
  generation(): Promise<number>;
  forgetTrash(name: string): Promise<void>;
  touch(): Promise<void>;
  packNames(): Promise<ReadonlySet<string>>;
};

export interface PackFiles extends PackStore {
  close(): Promise<void>;
}

export function openPackFiles(options: PackFilesOptions): PackFiles {
  const { directory, files, index, writer } = options;
  const packs = join(directory, 'packs');
  const writers = join(directory, 'writers');
  const leasePath = join(writers, `${writer}.lease`);
  let lease: Promise<Lease> | null = null;
  let created = 0;
  let holds = 0;
  let leftBehind = false;
  /** Packs were deleted that the directory may still name after a power cut. */
  let discarded = false;

  return {
    create: async () => {
      lease ??= acquireLease();
      try {
        await lease;
      } catch (error) {
        lease = null;
        throw error;
      }
      return createWriter(`${writer}-${created++}.pack`);
    },
    read: (pack, offsetBytes, lengthBytes) => readPack(pack, offsetBytes, lengthBytes),
    lengthOf: async (pack) => {
      checkName(pack);
      return (await look(pack))?.bytes ?? null;
    },
    sweep: async (keptGenerations, scope) => {
      const planned = await index.exclusively((rows) => sweep(rows, keptGenerations, scope, null));
      // A commit of which nobody knows whether it failed may still stand at the end of the log, and name
      // one of the orphans. Any other commit takes its place there, for good.
      if (planned.orphans > 0) await index.exclusively((rows) => rows.touch());
      if (planned.packs === 0 && planned.locks === 0) return planned;
      const failures: unknown[] = [];
      const swept = await index.exclusively((rows) =>
        sweep(rows, keptGenerations, scope, {
          fromTrash: async (path) => {
            try {
              await removeFile(path, 'delete a pack from the trash');
              return true;
            } catch (failure) {
              failures.push(failure);
              return false;
            }
          },
          orphan: removeFile,
        }),
      );
      // Told only now: what could be deleted is forgotten, and the next sweep has no more to do than this one.
      if (failures.length > 0) throw failures[0];
      return swept;
    },
    planSweep: (keptGenerations) =>
      index.exclusively((rows) => sweep(rows, keptGenerations, 'everything', null)),
    hold,
    destroy: async (names) => {
      for (const pack of names) {
        checkName(pack);
        await removeFile(join(packs, pack), 'delete a pack');
      }
      await syncPacks();
    },
    close: async () => {
      if (lease === null) return;
      const held = await lease;
      // Durable before the lease is gone, as in a sweep.
      if (discarded && !leftBehind) {
        await syncPacks().catch(() => {
          leftBehind = true;
        });
      }
      if (!leftBehind) await files.remove(leasePath).catch(() => undefined);
      held.release();
    },
  };

  function acquireLease(): Promise<Lease> {
    return index.exclusively(async () => {
      const taken = await lockNew(leasePath, "make a writer's lease");
      try {
        await files.syncDirectory(writers);
        return taken;
      } catch (error) {
        taken.release();
        await files.remove(leasePath).catch(() => undefined);
        throw ioFailure("make a writer's lease", error);
      }
    });
  }

  /** Only within a transaction of the index: nobody else then judges locks. */
  async function lockNew(path: string, operation: string): Promise<Lease> {
    try {
      const file = await files.create(path);
      await file.close();
    } catch (error) {
      throw ioFailure(operation, error);
    }
    const taken = takeLease(path);
    if (taken === null) {
      throw new HostError('ERR_VAULT_BUSY', `Could not ${operation}: the lock is in use.`);
    }
    return taken;
  }

  function createWriter(pack: string): PackWriter {
    const path = join(packs, pack);
    let file: OpenFile | null = null;
    let lengthBytes = 0;
    return {
      pack,
      get lengthBytes() {
        return lengthBytes;
      },
      append: async (parts) => {
        try {
          file ??= await files.create(path);
          const bytes = parts.length === 1 ? parts[0]! : Buffer.concat(parts);
          await writeWhole(file, bytes, lengthBytes);
          lengthBytes += bytes.length;
        } catch (error) {
          throw ioFailure('write a pack', error);
        }
      },
      sync: async () => {
        if (file === null) return;
        try {
          await file.datasync();
          await files.syncDirectory(packs);
        } catch (error) {
          throw ioFailure('make a pack durable', error);
        }
      },
      close: async () => {
        // All was synced before: a failure to close loses nothing.
        await file?.close().catch(() => undefined);
        file = null;
      },
      leave: async () => {
        leftBehind = true;
        await file?.close().catch(() => undefined);
        file = null;
      },
      discard: async () => {
        if (file === null) return;
        await file.close().catch(() => undefined);
        file = null;
        try {
          await files.remove(path);
          discarded = true;
        } catch {
          leftBehind = true;
        }
      },
    };
  }

  async function readPack(
    pack: string,
    offsetBytes: number,
    lengthBytes: number,
  ): Promise<Uint8Array> {
    checkName(pack);
    let file: OpenFile;
    try {
      file = await files.open(join(packs, pack));
    } catch (error) {
      if (errorCode(error) === 'ENOENT') throw damagedPack(pack, 'it is missing');
      throw ioFailure('open a pack', error);
    }
    try {
      const bytes = Buffer.allocUnsafeSlow(lengthBytes);
      for (let at = 0; at < lengthBytes; ) {
        const count = await file.read(bytes.subarray(at), offsetBytes + at);
        if (count === 0) throw damagedPack(pack, 'its end is missing');
        at += count;
      }
      return bytes;
    } catch (error) {
      if (error instanceof HostError) throw error;
      throw ioFailure('read a pack', error);
    } finally {
      await file.close().catch(() => undefined);
    }
  }

  /** With `discard` null it only counts. */
  async function sweep(
    rows: SweepRows,
    keptGenerations: number,
    scope: SweepScope,
    discard: Discard | null,
  ): Promise<Swept & { readonly orphans: number; readonly locks: number }> {
    const locks = await listNames(writers);
    const holds = locks.filter((name) => HOLD_NAME.test(name));
    const dead = new Set<string>();
    for (const name of locks) {
      const known = HOLD_NAME.test(name) || LEASE_NAME.test(name);
      if (known && isFree(join(writers, name))) dead.add(name);
    }
    const held = holds.some((name) => !dead.has(name));
    const swept = await emptyTrash(
      rows,
      held ? Number.POSITIVE_INFINITY : keptGenerations,
      discard,
    );
    const looks = scope === 'everything' || dead.size > 0;
    const orphans = looks ? await listOrphans(rows, locks, dead) : [];
    for (const { name, bytes } of orphans) {
      swept.packs++;
      swept.bytes += bytes;
      await discard?.orphan(join(packs, name), 'sweep a pack');
    }
    if (discard !== null) {
      // Durable before their leases are gone, or nobody would look for them again.
      if (orphans.length > 0) await syncPacks();
      for (const name of dead) await discard.orphan(join(writers, name), 'sweep a lease');
    }
    return { ...swept, held, orphans: orphans.length, locks: dead.size };
  }

  async function emptyTrash(
    rows: SweepRows,
    keptGenerations: number,
    discard: Discard | null,
  ): Promise<{ packs: number; bytes: number; kept: number; keptBytes: number }> {
    const swept = { packs: 0, bytes: 0, kept: 0, keptBytes: 0 };
    const generation = await rows.generation();
    for (const row of await rows.trash()) {
      checkName(row.pack);
      if (generation - row.generation < keptGenerations) {
        swept.kept++;
        swept.keptBytes += row.bytes;
        continue;
      }
      swept.packs++;
      swept.bytes += row.bytes;
      if (discard === null) continue;
      // A damaged list must not cost a pack that is in use.
      const isGone =
        (await rows.pack(row.pack)) !== null || (await discard.fromTrash(join(packs, row.pack)));
      if (isGone) await rows.forgetTrash(row.pack);
    }
    return swept;
  }

  /** Packs that neither the index nor the trash names and whose writer is gone, with or without a lease. */
  async function listOrphans(
    rows: SweepRows,
    locks: readonly string[],
    dead: ReadonlySet<string>,
  ): Promise<{ readonly name: string; readonly bytes: number }[]> {
    const live = new Set(locks.filter((name) => !dead.has(name)));
    const trash = new Set((await rows.trash()).map(({ pack }) => pack));
    const named = await rows.packNames();
    const orphans: { readonly name: string; readonly bytes: number }[] = [];
    for (const name of await listNames(packs)) {
      const owner = PACK_NAME.exec(name)?.[1];
      if (owner === undefined || live.has(`${owner}.lease`) || trash.has(name)) continue;
      if (named.has(name)) continue;
      orphans.push({ name, bytes: (await look(name))?.bytes ?? 0 });
    }
    return orphans;
  }

  async function hold(): Promise<PackHold> {
    const path = join(writers, `${writer}-${holds++}.hold`);
    const taken = await index.exclusively(() => lockNew(path, 'hold the packs'));
    return {
      release: async () => {
        await files.remove(path).catch(() => undefined);
        taken.release();
      },
    };
  }

  async function look(pack: string): Promise<FileFacts | null> {
    try {
      return await files.look(join(packs, pack));
    } catch (error) {
      throw ioFailure('look at a pack', error);
    }
  }

  async function syncPacks(): Promise<void> {
    try {
      await files.syncDirectory(packs);
    } catch (error) {
      throw ioFailure("make the vault's files durable", error);
    }
  }

  async function listNames(path: string): Promise<readonly string[]> {
    try {
      return await files.list(path);
    } catch (error) {
      throw ioFailure("list the vault's files", error);
    }
  }

  async function removeFile(path: string, operation: string): Promise<void> {
    try {
      await files.remove(path);
    } catch (error) {
      if (errorCode(error) !== 'ENOENT') throw ioFailure(operation, error);
    }
  }
}

/** Whether some process has written packs of the store in `directory`, or holds them, and still lives. */
export async function isWrittenTo(directory: string, files: FilePort): Promise<boolean> {
  const writers = join(directory, 'writers');
  try {
    if ((await files.look(writers)) === null) return false;
    const names = await files.list(writers);
    return names.some(
      (name) => (LEASE_NAME.test(name) || HOLD_NAME.test(name)) && !isFree(join(writers, name)),
    );
  } catch (error) {
    throw ioFailure("list the vault's files", error);
  }
}

/** Whether nobody holds the lease. One that can't be judged counts as held. */
function isFree(path: string): boolean {
  try {
    const lease = takeLease(path);
    lease?.release();
    return lease !== null;
  } catch {
    return false;
  }
}

/** Names come out of the index, which is not trusted with paths. */
function checkName(pack: string): void {
  if (!PACK_NAME.test(pack)) throw damagedPack('?', 'its name is not one of ours');
}

function damagedPack(pack: string, why: string): HostError {
  return new HostError('ERR_VAULT_DAMAGED', `A pack of the vault is damaged: ${why}.`, {
    facts: { pack },
  });
}

async function writeWhole(file: OpenFile, bytes: Uint8Array, position: number): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const count = await file.write(bytes.subarray(at), position + at);
    if (count === 0) throw new Error('a write that writes nothing would be tried for ever');
    at += count;
  }
}
