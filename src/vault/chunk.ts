/**
 * Chunks: what an image is cut into, how a chunk is named, compressed and sealed.
 *
 * Invariants:
 * 1. A chunk's identity is the HMAC of its plaintext under its owner's key: equal chunks of one owner are
 *    stored once, and equal chunks of two owners have nothing in common.
 * 2. A sealed chunk opens only at its own place: vault, owner, pack, offset, lengths, method and identity
 *    are all bound to it.
 * 3. Nothing is decompressed before it is authenticated, nor to more bytes than it had.
 */
import type { KeyObject } from 'node:crypto';
import { promisify } from 'node:util';
import { constants, zstdCompress, zstdDecompressSync } from 'node:zlib';
import type { ChunkRow } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import { bindTo, NONCE_BYTES, openWith, sealWith, TAG_BYTES } from './sealing.ts';
import { authenticate, type OwnerKeys } from './vault-keys.ts';

export const CHUNK_BYTES = 65_536;
export const IDENTITY_BYTES = 32;

const STORED = 0;
const ZSTD = 1;
/** The fastest level that still halves typical heaps: the guest waits for none of this, but the host does. */
const ZSTD_LEVEL = 1;

const compressAsync = promisify(zstdCompress) as (
  bytes: Uint8Array,
  options: object,
) => Promise<Uint8Array>;

export interface PackedChunk {
  readonly method: number;
  readonly bytes: Uint8Array;
}

export type ChunkPlace = Pick<ChunkRow, 'pack' | 'offsetBytes'>;

export function chunkIdentity(keys: OwnerKeys, plain: Uint8Array): Uint8Array {
  return authenticate(keys.identity, plain);
}

/** Compressed in the thread pool; as it is when that makes it no smaller. */
export async function compressChunk(plain: Uint8Array): Promise<PackedChunk> {
  const bytes = await compressAsync(plain, {
    // Room for all of the output at once: each further round trip costs as much as the compression.
    chunkSize: plain.length + 1024,
    params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
  });
  return bytes.length < plain.length ? { method: ZSTD, bytes } : { method: STORED, bytes: plain };
}

/** The chunk's row, and its bytes for the pack. `key` is the pack's. */
export function sealChunk(
  keys: OwnerKeys,
  key: KeyObject,
  place: ChunkPlace,
  chunk: {
    readonly identity: Uint8Array;
    readonly plainBytes: number;
    readonly packed: PackedChunk;
  },
): { readonly row: ChunkRow; readonly parts: readonly Uint8Array[] } {
  const row: ChunkRow = {
    identity: chunk.identity,
    pack: place.pack,
    offsetBytes: place.offsetBytes,
    storedBytes: chunk.packed.bytes.length + TAG_BYTES,
    plainBytes: chunk.plainBytes,
    method: chunk.packed.method,
  };
  const parts = sealWith(
    key,
    nonceAt(row.offsetBytes),
    chunkBinding(keys, row),
    chunk.packed.bytes,
  );
  return { row, parts };
}

/** The plaintext of a sealed chunk. Throws ERR_VAULT_DAMAGED. */
export function openChunk(
  keys: OwnerKeys,
  key: KeyObject,
  row: ChunkRow,
  sealed: Uint8Array,
): Uint8Array {
  const { bytes } = openPacked(keys, key, row, sealed);
  const plain = row.method === ZSTD ? decompress(bytes, row) : bytes;
  if (plain.length !== row.plainBytes) throw damagedChunk(row);
  return plain;
}

/** The same as it was compressed, for a chunk that is to lie elsewhere. Throws ERR_VAULT_DAMAGED. */
export function openPacked(
  keys: OwnerKeys,
  key: KeyObject,
  row: ChunkRow,
  sealed: Uint8Array,
): PackedChunk {
  const bytes = openWith(key, nonceAt(row.offsetBytes), chunkBinding(keys, row), sealed);
  if (bytes === null) throw damagedChunk(row);
  return { method: row.method, bytes };
}

function decompress(packed: Uint8Array, row: ChunkRow): Uint8Array {
  try {
    return zstdDecompressSync(packed, {
      maxOutputLength: row.plainBytes,
      chunkSize: Math.max(64, row.plainBytes),
    });
  } catch {
    throw damagedChunk(row);
  }
}

function damagedChunk({ pack, offsetBytes }: ChunkRow): Error {
  return vaultDamaged("A part of the checkpoint's image", { pack, offsetBytes });
}

function chunkBinding(keys: OwnerKeys, row: ChunkRow): Uint8Array {
  const { pack, offsetBytes, storedBytes, plainBytes, method, identity } = row;
  return bindTo(
    'chunk',
    keys.vaultId,
    keys.owner,
    pack,
    offsetBytes,
    storedBytes,
    plainBytes,
    method,
    identity,
  );
}

/** A pack's key is used for that pack alone, and no two chunks of a pack begin at one offset. */
function nonceAt(offsetBytes: number): Uint8Array {
  const nonce = Buffer.alloc(NONCE_BYTES);
  nonce.writeBigUInt64BE(BigInt(offsetBytes), NONCE_BYTES - 8);
  return nonce;
}
