/**
 * What the vault tells about a checkpoint: everything but its content.
 *
 * All of it is sealed in the checkpoint's record (`record.ts`) and authenticated before it is told.
 */

/** A provider of a guest, as far as it is known. */
export interface ProviderIdentity {
  /** null: it is in a user's file, which only a cell loads. */
  readonly kind: string | null;
  /** Of its states; null as above. */
  readonly version: number | null;
  /** `counter.mjs#default`: the file's name and its export; null: the host's own. */
  readonly file: string | null;
  /** Hex SHA-256 of the file; null: the host's own. */
  readonly digest: string | null;
}

/** The software that an image belongs to. A restore needs every field equal, or accepted by the policy. */
export interface SoftwareIdentity {
  /** Hex SHA-256 of the module as the user gave it. */
  readonly module: string;
  /** Hex SHA-256 of what the instrumenter made of it; absent in checkpoints from before it was kept. */
  readonly instrumented?: string;
  readonly instrumenter: string;
  readonly host: string;
  readonly imageFormat: number;
  readonly engine: string;
  /** The layer of WASI that the guest runs on, with its version; absent: the host's own. */
  readonly wasi?: string;
  /** The host's own, then the user's in their order; absent in checkpoints from before there were any. */
  readonly providers?: readonly ProviderIdentity[];
}

/** The software that is here now, and what the policy says of older one. */
export interface SoftwareNow extends Omit<SoftwareIdentity, 'instrumented'> {
  /** null, or absent: it was not made yet. */
  readonly instrumented?: string | null;
  /** Patterns and kinds of what is older and passes all the same; absent: nothing. */
  readonly accept?: {
    readonly engine: readonly string[];
    readonly host: readonly string[];
    readonly providers: readonly string[];
  };
  /** Older versions that the host's own providers read, by kind. */
  readonly reads?: Readonly<Record<string, readonly number[]>>;
}

/** By which way a request came in; a checkpoint opens only to the way that it was made by. */
export type Entry = 'cli' | 'edge' | 'replay';

/** Who asks. The owner comes from the kernel (`uid:1000`), never from the request. */
export interface Requester {
  /** Whose checkpoints are asked for. */
  readonly owner: string;
  /** Who asks, when it is not the owner: somebody whom the owner has granted it (`operators.ts`). */
  readonly operator?: string;
  readonly entry: Entry;
}

export type CheckpointCause = 'request' | 'timer' | 'guest' | 'trigger' | 'limit';

export interface CheckpointInfo {
  /** 128 random bits, 32 hex digits. */
  readonly id: string;
  readonly job: string;
  /** The job's name. */
  readonly name: string;
  /** Counts an owner's checkpoints from 1; the highest is the last one, whatever the clock says. */
  readonly sequence: number;
  /** ISO 8601, UTC, milliseconds. Unique for an owner and ascending with the sequence. */
  readonly stamp: string;
  readonly cause: CheckpointCause;
  readonly software: SoftwareIdentity;
  readonly entry: Entry;
  /** Which run of the job it was taken in. */
  readonly run: number;
  /** Bytes in the run's log that belong to the checkpoint's past. */
  readonly logBytes: number;
  /** Head and pages, before chunks were shared or compressed. */
  readonly imageBytes: number;
  /** What this checkpoint added to the vault's packs. */
  readonly storedBytes: number;
}
