/**
 * The vault: sealed checkpoints of many owners, and the only way to them.
 *
 * Invariants:
 * 1. A checkpoint exists from the commit of the transaction that names it, and after `seal` resolved it
 *    survives any crash. A seal that failed left nothing that is ever offered.
 * 2. Nothing that lies on disk is parsed before it is authenticated, and a changed byte is refused by name.
 * 3. Another owner's checkpoint can't be told from one that does not exist.
 * 4. No method gives out image content but `open`, and `open` only after owner, requester and software
 *    have been checked, in this order.
 */

import type { PageBytes, PageNames } from '../image/retained-pages.ts';
import type { Audit, AuditFilter } from './audit.ts';
import type { BackedUp } from './back-up-vault.ts';
import type {
  CheckpointCause,
  CheckpointInfo,
  Requester,
  SoftwareIdentity,
  SoftwareNow,
} from './checkpoint-info.ts';
import type { Collected, CollectRequest } from './collect-garbage.ts';
import type { VaultCaps } from './quota.ts';
import type { Repaired } from './repair-counts.ts';
import type { Rotated, RotateRequest } from './rotate-key.ts';

import type { Shredded } from './shred-owner.ts';
import type { CheckpointUse, ClaimRequest, UsingRun } from './use.ts';
import type { VaultUsage } from './vault-usage.ts';
import type { Verified, VerifyRequest } from './verify-vault.ts';

export interface SealRequest {
  readonly requester: Requester;
  /** The job's id. */
  readonly job: string;
  /** The job's name. */
  readonly name: string;
  readonly run: number;
  readonly logBytes: number;
  readonly cause: CheckpointCause;
  readonly software: SoftwareIdentity;
  /** Encoded image head. Neither it nor `pages` may change until the seal is over. */
  readonly head: Uint8Array;
  /** A whole number of 64 KiB pages. */
  readonly pages: PageBytes;
  /** What pages were called at the seal before, as far as they are the same; is kept up. */
  readonly names?: PageNames;
  /** The checkpoint that the run began at, unless as a clone: it is used up by this one. */
  readonly from?: string;
  /** What the owner may keep; without limit where absent. */
  readonly caps?: VaultCaps;
}

/** All conditions given have to hold; none at all means the owner's last checkpoint. */
export interface Selector {
  readonly name?: string;
  /** The job's id; found faster than by name. */
  readonly job?: string;
  readonly id?: string;
  /** The newest stamp at or before it. */
  readonly at?: Date;
}

export interface OpenedCheckpoint {
  readonly info: CheckpointInfo;
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

export interface Vault {
  /**
   * Seals an image. Resolves when it is durable. Throws ERR_DISK_FULL, ERR_IO (the operation in the
   * facts), ERR_VAULT_BUSY, ERR_VAULT_DAMAGED, ERR_QUOTA; the vault is usable afterwards.
   */
  seal(request: SealRequest): Promise<CheckpointInfo>;
  /** The requester's own checkpoints, newest first. */
  list(
    requester: Requester,
    filter?: { readonly name?: string; readonly job?: string },
  ): Promise<CheckpointInfo[]>;
  /** Of the requester's own checkpoints that match, the one with the highest sequence; or null. */
  find(requester: Requester, selector: Selector): Promise<CheckpointInfo | null>;
  /**
   * What `open` checks, without reading the image. Throws ERR_NO_SUCH_CHECKPOINT, ERR_OWNER_MISMATCH,
   * ERR_REQUESTER_MISMATCH, ERR_SOFTWARE_MISMATCH, ERR_VAULT_DAMAGED.
   */
  check(requester: Requester, id: string, software: SoftwareNow): Promise<CheckpointInfo>;
  /** The image, bit by bit as it was sealed. Throws as `check` does, and ERR_IO. */
  open(requester: Requester, id: string, software: SoftwareNow): Promise<OpenedCheckpoint>;
  /**
   * Drops the requester's own checkpoints, all or none, and frees what only they used. Throws
   * ERR_NO_SUCH_CHECKPOINT when one of them is not there.
   */
  remove(requester: Requester, ids: readonly string[]): Promise<void>;
  /**
   * A run is about to go on from the checkpoint: nobody else may, unless as a clone, until it came to
   * nothing. Throws ERR_NO_SUCH_CHECKPOINT, ERR_CHECKPOINT_USED, ERR_JOB_RUNNING. See `use.ts`.
   */
  claim(requester: Requester, id: string, request: ClaimRequest): Promise<void>;
  /** The run is over. No error when the claim is not that run's any more. */
  settle(requester: Requester, id: string, run: UsingRun, endedWell: boolean): Promise<void>;
  /** What became of a checkpoint; null: no run went on from it. */
  use(requester: Requester, id: string): Promise<CheckpointUse | null>;
  /** By id, those of the requester's own checkpoints that a run went on from. */
  uses(requester: Requester): Promise<ReadonlyMap<string, CheckpointUse>>;
  /** Lets another owner list and restore the requester's own checkpoints. See `operators.ts`. */
  grant(requester: Requester, operator: string): Promise<void>;
  /** Takes it back; whether there was anything to take back. */
  revoke(requester: Requester, operator: string): Promise<boolean>;
  /** Whether the requester asks for the own checkpoints, or as an operator of their owner. */
  mayAsk(requester: Requester): Promise<boolean>;
  /** Whom the requester has granted it. */
  operators(requester: Requester): Promise<readonly string[]>;
  /** Walks the whole ledger and checks its chain. Throws ERR_VAULT_DAMAGED where it is broken. */
  verifyLedger(): Promise<{ readonly entries: number; readonly head: string }>;
  /** What happened (`audit.ts`); the whole ledger is checked. Throws ERR_VAULT_DAMAGED. */
  audit(filter: AuditFilter): Promise<Audit>;
  /** What takes how much room: an owner's, or everybody's. */
  usage(owner?: string): Promise<VaultUsage>;
  /** Looks through everything, and tells what is not as it was written (`verify-vault.ts`). */
  verify(request: VerifyRequest): Promise<Verified>;
  /** Counts anew what is counted and not sealed (`repair-counts.ts`). Throws ERR_VAULT_DAMAGED. */
  repairCounts(): Promise<Repaired>;
  /** Makes or brings up to date a copy that can be opened as a vault (`back-up-vault.ts`). */
  backUp(directory: string): Promise<BackedUp>;
  /** Notes in the ledger that this vault was made out of a backup. */
  noteRestored(): Promise<void>;
  /** Forgets an owner's key, and with it all that was sealed for the owner (`shred-owner.ts`). */
  shredOwner(owner: string): Promise<Shredded>;
  /** Gives back room (`collect-garbage.ts`). */
  collect(request?: Partial<CollectRequest>): Promise<Collected>;
  /** Changes the master key (`rotate-key.ts`). */
  rotateKey(request: RotateRequest): Promise<Rotated>;
  /** Does what a re-encryption that was interrupted left to do; for how many owners. */
  resumeReencryption(): Promise<number>;
  close(): Promise<void>;
}
