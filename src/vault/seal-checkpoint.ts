/**
 * Sealing, in four steps:
 *
 *   1. name    cut head and pages into chunks and compute their identities
 *   2. store   compress, seal and append the chunks that the owner doesn't have, and the manifest
 *   3. sync    make the pack durable
 *   4. commit  in one transaction: pack, chunks, record, owner's state, ledger
 *
 * Invariants:
 * 1. Until step 4 has committed nothing names the new pack; a failure removes it.
 * 2. A chunk counts as stored only if it is there within the transaction. One that another process removed
 *    since step 2 is stored then and steps 3 and 4 are done again.
 */
import type { KeyObject } from 'node:crypto';
import { HostError } from '../fault/host-error.ts';
import { PAGE_BYTES } from '../image/image.ts';
import type { ChunkRow, IndexTransaction, PackWriter } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import type { CheckpointInfo } from './checkpoint-info.ts';
import { chunkIdentity, compressChunk, type PackedChunk, sealChunk } from './chunk.ts';
import { appendLedger } from './ledger.ts';
import { cutImage, encodeManifest, MANIFEST_BYTES_MAX } from './manifest.ts';
import { addOwner, type LoadedOwner, loadOwner, loadOwnerKeys, saveOwner } from './owner-state.ts';
import { sealRecord } from './record.ts';
import type { SealRequest } from './vault.ts';
import type { VaultContext } from './vault-context.ts';
import { makePackKey, type OwnerKeys } from './vault-keys.ts';

/** Hashed before other work gets its turn: one to two milliseconds. */
const HASHES_PER_TURN = 32;
/** Chunks being compressed at once; the thread pool has four threads. */
const COMPRESSING_MAX = 8;
const WRITE_BYTES = 1_048_576;
const OWNER_LENGTH_MAX = 256;

interface Piece {
  readonly identity: Uint8Array;
  readonly plain: Uint8Array;
}

interface NamedImage {
  /** Each distinct chunk once, by the hex of its identity; the manifest is among them. */
  readonly pieces: ReadonlyMap<string, Piece>;
  readonly manifest: Uint8Array;
}

interface OpenPack {
  readonly writer: PackWriter;
  readonly key: KeyObject;
  readonly wrappedKey: Uint8Array;
  readonly rows: Map<string, ChunkRow>;
}

/** See `Vault.seal`. */
export async function sealCheckpoint(
  context: VaultContext,
  request: SealRequest,
): Promise<CheckpointInfo> {
  const { owner } = request.requester;
  if (owner === '' || owner.length > OWNER_LENGTH_MAX || request.pages.length % PAGE_BYTES !== 0) {
    throw new HostError('ERR_USAGE', 'The image has half a page, or its owner has no name.');
  }
  const keys = await ownerKeys(context, owner);
  const image = await nameImage(keys, request.head, request.pages);
  const writer = await context.store.packs.create();
  const { key, wrapped } = makePackKey(keys, writer.pack, context.random);
  const pack: OpenPack = { writer, key, wrappedKey: wrapped, rows: new Map() };
  try {
    const info = await storeAndCommit(context, request, keys, image, pack);
    // All of its chunks may have come in from elsewhere meanwhile.
    await (pack.rows.size === 0 ? writer.discard() : writer.close());
    return info;
  } catch (error) {
    const mayCommitYet = error instanceof HostError && error.facts['outcome'] === 'unknown';
    await (mayCommitYet ? writer.close() : writer.discard());
    throw error;
  }
}

async function ownerKeys(
  { store, keys, now, random }: VaultContext,
  owner: string,
): Promise<OwnerKeys> {
  const known = await store.index.read((view) => loadOwnerKeys(view, keys, owner));
  if (known !== null) return known.keys;
  const added = await store.index.write(
    async (transaction) =>
      (await loadOwner(transaction, keys, owner)) ??
      (await addOwner(transaction, keys, owner, now(), random)),
  );
  return added.keys;
}

async function nameImage(
  keys: OwnerKeys,
  head: Uint8Array,
  pages: Uint8Array,
): Promise<NamedImage> {
  const pieces = new Map<string, Piece>();
  const identities: Uint8Array[] = [];
  const add = (plain: Uint8Array): Uint8Array => {
    const identity = chunkIdentity(keys, plain);
    pieces.set(hex(identity), { identity, plain });
    return identity;
  };
  for (const { offset, length } of cutImage(head.length, pages.length)) {
    if (identities.length % HASHES_PER_TURN === HASHES_PER_TURN - 1) await turn();
    const source = offset < head.length ? head : pages;
    const start = offset < head.length ? offset : offset - head.length;
    identities.push(add(source.subarray(start, start + length)));
  }
  const encoded = encodeManifest({ headBytes: head.length, pagesBytes: pages.length, identities });
  if (encoded.length > MANIFEST_BYTES_MAX) {
    throw new HostError('ERR_USAGE', 'The image is larger than a checkpoint can be.');
  }
  return { pieces, manifest: add(encoded) };
}

