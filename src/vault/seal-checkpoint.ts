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
import type { PageNames } from '../image/retained-pages.ts';
import type { ChunkRow, IndexTransaction, PackWriter } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import type { CheckpointInfo } from './checkpoint-info.ts';
import { chunkIdentity, compressChunk, type PackedChunk, sealChunk } from './chunk.ts';
import { appendLedger } from './ledger.ts';
import { cutImage, encodeManifest, MANIFEST_BYTES_MAX } from './manifest.ts';
import { checkOwn } from './operators.ts';
import {
  addOwner,
  jobTag,
  type LoadedOwner,
  loadOwner,
  loadOwnerKeys,
  saveOwner,
} from './owner-state.ts';
import { mayCommitYet } from './pack-filler.ts';
import { checkByteCap, checkCheckpointCap } from './quota.ts';
import { sealRecord } from './record.ts';
import { useUp } from './use.ts';
import type { SealRequest } from './vault.ts';
import type { VaultContext } from './vault-context.ts';
import {
  areSameOwnerKeys,
  makePackKey,
  type OwnerKeys,
  type Random,
  type VaultKeys,
} from './vault-keys.ts';

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
  checkOwn(request.requester);
  if (owner === '' || owner.length > OWNER_LENGTH_MAX || request.pages.length % PAGE_BYTES !== 0) {
    throw new HostError('ERR_USAGE', 'The image has half a page, or its owner has no name.');
  }
  for (;;) {
    const info = await sealUnder(await ownerKeys(context, owner), context, request);
    // Null: the owner's key was replaced meanwhile, and everything is named by it.
    if (info !== null) return info;
  }
}

async function sealUnder(
  keys: OwnerKeys,
  context: VaultContext,
  request: SealRequest,
): Promise<CheckpointInfo | null> {
  const image = await nameImage(keys, request);
  const writer = await context.store.packs.create();
  const { key, wrapped } = makePackKey(keys, writer.pack, context.random);
  const pack: OpenPack = { writer, key, wrappedKey: wrapped, rows: new Map() };
  try {
    const info = await storeAndCommit(context, request, keys, image, pack);
    // All of its chunks may have come in from elsewhere meanwhile.
    await (info === null || pack.rows.size === 0 ? writer.discard() : writer.close());
    return info;
  } catch (error) {
    await (mayCommitYet(error) ? writer.leave() : writer.discard());
    throw error;
  }
}

async function ownerKeys(
  { read, write, now, random }: VaultContext,
  owner: string,
): Promise<OwnerKeys> {
  const known = await read((view, keys) => loadOwnerKeys(view, keys, owner));
  if (known !== null) return known.keys;
  const added = await write(
    async (transaction, keys) =>
      (await loadOwner(transaction, keys, owner)) ??
      (await addOwner(transaction, keys, owner, now(), random)),
  );
  return added.keys;
}

async function nameImage(keys: OwnerKeys, request: SealRequest): Promise<NamedImage> {
  const { head, pages, names } = request;
  const pieces = new Map<string, Piece>();
  const identities: Uint8Array[] = [];
  let hashes = 0;
  const add = (plain: Uint8Array, known: Uint8Array | null): Uint8Array => {
    hashes += known === null ? 1 : 0;
    const identity = known ?? chunkIdentity(keys, plain);
    pieces.set(hex(identity), { identity, plain });
    return identity;
  };
  // What another key named is another name.
  if (names !== undefined && !isNamedBy(names, keys)) names.namedBy = keys;
  for (const { offset, length } of cutImage(head.length, pages.length)) {
    if (hashes >= HASHES_PER_TURN) {
      await turn();
      hashes = 0;
    }
    if (offset < head.length) {
      identities.push(add(head.subarray(offset, offset + length), null));
      continue;
    }
    const start = offset - head.length;
    const page = start / PAGE_BYTES;
    const identity = add(pages.subarray(start, start + length), names?.name(page) ?? null);
    names?.setName(page, identity);
    identities.push(identity);
  }
  const encoded = encodeManifest({ headBytes: head.length, pagesBytes: pages.length, identities });
  if (encoded.length > MANIFEST_BYTES_MAX) {
    throw new HostError('ERR_USAGE', 'The image is larger than a checkpoint can be.');
  }
  return { pieces, manifest: add(encoded, null) };
}

