/**
 * Packs as files: `packs/<writer>-<number>.pack`, each a row of sealed chunks with nothing before,
 * between or after them. `<writer>` is 16 hex digits, one writer a process; `writers/<writer>.lease` is
 * its lease (`writer-lease.ts`).
 *
 * Invariants:
 * 1. A pack whose writer holds its lease is never swept.
 * 2. A pack that a sweep removes is not named by the index at a time when nobody can name it any more.
 * 3. A lease file stays until the packs of its writer have been looked through, unless the writer itself
 *    left nothing behind.
 */
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { FilePort, OpenFile } from './file-port.ts';
import type { SqliteIndex } from './sqlite-index.ts';
import type { PackStore, PackWriter } from './store.ts';
import { type Lease, takeLease } from './writer-lease.ts';

const PACK_NAME = /^([0-9a-f]{16})-[0-9]{1,15}\.pack$/;
const LEASE_NAME = /^([0-9a-f]{16})\.lease$/;

export interface PackFilesOptions {
  readonly directory: string;
  readonly files: FilePort;
  readonly index: Pick<SqliteIndex, 'exclusively'>;
  /** 16 hex digits that no other writer has. */
  readonly writer: string;
}

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
  let leftBehind = false;

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
    remove: async (pack) => {
      checkName(pack);
      await removeFile(join(packs, pack), 'remove a pack');
    },
    sweep,
    close: async () => {
      if (lease === null) return;
      const held = await lease;
      if (!leftBehind) await files.remove(leasePath).catch(() => undefined);
      held.release();
    },
  };

  async function acquireLease(): Promise<Lease> {
    return index.exclusively(async () => {
      try {
        const file = await files.create(leasePath);
        await file.close();
      } catch (error) {
        throw ioFailure("make a writer's lease", error);
      }
      const taken = takeLease(leasePath);
      if (taken === null) {
        throw new HostError('ERR_VAULT_BUSY', "Could not lock the writer's lease: it is in use.");
      }
      return taken;
    });
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
      discard: async () => {
        if (file === null) return;
        await file.close().catch(() => undefined);
        file = null;
        await files.remove(path).catch(() => {
          leftBehind = true;
        });
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

  /** Packs of writers whose lease is free and that the index doesn't name, and packs freed earlier. */
  async function sweep(): Promise<void> {
    const leases = (await listNames(writers)).filter((name) => LEASE_NAME.test(name));
    await index.exclusively(async (rows) => {
      for (const pack of await rows.freedPacks()) {
        checkName(pack);
        // A damaged list must not cost a pack that is in use.
        if ((await rows.pack(pack)) === null) {
          await removeFile(join(packs, pack), 'remove a freed pack');
        }
        await rows.forgetFreedPack(pack);
      }
      const dead = new Set(leases.filter((name) => isFree(join(writers, name))));
      if (dead.size === 0) return;
      for (const pack of await listNames(packs)) {
        const owner = PACK_NAME.exec(pack)?.[1];
        if (owner === undefined || !dead.has(`${owner}.lease`)) continue;
        if ((await rows.pack(pack)) === null) await removeFile(join(packs, pack), 'sweep a pack');
      }
      for (const name of dead) await removeFile(join(writers, name), 'sweep a lease');
    });
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
