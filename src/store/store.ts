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
  /** Deletes a pack that the index no longer names. No error when it is gone. ERR_IO. */
  remove(pack: string): Promise<void>;
  /** Removes what dead writers left behind and the index doesn't name. Never a live writer's pack. */
  sweep(): Promise<void>;
}

export interface PackWriter {
  readonly pack: string;
  /** Bytes appended so far: where the next append begins. */
  readonly lengthBytes: number;
  /** ERR_DISK_FULL, ERR_IO; after either the pack can only be discarded. */
  append(parts: readonly Uint8Array[]): Promise<void>;
  /** Makes everything appended durable, and the pack's name with it. ERR_DISK_FULL, ERR_IO. */
  sync(): Promise<void>;
  /** Ends the writing and leaves the pack where it is. */
  close(): Promise<void>;
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
}

export interface IndexView {
  vault(): Promise<VaultRow | null>;
  owner(name: string): Promise<OwnerRow | null>;
  /** Names of all owners. */
  owners(): Promise<readonly string[]>;
  pack(name: string): Promise<PackRow | null>;
  /** One entry for each identity, in their order; null where the owner has no such chunk. */
  chunks(owner: number, identities: readonly Uint8Array[]): Promise<readonly (ChunkRow | null)[]>;
  checkpoint(id: string): Promise<CheckpointRow | null>;
  /** Ids and sequences of all of an owner's checkpoints, ascending by sequence. */
  checkpointKeys(owner: number): Promise<readonly CheckpointKey[]>;
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
  addPack(row: PackRow): Promise<void>;
  /** New chunks, each with one reference. */
  addChunks(owner: number, rows: readonly ChunkRow[]): Promise<void>;
  /** One reference more for each. */
  retainChunks(owner: number, identities: readonly Uint8Array[]): Promise<void>;
  /**
   * One reference less for each; chunks without any are dropped, and so are packs without chunks, whose
   * names it gives back. They count as freed until a sweep has removed them.
   */
  releaseChunks(owner: number, identities: readonly Uint8Array[]): Promise<readonly string[]>;
  addCheckpoint(row: CheckpointRow): Promise<void>;
  removeCheckpoint(id: string): Promise<void>;
  addLedger(row: LedgerRow): Promise<void>;
}

export interface VaultRow {
  readonly id: Uint8Array;
  readonly check: Uint8Array;
  /** The list of owners, as the vault sealed it. */
  readonly owners: Uint8Array;
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

export interface CheckpointKey {
  readonly id: string;
  readonly sequence: number;
}

export interface CheckpointRow extends CheckpointKey {
  readonly owner: number;
  readonly record: Uint8Array;
}

export interface LedgerRow {
  readonly number: number;
  /** Whom the entry is about, if anyone; the record says it too. */
  readonly owner: string | null;
  readonly record: Uint8Array;
  readonly mac: Uint8Array;
}
