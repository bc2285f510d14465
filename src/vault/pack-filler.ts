/**
 * Writes chunks into new packs, one after the other, each pack under a key of its own and up to a size.
 */
import type { KeyObject } from 'node:crypto';
import { HostError } from '../fault/host-error.ts';
import type { ChunkRow, PackRow, PackWriter } from '../store/store.ts';
import { type PackedChunk, sealChunk } from './chunk.ts';
import type { VaultContext } from './vault-context.ts';
import { makePackKey, type OwnerKeys } from './vault-keys.ts';

const WRITE_BYTES = 1_048_576;
const PACK_BYTES_MAX = 268_435_456;

interface OpenPack {
  readonly writer: PackWriter;
  readonly key: KeyObject;
  readonly wrappedKey: Uint8Array;
}

export interface PackFiller {
  /** ERR_DISK_FULL, ERR_IO; after either everything can only be discarded. */
  add(chunk: {
    readonly identity: Uint8Array;
    readonly plainBytes: number;
    readonly packed: PackedChunk;
  }): Promise<ChunkRow>;
  /** Makes all that was added durable; more can be added, to other packs. ERR_DISK_FULL, ERR_IO. */
  finish(): Promise<readonly Omit<PackRow, 'owner'>[]>;
  /** Ends the writing of packs that the index names by now. */
  close(): Promise<void>;
  /** Ends the writing of packs of which nobody knows whether the index will name them. Never rejects. */
  leave(): Promise<void>;
  /** Deletes all packs. Never rejects. */
  discard(): Promise<void>;
}

/** Whether the rows of a transaction that failed may yet be there, so that what they name must stay. */
export function mayCommitYet(error: unknown): boolean {
  return error instanceof HostError && error.facts['outcome'] === 'unknown';
}

export function createPackFiller({ store, random }: VaultContext, keys: OwnerKeys): PackFiller {
  let open: OpenPack | null = null;
  const full: { readonly row: Omit<PackRow, 'owner'>; readonly writer: PackWriter }[] = [];
  let parts: Uint8Array[] = [];
  let waitingBytes = 0;

  async function flush(): Promise<void> {
    if (open === null || parts.length === 0) return;
    const now = parts;
    parts = [];
    waitingBytes = 0;
    await open.writer.append(now);
  }

  async function closePack(): Promise<void> {
    if (open === null) return;
    await flush();
    const { writer, wrappedKey } = open;
    await writer.sync();
    full.push({ row: { name: writer.pack, wrappedKey, bytes: writer.lengthBytes }, writer });
    open = null;
  }

  return {
    add: async (chunk) => {
      if (open === null) {
        const writer = await store.packs.create();
        const { key, wrapped } = makePackKey(keys, writer.pack, random);
        open = { writer, key, wrappedKey: wrapped };
      }
      const { writer, key } = open;
      const place = { pack: writer.pack, offsetBytes: writer.lengthBytes + waitingBytes };
      const { row, parts: sealed } = sealChunk(keys, key, place, chunk);
      parts.push(...sealed);
      waitingBytes += row.storedBytes;
      if (waitingBytes >= WRITE_BYTES) await flush();
      if (writer.lengthBytes >= PACK_BYTES_MAX) await closePack();
      return row;
    },
    finish: async () => {
      await closePack();
      return full.map(({ row }) => row);
    },
    close: async () => {
      for (const { writer } of full) await writer.close();
    },
    leave: async () => {
      if (open !== null) await open.writer.leave();
      open = null;
      for (const { writer } of full) await writer.leave();
    },
    discard: async () => {
      if (open !== null) await open.writer.discard();
      open = null;
      for (const { writer } of full) await writer.discard();
    },
  };
}
