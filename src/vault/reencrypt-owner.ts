/**
 * After a leak: an owner gets a new key, and with it new names for all chunks, which are sealed anew into new
 * packs; records and marks too.
 *
 *   1. chunks, then the lists of chunks (which name the others), are opened and sealed into new packs
 *   2. the packs are made durable
 *   3. in one transaction: new key, packs, chunks, records, owner's state, ledger; the old packs are trash
 *   4. the trash is deleted at once
 *
 * Killed before 3, the owner's old key counts, and the new packs are swept when the vault is next opened; an
 * owner is begun anew then, those before are done. What is sealed for the owner meanwhile is met in 3 and
 * taken in by another round. A seal that began before 3 and would end after it begins anew
 * (`seal-checkpoint.ts`).
 */
import { HostError } from '../fault/host-error.ts';
import type { ChunkRow, ChunkUse, IndexTransaction, IndexView } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { CheckpointList } from './checkpoint-list.ts';
import { CHUNK_BYTES, chunkIdentity, compressChunk } from './chunk.ts';
import { vaultDamaged } from './damage.ts';
import { appendLedger } from './ledger.ts';
import { encodeManifest } from './manifest.ts';
import { openMark, sealMark } from './mark.ts';
import { readOwnRecord } from './own-record.ts';
import { currentEpoch } from './owner-list.ts';
import { jobTag, type LoadedOwner, loadOwner, saveOwner } from './owner-state.ts';
import { createPackFiller, mayCommitYet, type PackFiller } from './pack-filler.ts';
import { readChunks, readManifest } from './read-image.ts';
import { sealRecord } from './record.ts';
import type { VaultContext } from './vault-context.ts';
import {
  areSameOwnerKeys,
  makeOwnerKeys,
  type OwnerKeys,
  rewrapOwnerKey,
  type VaultKeys,
} from './vault-keys.ts';

/** 16 MiB of plaintext at most. */
const CHUNKS_AT_ONCE = 256;
const RECORDS_PER_TURN = 64;

/**
 * Does what is left to do of the last re-encryption; gives back for how many owners. The trash is emptied even when
 * there is none: step 4 may be all that is left.
 */
export async function reencryptOwners(context: VaultContext): Promise<number> {
  const names = await context.read((view) => view.owners());
  let done = 0;
  for (const name of names) if (await reencryptOwner(context, name)) done++;
  await context.store.packs.sweep(0, 'trash');
  return done;
}

/** Owners whose keys are from before the last re-encryption. */
export async function ownersToReencrypt(context: VaultContext): Promise<readonly string[]> {
  return context.read(async (view, keys) => {
    const epoch = await currentEpoch(view, keys);
    const left: string[] = [];
    for (const name of await view.owners()) {
      const owner = await loadOwner(view, keys, name);
      if (owner !== null && (owner.state.epoch ?? 0) < epoch) left.push(name);
    }
    return left;
  });
}

interface Round {
  readonly owner: LoadedOwner;
  readonly fresh: OwnerKeys;
  readonly filler: PackFiller;
  /** By the hex of the old identity: where the chunk is now. */
  readonly done: Map<string, ChunkRow>;
}

async function reencryptOwner(context: VaultContext, name: string): Promise<boolean> {
  const begun = await context.read(async (view, keys) => {
    const owner = await loadOwner(view, keys, name);
    const epoch = await currentEpoch(view, keys);
    return owner === null || (owner.state.epoch ?? 0) >= epoch ? null : { owner, epoch, keys };
  });
  if (begun === null) return false;
  const { owner, epoch, keys } = begun;
  const made = makeOwnerKeys(keys, name, context.random);
  const filler = createPackFiller(context, made.keys);
  const round: Round = { owner, fresh: made.keys, filler, done: new Map() };
  try {
    for (;;) {
      if (!(await sealRound(context, round))) continue;
      const packs = await filler.finish();
      const outcome = await context.write(async (transaction, now) =>
        commit(context, transaction, now, round, {
          epoch,
          packs: packs.map((pack) => ({ ...pack, owner: owner.number })),
          wrapped: rewrapOwnerKey(keys, now, name, made.wrapped, context.random),
        }),
      );
      if (outcome === 'over') break;
      if (outcome === 'more') continue;
      await filler.close();
      return true;
    }
  } catch (error) {
    await (mayCommitYet(error) ? filler.leave() : filler.discard());
    throw error;
  }
  await filler.discard();
  return false;
}

/** False when something was removed under way, so that what was to be read is no more. */
async function sealRound(context: VaultContext, round: Round): Promise<boolean> {
  const before = await lastEntryOf(context, round);
  try {
    await sealAnew(context, round);
    return true;
  } catch (error) {
    if (!(error instanceof HostError) || error.code !== 'ERR_VAULT_DAMAGED') throw error;
    if ((await lastEntryOf(context, round)) === before) throw error;
    return false;
  }
}

