/**
 * Verifying: three depths, each with all of the one before.
 *
 *   structure  the index's own (SQLite's check); the ledger's whole chain; the list of owners; every owner's
 *              state against rows, marks and ledger; every record and every list of chunks opened; every chunk
 *              that is named is there, within its pack, apart from the others, used as often as is counted;
 *              every pack there and long enough
 *   data       every chunk decrypted and decompressed, and its content held against its name
 *   restore    every image read as a restore reads it, its head parsed, its pages put into memories as a
 *              cell does it, captured from there as a cell does it, and compared with the image
 *
 * No guest runs: whether today's files and rights are those that a guest needs is told by `restore --dry-run`.
 */
import { HostError } from '../fault/host-error.ts';
import { decodeImageHead } from '../image/head.ts';
import { type ImageMemory, PAGE_BYTES } from '../image/image.ts';
import { type CapturedPages, capturePages, restorePages } from '../image/memory-capture.ts';
import type { ChunkUse, IndexView } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { CHUNK_BYTES, chunkIdentity } from './chunk.ts';
import { vaultDamaged } from './damage.ts';
import { walkLedger } from './ledger.ts';
import { MANIFEST_BYTES_MAX } from './manifest.ts';
import { openMark } from './mark.ts';
import { readOwnRecord } from './own-record.ts';
import { checkOwnerList } from './owner-list.ts';
import { type LoadedOwner, loadOwner } from './owner-state.ts';
import { readChunks, readImage, readManifest } from './read-image.ts';
import type { CheckpointRecord } from './record.ts';
import type { VaultContext } from './vault-context.ts';

export interface VerifyRequest {
  readonly depth: 'structure' | 'data' | 'restore';
  /** Called now and then, with what has been looked at so far. */
  readonly onProgress?: (so: Pick<Verified, 'checkpoints' | 'chunks' | 'bytes'>) => void;
}

/** Something that is not as it was written. */
export interface Finding {
  readonly owner: string | null;
  /** Null for what concerns no single checkpoint. */
  readonly checkpoint: string | null;
  readonly sentence: string;
  readonly facts: HostError['facts'];
}

export interface Verified {
  readonly owners: number;
  readonly checkpoints: number;
  readonly packs: number;
  readonly entries: number;
  readonly head: string;
  /** Chunks that were decrypted, and their bytes. */
  readonly chunks: number;
  readonly bytes: number;
  /** Images that were put into a memory. */
  readonly images: number;
  readonly findings: readonly Finding[];
}

const CHUNKS_AT_ONCE = 256;

interface Progress {
  owners: number;
  checkpoints: number;
  packs: number;
  chunks: number;
  bytes: number;
  images: number;
  readonly findings: Finding[];
}

/** Findings are told, not thrown. Throws ERR_IO, ERR_VAULT_BUSY, ERR_VAULT_KEY. */
export async function verifyVault(
  context: VaultContext,
  { depth, onProgress = () => {} }: VerifyRequest,
): Promise<Verified> {
  const progress: Progress = {
    owners: 0,
    checkpoints: 0,
    packs: 0,
    chunks: 0,
    bytes: 0,
    images: 0,
    findings: [],
  };
  const note = noteInto(progress);
  // No pack may go while it is being looked at.
  const hold = await context.store.packs.hold();
  try {
    await note(null, null, () => context.store.index.checkStructure());
    let ledger = { entries: 0, head: '' };
    await note(null, null, () =>
      context.read(async (view, keys) => {
        ledger = await walkLedger(view, keys);
      }),
    );
    await note(null, null, () => context.read((view, keys) => checkOwnerList(view, keys)));
    for (const name of await context.read((view) => view.owners())) {
      await verifyQuietly(context, name, depth, progress, onProgress);
    }
    return { ...progress, ...ledger };
  } finally {
    await hold.release();
  }
}

type Note = (
  owner: string | null,
  checkpoint: string | null,
  work: () => Promise<void>,
) => Promise<void>;

function noteInto({ findings }: Progress): Note {
  return async (owner, checkpoint, work) => {
    try {
      await work();
    } catch (error) {
      const codes = ['ERR_VAULT_DAMAGED', 'ERR_MALFORMED_IMAGE', 'ERR_MALFORMED_CBOR'];
      if (!(error instanceof HostError) || !codes.includes(error.code)) throw error;
      findings.push({ owner, checkpoint, sentence: error.message, facts: error.facts });
    }
  };
}

const TRIES_MAX = 20;