async function storeAndCommit(
  context: VaultContext,
  request: SealRequest,
  keys: OwnerKeys,
  image: NamedImage,
  pack: OpenPack,
): Promise<CheckpointInfo> {
  const { index } = context.store;
  const found = await index.read(async (view) => {
    const owner = await loadOwner(view, context.keys, keys.owner);
    return owner === null ? [...image.pieces.keys()] : missing(view, owner, image);
  });
  for (let wanted = found; ; ) {
    await storePieces(keys, image, pack, wanted);
    await pack.writer.sync();
    const outcome = await index.write((transaction) =>
      commit(context, transaction, request, image, pack),
    );
    if ('info' in outcome) return outcome.info;
    wanted = outcome.missing;
  }
}

/** Of the image's chunks, those that the owner doesn't have in the vault. */
async function missing(
  view: Pick<IndexTransaction, 'chunks'>,
  owner: Pick<LoadedOwner, 'number'>,
  { pieces }: NamedImage,
): Promise<string[]> {
  const names = [...pieces.keys()];
  const rows = await view.chunks(
    owner.number,
    names.map((name) => pieces.get(name)!.identity),
  );
  return names.filter((_, index) => rows[index] === null);
}

async function storePieces(
  keys: OwnerKeys,
  { pieces }: NamedImage,
  pack: OpenPack,
  names: readonly string[],
): Promise<void> {
  let parts: Uint8Array[] = [];
  let waitingBytes = 0;
  for await (const { name, packed } of compressInOrder(pieces, names)) {
    const { identity, plain } = pieces.get(name)!;
    const place = {
      pack: pack.writer.pack,
      offsetBytes: pack.writer.lengthBytes + waitingBytes,
    };
    const sealed = sealChunk(keys, pack.key, place, { identity, plainBytes: plain.length, packed });
    pack.rows.set(name, sealed.row);
    parts.push(...sealed.parts);
    waitingBytes += sealed.row.storedBytes;
    if (waitingBytes >= WRITE_BYTES) {
      await pack.writer.append(parts);
      parts = [];
      waitingBytes = 0;
    }
  }
  if (parts.length > 0) await pack.writer.append(parts);
}

async function* compressInOrder(
  pieces: ReadonlyMap<string, Piece>,
  names: readonly string[],
): AsyncGenerator<{ readonly name: string; readonly packed: PackedChunk }> {
  const running: Promise<PackedChunk>[] = [];
  let next = 0;
  for (const name of names) {
    while (next < names.length && running.length < COMPRESSING_MAX) {
      const started = compressChunk(pieces.get(names[next++]!)!.plain);
      // Its failure is met below, unless an earlier one ended the loop first.
      started.catch(() => undefined);
      running.push(started);
    }
    yield { name, packed: await running.shift()! };
  }
}

type CommitOutcome = { readonly info: CheckpointInfo } | { readonly missing: string[] };

async function commit(
  context: VaultContext,
  transaction: IndexTransaction,
  request: SealRequest,
  image: NamedImage,
  pack: OpenPack,
): Promise<CommitOutcome> {
  const { keys, now, random } = context;
  const time = now();
  const owner =
    (await loadOwner(transaction, keys, request.requester.owner)) ??
    (await addOwner(transaction, keys, request.requester.owner, time, random));
  const absent = new Set(await missing(transaction, owner, image));
  const unstored = [...absent].filter((name) => !pack.rows.has(name));
  if (unstored.length > 0) return { missing: unstored };

  // What another process has stored meanwhile is taken from there; our copy stays unnamed.
  for (const name of [...pack.rows.keys()]) if (!absent.has(name)) pack.rows.delete(name);
  if (pack.rows.size > 0) {
    const { writer, wrappedKey } = pack;
    await transaction.addPack({ name: writer.pack, owner: owner.number, wrappedKey });
    await transaction.addChunks(owner.number, [...pack.rows.values()]);
  }
  const shared = [...image.pieces].filter(([name]) => !absent.has(name));
  await transaction.retainChunks(
    owner.number,
    shared.map(([, { identity }]) => identity),
  );

  const sequence = owner.state.sequence + 1;
  const stampMs = Math.max(time.getTime(), owner.state.stampMs + 1);
  const storedBytes = pack.rows.size === 0 ? 0 : pack.writer.lengthBytes;
  const info = describe(context, request, sequence, stampMs, storedBytes);
  const record = sealRecord(owner.keys, info, image.manifest, random);
  await transaction.addCheckpoint({ id: info.id, owner: owner.number, sequence, record });
  const entry = await appendLedger(transaction, keys, time, {
    event: 'sealed',
    owner: owner.keys.owner,
    checkpoint: info.id,
    sequence,
  });
  const checkpoints = [...owner.checkpoints, { id: info.id, sequence }];
  await saveOwner(transaction, owner, { sequence, stampMs }, checkpoints, entry, random);
  return { info };
}

function describe(
  { random }: VaultContext,
  request: SealRequest,
  sequence: number,
  stampMs: number,
  storedBytes: number,
): CheckpointInfo {
  const { requester, job, name, run, logBytes, cause, software, head, pages } = request;
  return {
    id: Buffer.from(random(16)).toString('hex'),
    job,
    name,
    sequence,
    stamp: new Date(stampMs).toISOString(),
    cause,
    software,
    entry: requester.entry,
    run,
    logBytes,
    imageBytes: head.length + pages.length,
    storedBytes,
  };
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