function isNamedBy({ namedBy }: PageNames, keys: OwnerKeys): boolean {
  return namedBy !== null && areSameOwnerKeys(namedBy as OwnerKeys, keys);
}

async function storeAndCommit(
  context: VaultContext,
  request: SealRequest,
  keys: OwnerKeys,
  image: NamedImage,
  pack: OpenPack,
): Promise<CheckpointInfo | null> {
  const found = await context.read(async (view, vaultKeys) => {
    const owner = await loadOwnerKeys(view, vaultKeys, keys.owner);
    return owner === null ? [...image.pieces.keys()] : missing(view, owner, image);
  });
  for (let wanted = found; ; ) {
    await storePieces(keys, image, pack, wanted);
    await pack.writer.sync();
    const outcome = await context.write((transaction, vaultKeys) =>
      commit(context, { transaction, vaultKeys, keys }, request, image, pack),
    );
    if (outcome === null) return null;
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

interface CommitTools {
  readonly transaction: IndexTransaction;
  readonly vaultKeys: VaultKeys;
  /** Those of the owner that the image's chunks are named by. */
  readonly keys: OwnerKeys;
}

/** Null, and nothing changed, when the owner has another key by now, or is gone. */
async function commit(
  { now, random }: VaultContext,
  { transaction, vaultKeys, keys }: CommitTools,
  request: SealRequest,
  image: NamedImage,
  pack: OpenPack,
): Promise<CommitOutcome | null> {
  const time = now();
  const owner = await loadOwner(transaction, vaultKeys, keys.owner);
  if (owner === null || !areSameOwnerKeys(owner.keys, keys)) return null;
  checkCheckpointCap(owner, request);
  const absent = new Set(await missing(transaction, owner, image));
  const unstored = [...absent].filter((name) => !pack.rows.has(name));
  if (unstored.length > 0) return { missing: unstored };

  // What another process has stored meanwhile is taken from there; our copy stays unnamed.
  for (const name of [...pack.rows.keys()]) if (!absent.has(name)) pack.rows.delete(name);
  const { writer, wrappedKey } = pack;
  if (pack.rows.size > 0) {
    const bytes = writer.lengthBytes;
    await transaction.addPack({ name: writer.pack, owner: owner.number, wrappedKey, bytes });
    await transaction.addChunks(owner.number, [...pack.rows.values()]);
  }
  await checkByteCap(transaction, owner, request, pack.rows.size === 0 ? 0 : writer.lengthBytes);
  const shared = [...image.pieces].filter(([name]) => !absent.has(name));
  await transaction.retainChunks(
    owner.number,
    shared.map(([, { identity }]) => identity),
  );

  const sequence = owner.state.sequence + 1;
  const stampMs = Math.max(time.getTime(), owner.state.stampMs + 1);
  const storedBytes = pack.rows.size === 0 ? 0 : pack.writer.lengthBytes;
  const info = describe(random, request, sequence, stampMs, storedBytes);
  const record = sealRecord(owner.keys, info, image.manifest, random);
  const job = jobTag(owner.keys, info.job);
  const key = { id: info.id, sequence, job, mark: null };
  await owner.list.change([key], () =>
    transaction.addCheckpoint({ ...key, owner: owner.number, record }),
  );
  const { job: jobId, run, from } = request;
  if (from !== undefined) {
    await useUp({ now, random }, transaction, vaultKeys, owner, from, { job: jobId, run });
  }
  const entry = await appendLedger(transaction, vaultKeys, time, {
    event: 'sealed',
    owner: owner.keys.owner,
    checkpoint: info.id,
    sequence,
    job,
  });
  await saveOwner(transaction, owner, { sequence, stampMs }, entry, random);
  return { info };
}

function describe(
  random: Random,
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
