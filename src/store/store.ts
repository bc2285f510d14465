/**
 * The port between the vault and whatever keeps its bytes. The vault hands in sealed bytes and rows and
 * gets them back; nothing here knows a key, and nothing above assumes a local file.
 *
 * Invariants:
 * 1. A pack is written by one writer, only ever grows, and is never written again once it was synced for
 *    the last time.
 * 2. `Index.write` is the sole commit point: when it resolves, its rows are durable; when it rejects, none
 *    of them is there, save for the case of `facts.outcome` = 'unknown' (see `Index.write`).
 * 3. What comes back is not trusted: the adapter checks types only, the vault authenticates.
 */
export interface Store {
  readonly packs: PackStore;
  readonly index: Index;
  close(): Promise<void>;
}

export interface PackStore {
  /** A writer for a new pack; the name is the store's choice. Nothing is stored before the first append. */
  create(): Promise<PackWriter>;
  /** Exactly `lengthBytes` bytes. ERR_VAULT_DAMAGED when the pack or a part of it is missing, ERR_IO. */
  read(pack: string, offsetBytes: number, lengthBytes: number): Promise<Uint8Array>;
  /** The length of a pack, or null when it is missing. ERR_VAULT_DAMAGED for a name of no pack, ERR_IO. */
  lengthOf(pack: string): Promise<number | null>;
  /**
   * Deletes what the trash has held for `keptGenerations` collections or more, and what dead writers left
   * behind and the index doesn't name. Never a live writer's pack. While somebody holds the packs
   * (`hold`), nothing is deleted from the trash. ERR_IO, ERR_VAULT_BUSY.
   */
  sweep(keptGenerations: number, scope: SweepScope): Promise<Swept>;
  /** What `sweep` of everything would delete. ERR_IO, ERR_VAULT_BUSY. */
  planSweep(keptGenerations: number): Promise<Swept>;
  /** Until it is released, in whichever way this process ends, no pack is deleted by anybody. */
  hold(): Promise<PackHold>;
  /** Deletes these packs now, whoever holds them: for what is to be forgotten. No error for what is gone. */
  destroy(packs: readonly string[]): Promise<void>;
}

/**
 * `trash`: what dead writers left is looked for only where they left a lease. That finds everything but packs that
 * somebody else put there, and saves listing all packs.
 */
export type SweepScope = 'trash' | 'everything';

export interface PackHold {
  release(): Promise<void>;
}

/** What a sweep deleted. */
export interface Swept {
  readonly packs: number;
  readonly bytes: number;
  /** Packs that stay in the trash. */
  readonly kept: number;
  readonly keptBytes: number;
  /** Whether somebody's hold kept the trash from being emptied. */
  readonly held: boolean;
}

export interface PackWriter {
  readonly pack: string;
  /** Bytes appended so far: where the next append begins. */
  readonly lengthBytes: number;
  /** ERR_DISK_FULL, ERR_IO; after either the pack can only be discarded. */
  append(parts: readonly Uint8Array[]): Promise<void>;
  /** Makes everything appended durable, and the pack's name with it. ERR_DISK_FULL, ERR_IO. */
  sync(): Promise<void>;
  /** Ends the writing of a pack that the index names by now. */
  close(): Promise<void>;
  /** Ends the writing of a pack of which nobody knows whether the index will name it. Never rejects. */
  leave(): Promise<void>;
  /** Ends the writing and deletes the pack. Never rejects: what can't be deleted now is swept later. */
  discard(): Promise<void>;
}

export interface Index {
  /** Runs `work` on one unchanging state of the index. ERR_VAULT_BUSY, ERR_VAULT_DAMAGED, ERR_IO. */
  read<T>(work: (view: IndexView) => Promise<T>): Promise<T>;
  /**
   * Runs `work` alone, over all processes, and commits. ERR_VAULT_BUSY when others kept it from that,
   * ERR_DISK_FULL, ERR_IO, ERR_VAULT_DAMAGED. With the fact `outcome` = 'unknown' the commit itself
   * failed, and its rows may yet appear after a crash: what they name must stay.
   */
  write<T>(work: (transaction: IndexTransaction) => Promise<T>): Promise<T>;
  /**
   * Overwrites what was replaced and removed, wherever the index's files still hold it. `false`: other
   * processes use the index, so that it could not be done now. Copies elsewhere, and what a disk keeps of
   * overwritten blocks, stay. ERR_IO, ERR_DISK_FULL.
   */
  scrub(): Promise<boolean>;
  /** Writes the whole index, as it is at one moment, to a new file. ERR_IO, ERR_DISK_FULL, ERR_VAULT_BUSY. */
  copyTo(path: string): Promise<void>;
  /** Looks through the index's own structure. Throws ERR_VAULT_DAMAGED. */
  checkStructure(): Promise<void>;
}