/** What was removed while it was being looked at is no damage: then the owner is looked at again. */
async function verifyQuietly(
  context: VaultContext,
  name: string,
  depth: VerifyRequest['depth'],
  progress: Progress,
  onProgress: NonNullable<VerifyRequest['onProgress']>,
): Promise<void> {
  const last = (): Promise<number> =>
    context.read(async (view) => (await view.lastLedgerOf(name))?.number ?? 0);
  for (let tries = 1; ; tries++) {
    const before = await last();
    const attempt: Progress = { ...progress, findings: [] };
    await noteInto(attempt)(name, null, () =>
      verifyOwner(context, name, depth, attempt, onProgress),
    );
    if (attempt.findings.length > 0 && tries < TRIES_MAX && (await last()) !== before) continue;
    const { findings, ...counts } = attempt;
    Object.assign(progress, counts);
    progress.findings.push(...findings);
    return;
  }
}

interface OwnerView {
  readonly owner: LoadedOwner;
  readonly checkpoints: number;
  readonly records: ReadonlyMap<string, CheckpointRecord>;
  readonly uses: readonly ChunkUse[];
  readonly packs: Awaited<ReturnType<IndexView['packs']>>;
  readonly totals: Awaited<ReturnType<IndexView['packTotals']>>;
}

async function verifyOwner(
  context: VaultContext,
  name: string,
  depth: VerifyRequest['depth'],
  progress: Progress,
  onProgress: NonNullable<VerifyRequest['onProgress']>,
): Promise<void> {
  const note = noteInto(progress);
  progress.owners++;
  const found = await context.read(async (view, keys): Promise<OwnerView | null> => {
    const owner = await loadOwner(view, keys, name);
    if (owner === null) return null;
    const records = new Map<string, CheckpointRecord>();
    await note(name, null, () => owner.list.verify());
    const checkpoints = await view.checkpointKeys(owner.number);
    for (const key of checkpoints) {
      await note(name, key.id, async () => {
        records.set(key.id, await readOwnRecord(view, owner, key.id));
        openMark(owner.keys, key);
      });
    }
    const [uses, packs] = [await view.chunkUses(owner.number), await view.packs(owner.number)];
    const totals = await view.packTotals(owner.number);
    return { owner, checkpoints: checkpoints.length, records, uses, packs, totals };
  });
  if (found === null) return;
  const { owner, checkpoints, records, uses, packs, totals } = found;
  progress.packs += packs.length;
  for (const pack of packs) {
    await note(name, null, () => checkPack(context, pack, uses));
  }
  const counted = new Map<string, number>();
  for (const [id, record] of records) {
    progress.checkpoints++;
    await note(name, id, () => countChunks(context, owner, record, counted));
    if (depth === 'restore') await note(name, id, () => tryImage(context, owner, record, progress));
    onProgress(progress);
  }
  if (records.size === checkpoints) {
    await note(name, null, async () => checkCounts(uses, counted));
  }
  await note(name, null, async () => checkTotals(packs, totals));
  if (depth === 'structure') return;
  const manifests = new Set([...records.values()].map(({ manifest }) => hex(manifest)));
  for (let at = 0; at < uses.length; at += CHUNKS_AT_ONCE) {
    await readBatch(context, owner, uses.slice(at, at + CHUNKS_AT_ONCE), manifests, progress);
    onProgress(progress);
  }
}

/** Whether the pack is there, and what the index says of its chunks makes sense. */
async function checkPack(
  { store }: VaultContext,
  pack: OwnerView['packs'][number],
  uses: readonly ChunkUse[],
): Promise<void> {
  const lengthBytes = await store.packs.lengthOf(pack.name);
  const facts = { pack: pack.name };
  if (lengthBytes === null) throw vaultDamaged('A pack', { ...facts, missing: true });
  if (lengthBytes < pack.bytes) throw vaultDamaged('A pack', { ...facts, bytes: lengthBytes });
  const own = uses.filter((use) => use.pack === pack.name);
  own.sort((a, b) => a.offsetBytes - b.offsetBytes);
  let end = 0;
  let used = 0;
  for (const { offsetBytes, storedBytes } of own) {
    if (offsetBytes < end) throw vaultDamaged('The place of a chunk', { ...facts, offsetBytes });
    end = offsetBytes + storedBytes;
    used += storedBytes;
  }
  if (end > pack.bytes) throw vaultDamaged('The length of a pack', { ...facts, bytes: pack.bytes });
  if (used !== pack.usedBytes) {
    throw vaultDamaged('The count of used bytes', { ...facts, counted: pack.usedBytes, used });
  }
}

async function countChunks(
  context: VaultContext,
  owner: LoadedOwner,
  { manifest }: CheckpointRecord,
  counted: Map<string, number>,
): Promise<void> {
  const { identities } = await readManifest(context, owner, manifest);
  const distinct = new Set([...identities, manifest].map(hex));
  for (const name of distinct) counted.set(name, (counted.get(name) ?? 0) + 1);
}