/** Number of the owner's last entry in the ledger: another one when anything was sealed or removed. */
async function lastEntryOf({ read }: VaultContext, { fresh }: Round): Promise<number> {
  return read(async (view) => (await view.lastLedgerOf(fresh.owner))?.number ?? 0);
}

/** Seals all chunks anew that were not yet, lists of chunks last. */
async function sealAnew(context: VaultContext, round: Round): Promise<void> {
  const { owner, done } = round;
  const { uses, manifests } = await context.read(async (view, keys) => ({
    uses: await view.chunkUses(owner.number),
    manifests: await manifestsOf(view, keys, owner),
  }));
  const plain = uses.filter(
    ({ identity }) => !done.has(hex(identity)) && !manifests.has(hex(identity)),
  );
  for (let at = 0; at < plain.length; at += CHUNKS_AT_ONCE) {
    await sealChunksAnew(context, round, plain.slice(at, at + CHUNKS_AT_ONCE));
  }
  for (const [name, identity] of manifests) {
    if (done.has(name)) continue;
    const manifest = await readManifest(context, owner, identity);
    const identities = manifest.identities.map((old) => {
      const now = done.get(hex(old));
      if (now === undefined) throw vaultDamaged("An image's list of chunks");
      return now.identity;
    });
    done.set(name, await add(round, encodeManifest({ ...manifest, identities })));
  }
}

async function sealChunksAnew(
  context: VaultContext,
  round: Round,
  uses: readonly ChunkUse[],
): Promise<void> {
  const plains: Uint8Array[] = new Array(uses.length);
  const identities = uses.map(({ identity }) => identity);
  await readChunks(context, round.owner, identities, CHUNK_BYTES, (index, plain) => {
    // What is handed over may lie in a buffer that is used again.
    plains[index] = new Uint8Array(plain);
  });
  for (const [index, { identity }] of uses.entries()) {
    round.done.set(hex(identity), await add(round, plains[index]!));
  }
}

async function add({ fresh, filler }: Round, plain: Uint8Array): Promise<ChunkRow> {
  return filler.add({
    identity: chunkIdentity(fresh, plain),
    plainBytes: plain.length,
    packed: await compressChunk(plain),
  });
}

/** `over`: the owner is gone, or has another new key by now. `more`: something was sealed meanwhile. */
async function commit(
  { now, random }: VaultContext,
  transaction: IndexTransaction,
  keys: VaultKeys,
  { owner: before, fresh, done }: Round,
  change: {
    readonly epoch: number;
    readonly packs: Parameters<IndexTransaction['replaceChunks']>[1];
    readonly wrapped: Uint8Array;
  },
): Promise<'done' | 'more' | 'over'> {
  const name = fresh.owner;
  const owner = await loadOwner(transaction, keys, name);
  if (owner === null || !areSameOwnerKeys(owner.keys, before.keys)) return 'over';
  const rows: ChunkUse[] = [];
  for (const { identity, refs } of await transaction.chunkUses(owner.number)) {
    const row = done.get(hex(identity));
    if (row === undefined) return 'more';
    rows.push({ ...row, refs });
  }
  const used = new Set(rows.map(({ pack }) => pack));
  const packs = change.packs.filter((pack) => used.has(pack.name));
  const freedPacks = await transaction.replaceChunks(owner.number, packs, rows);
  const checkpoints = await owner.list.all();
  for (const [index, key] of checkpoints.entries()) {
    if (index % RECORDS_PER_TURN === RECORDS_PER_TURN - 1) await turn();
    const { info, manifest } = await readOwnRecord(transaction, owner, key.id);
    const plain = openMark(owner.keys, key);
    const row = {
      ...key,
      job: jobTag(fresh, info.job),
      mark: plain === null ? null : sealMark(fresh, key, plain, random),
    };
    const record = sealRecord(fresh, info, done.get(hex(manifest))!.identity, random);
    await transaction.setCheckpointRecord({ ...row, record });
  }
  await transaction.setOwnerKey(owner.number, change.wrapped);
  const event = {
    event: 'owner reencrypted',
    owner: name,
    epoch: change.epoch,
    freedPacks,
  } as const;
  const entry = await appendLedger(transaction, keys, now(), event);
  const progress = { epoch: change.epoch };
  const keysNow = await transaction.checkpointKeys(owner.number);
  const list = await CheckpointList.of(transaction, { ...owner, keys: fresh }, keysNow);
  await saveOwner(transaction, { ...owner, keys: fresh, list }, progress, entry, random);
  return 'done';
}

/** Identities of all lists of chunks, each once, by their hex. */
async function manifestsOf(
  view: IndexView,
  keys: VaultKeys,
  owner: LoadedOwner,
): Promise<ReadonlyMap<string, Uint8Array>> {
  const found = new Map<string, Uint8Array>();
  const { list } = (await loadOwner(view, keys, owner.keys.owner)) ?? {};
  for (const { id } of (await list?.all()) ?? []) {
    const { manifest } = await readOwnRecord(view, owner, id);
    found.set(hex(manifest), manifest);
  }
  return found;
}

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}