export interface IndexView {
  vault(): Promise<VaultRow | null>;
  owner(name: string): Promise<OwnerRow | null>;
  ownerName(number: number): Promise<string | null>;
  /** Names of all owners. */
  owners(): Promise<readonly string[]>;
  pack(name: string): Promise<PackRow | null>;
  /** An owner's packs, or all. */
  packs(owner?: number): Promise<readonly PackUse[]>;
  /** Packs of which not all is used. */
  wastefulPacks(): Promise<readonly PackUse[]>;
  /** Bytes of all packs together, an owner's or everybody's, as they were counted when packs were written. */
  packTotals(owner?: number): Promise<Pick<PackUse, 'bytes' | 'usedBytes'>>;
  /** The chunks in a pack, in the order in which they lie. */
  chunksIn(pack: string): Promise<readonly ChunkRow[]>;
  /** All of an owner's chunks: how often each is used, in no order. */
  chunkUses(owner: number): Promise<readonly ChunkUse[]>;
  /** Packs that are to be deleted. */
  trash(): Promise<readonly TrashRow[]>;
  /** One entry for each identity, in their order; null where the owner has no such chunk. */
  chunks(owner: number, identities: readonly Uint8Array[]): Promise<readonly (ChunkRow | null)[]>;
  checkpoint(id: string): Promise<CheckpointRow | null>;
  /** All of an owner's checkpoints, ascending by sequence. */
  checkpointKeys(owner: number): Promise<readonly CheckpointKey[]>;
  /** Those with sequences from `first` to `last`, ascending; of very many only the first. */
  checkpointsBetween(owner: number, first: number, last: number): Promise<readonly CheckpointKey[]>;
  /** The same, of those that say this of their job, or nothing with null. */
  jobCheckpointsBetween(
    owner: number,
    job: Uint8Array | null,
    first: number,
    last: number,
  ): Promise<readonly CheckpointKey[]>;
  /** Digests of a tree of the vault's with numbers from `first` to `last`, ascending. */
  digests(
    owner: number,
    tree: Uint8Array,
    which: { readonly level: number; readonly first: number; readonly last: number },
  ): Promise<readonly DigestRow[]>;
  /** An owner's lists of jobs from `first` on and below `end`, ascending. */
  jobLists(owner: number, first: Uint8Array, end: Uint8Array): Promise<readonly JobListRow[]>;
  /** How many digests and lists of jobs there are of an owner. */
  listCounts(owner: number): Promise<{ readonly digests: number; readonly jobs: number }>;
  checkpointCount(owner: number): Promise<number>;
  /** Entries with numbers from `first`, ascending, `countMax` at most. */
  ledger(first: number, countMax: number): Promise<readonly LedgerRow[]>;
  /** The last entry about an owner. */
  lastLedgerOf(owner: string): Promise<LedgerRow | null>;
  /** The last entries, `countMax` at most, ascending. */
  ledgerTail(countMax: number): Promise<readonly LedgerRow[]>;
}