/** By these quotas and collections go. */
function checkTotals(packs: OwnerView['packs'], totals: OwnerView['totals']): void {
  const sum = (of: (pack: OwnerView['packs'][number]) => number): number =>
    packs.reduce((total, pack) => total + of(pack), 0);
  const counted = { bytes: sum(({ bytes }) => bytes), usedBytes: sum((pack) => pack.usedBytes) };
  if (counted.bytes === totals.bytes && counted.usedBytes === totals.usedBytes) return;
  const facts = { counted: totals.bytes, bytes: counted.bytes };
  throw vaultDamaged("The sum of an owner's packs", facts);
}

/** A chunk that is named and not there, and one that would be dropped too early, lose an image. */
function checkCounts(uses: readonly ChunkUse[], counted: ReadonlyMap<string, number>): void {
  const there = new Set(uses.map(({ identity }) => hex(identity)));
  const missing = [...counted.keys()].filter((name) => !there.has(name)).length;
  if (missing > 0) throw vaultDamaged('The list of chunks', { missing });
  const few = uses.filter(({ identity, refs }) => refs < (counted.get(hex(identity)) ?? 0)).length;
  if (few > 0) throw vaultDamaged('The count of uses of a chunk', { 'counted too low': few });
  const many = uses.filter(({ identity, refs }) => refs > (counted.get(hex(identity)) ?? 0)).length;
  if (many > 0) throw vaultDamaged('The count of uses of a chunk', { 'counted too high': many });
}

async function readBatch(
  context: VaultContext,
  owner: LoadedOwner,
  uses: readonly ChunkUse[],
  manifests: ReadonlySet<string>,
  progress: Progress,
): Promise<void> {
  const note = noteInto(progress);
  const read = async (some: readonly ChunkUse[]): Promise<void> => {
    const identities = some.map(({ identity }) => identity);
    const bytesMax = some.some(({ identity }) => manifests.has(hex(identity)))
      ? MANIFEST_BYTES_MAX
      : CHUNK_BYTES;
    const sizes = new Map<number, number>();
    await readChunks(context, owner, identities, bytesMax, (index, plain) => {
      const expected = some[index]!.identity;
      if (Buffer.compare(chunkIdentity(owner.keys, plain), expected) !== 0) {
        throw vaultDamaged('A chunk', { pack: some[index]!.pack });
      }
      sizes.set(index, plain.length);
    });
    progress.chunks += sizes.size;
    for (const bytes of sizes.values()) progress.bytes += bytes;
  };
  const before = progress.findings.length;
  const ordinary = { findings: [] as Finding[] } as unknown as Progress;
  await noteInto(ordinary)(null, null, () => read(uses));
  if (ordinary.findings.length === 0) return;
  // One is damaged: each by itself, so that all others are looked at too.
  for (const use of uses) await note(owner.keys.owner, null, () => read([use]));
  if (progress.findings.length === before) progress.findings.push(...ordinary.findings);
  await turn();
}

async function tryImage(
  context: VaultContext,
  owner: LoadedOwner,
  { info, manifest }: CheckpointRecord,
  progress: Progress,
): Promise<void> {
  const list = await readManifest(context, owner, manifest);
  const image = await readImage(context, owner, list, info.imageBytes);
  const { memories } = decodeImageHead(image.head);
  const restored = memories.map(({ sizePages }) => new Uint8Array(sizePages * PAGE_BYTES));
  restorePages(restored, memories, image.pages);
  const again = capturePages(restored);
  if (!isSameContent(memories, image.pages, again)) throw vaultDamaged("An image's pages");
  progress.images++;
}

/** Whether the pages captured are those of the image; ones that are all zeros need not be among them. */
function isSameContent(
  memories: readonly ImageMemory[],
  pages: Uint8Array,
  again: CapturedPages,
): boolean {
  const had = pagesByPlace(memories, pages);
  const have = pagesByPlace(again.memories, again.pages);
  const zeros = Buffer.alloc(PAGE_BYTES);
  for (const [place, page] of had) {
    if (Buffer.compare(have.get(place) ?? zeros, page) !== 0) return false;
  }
  return [...have.keys()].every((place) => had.has(place));
}

function pagesByPlace(
  memories: readonly ImageMemory[],
  pages: Uint8Array,
): ReadonlyMap<string, Uint8Array> {
  const found = new Map<string, Uint8Array>();
  for (const [index, { present }] of memories.entries()) {
    for (const [first, count] of present) {
      for (let page = first; page < first + count; page++) {
        const at = found.size * PAGE_BYTES;
        found.set(`${index} ${page}`, pages.subarray(at, at + PAGE_BYTES));
      }
    }
  }
  return found;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
