/**
 * Reading an image back: its manifest, then its chunks, pack by pack in the order in which they lie, each
 * authenticated before anything else is done with it.
 */
import type { KeyObject } from 'node:crypto';
import { HostError } from '../fault/host-error.ts';
import type { ChunkRow, PackStore } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { CHUNK_BYTES, openChunk } from './chunk.ts';
import { vaultDamaged } from './damage.ts';
import { cutImage, decodeManifest, MANIFEST_BYTES_MAX, type Manifest } from './manifest.ts';
import { TAG_BYTES } from './sealing.ts';
import type { VaultContext } from './vault-context.ts';
import { type OwnerKeys, unwrapPackKey } from './vault-keys.ts';

const READ_BYTES = 1_048_576;
/** Chunks opened before other work gets its turn: about two milliseconds. */
const CHUNKS_PER_TURN = 16;

export interface OwnerReference {
  readonly number: number;
  readonly keys: OwnerKeys;
}

export interface ReadImage {
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

/** Throws ERR_VAULT_DAMAGED, ERR_IO. */
export async function readManifest(
  context: VaultContext,
  owner: OwnerReference,
  identity: Uint8Array,
): Promise<Manifest> {
  let encoded: Uint8Array | null = null;
  await readChunks(context, owner, [identity], MANIFEST_BYTES_MAX, (_, plain) => {
    encoded = plain;
  });
  if (encoded === null) throw vaultDamaged("An image's list of chunks");
  return decodeManifest(encoded);
}

/** The image whose chunks `manifest` lists. `imageBytes` is what the record says of its size. */
export async function readImage(
  context: VaultContext,
  owner: OwnerReference,
  manifest: Manifest,
  imageBytes: number,
): Promise<ReadImage> {
  const { headBytes, pagesBytes, identities } = manifest;
  if (headBytes + pagesBytes !== imageBytes) throw vaultDamaged("An image's list of chunks");
  const head = Buffer.allocUnsafeSlow(headBytes);
  const pages = Buffer.allocUnsafeSlow(pagesBytes);
  const cuts = [...cutImage(headBytes, pagesBytes)];
  await readChunks(context, owner, identities, CHUNK_BYTES, (index, plain) => {
    const { offset, length } = cuts[index]!;
    if (plain.length !== length) throw vaultDamaged("A part of the checkpoint's image");
    if (offset < headBytes) head.set(plain, offset);
    else pages.set(plain, offset - headBytes);
  });
  return { head: new Uint8Array(head.buffer), pages: new Uint8Array(pages.buffer) };
}

/**
 * Hands over each chunk's plaintext with its index, in an order of the store's convenience, some perhaps more
 * than once. Throws ERR_VAULT_DAMAGED, ERR_IO.
 */
export async function readChunks(
  context: VaultContext,
  owner: OwnerReference,
  identities: readonly Uint8Array[],
  plainBytesMax: number,
  accept: (index: number, plain: Uint8Array) => void,
): Promise<void> {
  for (let places = await locate(context, owner, identities, plainBytesMax); ; ) {
    try {
      await readPlaces(context, owner, places, accept);
      return;
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'ERR_VAULT_DAMAGED') throw error;
      // A collection may have given the chunks other places, and emptied its trash.
      const before = places.rows;
      places = await locate(context, owner, identities, plainBytesMax);
      if (places.rows.every((row, index) => comparePlaces(row, before[index]!) === 0)) throw error;
    }
  }
}

async function readPlaces(
  context: VaultContext,
  owner: OwnerReference,
  { rows, keys }: Places,
  accept: (index: number, plain: Uint8Array) => void,
): Promise<void> {
  const order = rows.map((_, index) => index);
  order.sort((a, b) => comparePlaces(rows[a]!, rows[b]!));
  let opened = 0;
  for (const run of contiguousRuns(rows, order)) {
    const { pack, offsetBytes } = rows[run[0]!]!;
    const bytes = await readRun(context.store.packs, rows, run);
    let last: { readonly row: ChunkRow; readonly plain: Uint8Array } | null = null;
    for (const index of run) {
      const row = rows[index]!;
      // Equal chunks of one image lie at one place and come one after the other.
      if (last === null || comparePlaces(last.row, row) !== 0) {
        const start = row.offsetBytes - offsetBytes;
        const sealed = bytes.subarray(start, start + row.storedBytes);
        last = { row, plain: openChunk(owner.keys, keys.get(pack)!, row, sealed) };
        if (++opened % CHUNKS_PER_TURN === 0) await turn();
      }
      accept(index, last.plain);
    }
  }
}

interface Places {
  readonly rows: readonly ChunkRow[];
  /** The packs' keys, by name. */
  readonly keys: ReadonlyMap<string, KeyObject>;
}

async function locate(
  { read }: VaultContext,
  owner: OwnerReference,
  identities: readonly Uint8Array[],
  plainBytesMax: number,
): Promise<Places> {
  return read(async (view) => {
    const rows: ChunkRow[] = [];
    const keys = new Map<string, KeyObject>();
    for (const row of await view.chunks(owner.number, identities)) {
      if (row === null) throw vaultDamaged("A part of the checkpoint's image");
      checkSizes(row, plainBytesMax);
      rows.push(row);
      if (keys.has(row.pack)) continue;
      const pack = await view.pack(row.pack);
      if (pack?.owner !== owner.number) {
        throw vaultDamaged("A part of the checkpoint's image", { pack: row.pack });
      }
      keys.set(row.pack, unwrapPackKey(owner.keys, row.pack, pack.wrappedKey));
    }
    return { rows, keys };
  });
}

/** Sizes are not authenticated yet when they are about to be allocated. Throws ERR_VAULT_DAMAGED. */
export function checkSizes({ plainBytes, storedBytes }: ChunkRow, plainBytesMax: number): void {
  const fits =
    plainBytes <= plainBytesMax &&
    storedBytes >= TAG_BYTES &&
    storedBytes <= plainBytes + TAG_BYTES;
  if (!fits) throw vaultDamaged("A part of the checkpoint's image");
}

function comparePlaces(a: ChunkRow, b: ChunkRow): number {
  if (a.pack !== b.pack) return a.pack < b.pack ? -1 : 1;
  return a.offsetBytes - b.offsetBytes;
}

/** Splits `order` where the next chunk doesn't follow at once, or the run grows too long to read at once. */
export function* contiguousRuns(
  rows: readonly ChunkRow[],
  order: readonly number[],
): Generator<readonly number[]> {
  let run: number[] = [];
  for (const index of order) {
    const row = rows[index]!;
    const first = rows[run[0] ?? index]!;
    const last = rows[run.at(-1) ?? index]!;
    const follows =
      row.pack === first.pack &&
      (row.offsetBytes === last.offsetBytes ||
        row.offsetBytes === last.offsetBytes + last.storedBytes) &&
      row.offsetBytes + row.storedBytes - first.offsetBytes <= READ_BYTES;
    if (run.length > 0 && !follows) {
      yield run;
      run = [];
    }
    run.push(index);
  }
  if (run.length > 0) yield run;
}

export async function readRun(
  packs: PackStore,
  rows: readonly ChunkRow[],
  run: readonly number[],
): Promise<Uint8Array> {
  const first = rows[run[0]!]!;
  const last = rows[run.at(-1)!]!;
  const lengthBytes = last.offsetBytes + last.storedBytes - first.offsetBytes;
  return packs.read(first.pack, first.offsetBytes, lengthBytes);
}