export interface IndexTransaction extends IndexView {
  addVault(row: VaultRow): Promise<void>;
  setVaultOwners(owners: Uint8Array): Promise<void>;
  /** Gives the new owner its number. */
  addOwner(row: Omit<OwnerRow, 'number'>): Promise<number>;
  setOwnerState(owner: number, state: Uint8Array): Promise<void>;
  /** In place of what is there; `owners` and `ledgerKeys` as the vault sealed them. */
  setVaultKeys(keys: Pick<VaultRow, 'check' | 'owners' | 'ledgerKeys'>): Promise<void>;
  setOwnerKey(owner: number, wrappedKey: Uint8Array): Promise<void>;
  /** Drops the owner with all checkpoints, chunks and packs; gives the packs' names, which are not trash. */
  removeOwner(owner: number): Promise<readonly string[]>;
  addPack(row: PackRow): Promise<void>;
  /** New chunks, each with one reference. */
  addChunks(owner: number, rows: readonly ChunkRow[]): Promise<void>;
  /** One reference more for each. */
  retainChunks(owner: number, identities: readonly Uint8Array[]): Promise<void>;
  /**
   * One reference less for each; chunks without any are dropped, and so are packs without chunks, whose
   * names it gives back. They are trash of the present generation until a sweep has deleted them.
   */
  releaseChunks(owner: number, identities: readonly Uint8Array[]): Promise<readonly string[]>;
  /**
   * Adds packs, and gives chunks that are there a new place each; one that is not there any more is passed
   * over. Packs without chunks then, old or new, become trash; gives back their names.
   */
  moveChunks(
    owner: number,
    packs: readonly PackRow[],
    rows: readonly ChunkRow[],
  ): Promise<readonly string[]>;
  /** Replaces all of an owner's packs and chunks; the packs of before become trash. */
  replaceChunks(
    owner: number,
    packs: readonly PackRow[],
    rows: readonly ChunkUse[],
  ): Promise<readonly string[]>;
  /**
   * Sets how often each of an owner's chunks is used, by the hex of its identity; what is not named is not used, and
   * is dropped. Packs without chunks become trash. Counts what is used of packs and owners anew.
   */
  setCounts(owner: number, uses: ReadonlyMap<string, number>): Promise<CountsChange>;
  /** Begins the next generation of trash, and gives its number. */
  nextGeneration(): Promise<number>;
  addCheckpoint(row: CheckpointRow): Promise<void>;
  /** In place of what is sealed of the checkpoint with that id. */
  setCheckpointRecord(row: Omit<CheckpointRow, 'owner' | 'sequence'>): Promise<void>;
  setCheckpointMark(id: string, mark: Uint8Array | null): Promise<void>;
  removeCheckpoint(id: string): Promise<void>;
  /** In place of what is there; null: none any more. */
  setDigest(
    owner: number,
    tree: Uint8Array,
    row: {
      readonly level: number;
      readonly number: number;
      readonly digest: Uint8Array | null;
    },
  ): Promise<void>;
  /** In place of what is there; null: none any more. */
  setJobList(owner: number, job: Uint8Array, list: Omit<JobListRow, 'job'> | null): Promise<void>;
  /** Drops all of an owner's digests and lists of jobs. */
  clearLists(owner: number): Promise<void>;
  addLedger(row: LedgerRow): Promise<void>;
}

export interface VaultRow {
  readonly id: Uint8Array;
  readonly check: Uint8Array;
  /** The list of owners, as the vault sealed it. */
  readonly owners: Uint8Array;
  /** The ledger's earlier keys, as the vault sealed them; null when there are none. */
  readonly ledgerKeys: Uint8Array | null;
}

export interface OwnerRow {
  readonly number: number;
  readonly name: string;
  readonly wrappedKey: Uint8Array;
  readonly state: Uint8Array;
}

export interface PackRow {
  readonly name: string;
  readonly owner: number;
  readonly wrappedKey: Uint8Array;
  /** The pack's length. */
  readonly bytes: number;
}

export interface PackUse extends PackRow {
  /** Bytes of the chunks in it that checkpoints use. */
  readonly usedBytes: number;
}

export interface TrashRow {
  readonly pack: string;
  readonly generation: number;
  readonly bytes: number;
}

export interface ChunkRow {
  readonly identity: Uint8Array;
  readonly pack: string;
  readonly offsetBytes: number;
  /** As it lies in the pack, authentication tag included. */
  readonly storedBytes: number;
  readonly plainBytes: number;
  /** How the chunk was compressed; the vault's business. */
  readonly method: number;
}

/** How many checkpoints use a chunk. */
export interface ChunkUse extends ChunkRow {
  readonly refs: number;
}

/** What was wrong, and is not any more. */
export interface CountsChange {
  readonly chunks: number;
  readonly droppedChunks: number;
  readonly packs: number;
  readonly freedPacks: readonly string[];
}

export interface CheckpointKey {
  readonly id: string;
  readonly sequence: number;
  /** Equal for equal jobs, and says nothing else; null for checkpoints of a time when this was not kept. */
  readonly job: Uint8Array | null;
  /** What became of it since it was sealed; null: nothing. The vault's business. */
  readonly mark: Uint8Array | null;
}

export interface CheckpointRow extends CheckpointKey {
  readonly owner: number;
  readonly record: Uint8Array;
}

/** A node of a tree of digests: the vault's business. */
export interface DigestRow {
  readonly number: number;
  readonly digest: Uint8Array;
}

/** What the vault keeps of a job's checkpoints. */
export interface JobListRow {
  readonly job: Uint8Array;
  readonly height: number;
  readonly digest: Uint8Array;
}

export interface LedgerRow {
  readonly number: number;
  /** Whom the entry is about, if anyone; the record says it too. */
  readonly owner: string | null;
  readonly record: Uint8Array;
  readonly mac: Uint8Array;
}
