/**
 * What the host and a cell say to each other over descriptor 3 of the cell, a stream socket.
 *
 * A message is a CBOR map with a `type`, followed by the message's *attachments*: byte strings too
 * large to be worth encoding (module bytes, memory pages). On the wire:
 *
 *   offset  size  what
 *   0       4     u32 little-endian: bytes of the CBOR part
 *   4       4     u32 little-endian: number of attachments, n
 *   8       8·n   u64 little-endian each: bytes of each attachment
 *   8+8n    …     the CBOR part, then the attachments, in order
 *
 * Invariants:
 * 1. The cell is not trusted: the host checks each message against its shape, and a wrong one ends the cell.
 * 2. The host's first message is `confine`, once; `start` comes once, after the cell's answer to it: nothing
 *    of a guest's gets into a cell that is not held yet.
 */
import type { CborValue } from '../cbor/cbor.ts';
import type { Confinement } from '../confine/confinement.ts';
import type { FilePolicy } from '../handle/file-policy.ts';
import type { ListenerGrant } from '../handle/grants.ts';
import type { ImageMemory } from '../image/image.ts';
import type { KvGrant } from '../kv/kv-grant.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import type { Bounds } from '../resource/bounds.ts';
import type { ClockGrain } from '../resource/clock.ts';
import type { LimitName } from '../resource/limit-reached.ts';
import type { Secret } from '../resource/secrets.ts';
import type { WasiLayer } from '../wasi/layers.ts';

/** Host → cell, first of all. */
export interface ConfineMessage {
  readonly type: 'confine';
  /** Data that the process may have, its guest's memory included; null: it is to give up nothing. */
  readonly dataBytes: number | null;
  /** What it may use of the file system; null: nothing judges that, or nothing does yet. */
  readonly ruleset: RulesetGrant | null;
  /** A socket by which it is given more with `equip`; null: it has everything already. */
  readonly postFd: number | null;
  /** Of no use any more; null: there is none. */
  readonly spentFd: number | null;
}

/**
 * Host → cell, to one that was told of a `postFd`, once, before `start`: descriptors lie in that socket, and take the
 * places of those that the cell was begun with.
 */
export interface EquipMessage {
  readonly type: 'equip';
  /** As in `confine`: no more than there. */
  readonly dataBytes: number | null;
  /** Which numbers the descriptors get, in their order. */
  readonly places: readonly number[];
  /** One of them. */
  readonly ruleset: RulesetGrant | null;
}

/** Cell → host: the answer to `equip`. */
export interface EquippedMessage {
  readonly type: 'equipped';
  /** What is on now besides. */
  readonly held: readonly Confinement[];
}

/** Rules of Landlock that the host made: see `confine/landlock.ts`. */
export interface RulesetGrant {
  readonly hostFd: number;
  /** What holds the cell once it is on. */
  readonly holds: readonly Confinement[];
}

/** Cell → host: the answer to `confine`. */
export interface ConfinedMessage {
  readonly type: 'confined';
  /** What is on now by the cell's own doing. */
  readonly held: readonly Confinement[];
  /** Whether the kernel can keep book of what the guest writes. */
  readonly tracksWrites: boolean;
}

/**
 * Host → cell, once. Attachments: the guest's module; with `cached`, the instrumented module and its plan;
 * with `restore`, the image's pages.
 */
export interface StartMessage {
  readonly type: 'start';
  /** The instrumented module and its plan are attached. */
  readonly cached: boolean;
  readonly args: readonly string[];
  /** `K=V` each. */
  readonly env: readonly string[];
  /** Variables whose values enter no image; behind the others in the environment. */
  readonly secrets: readonly Secret[];
  readonly preopens: readonly Preopen[];
  /** null without directories. */
  readonly keeping: FileKeeping | null;
  /** Page files that the guest may open as pools. */
  readonly pools: readonly PoolGrant[];
  /** Databases that the guest may open. */
  readonly kv: readonly KvGrant[];
  /** In their order: a later one may rely on an earlier one. */
  readonly providers: readonly ForeignProvider[];
  readonly limits: Limits;
  readonly clock: ClockGrain;
  /** Exported function to call instead of `_start`. */
  readonly invoke: string | null;
  readonly trapUnknownImports: boolean;
  readonly wasi: WasiLayer;
  /** On-stack replacement: see `stack-replacement.ts`. */
  readonly osr: boolean;
  /** Encoded image head to go on from (the pages come as an attachment). */
  readonly restore: Uint8Array | null;
  /** Of a guest that goes on from an image: whether it is the only one that does. */
  readonly reason: 'restarted' | 'cloned';
  /** Hex SHA-256 that the instrumented module has to have; null: whatever comes out. */
  readonly instrumented: string | null;
  /** Capture by itself at these points (tests, replays): see `Trigger`. */
  readonly triggers: readonly Trigger[];
  /** Report the SHA-256 of all memories when the guest ends. */
  readonly digestMemory: boolean;
  /** Descriptor of the run's log in the cell, or null. */
  readonly logFd: number | null;
  readonly streams: GuestStreams;
  /** Sockets that the host bound, in the order of their handles. */
  readonly listeners: readonly ListenerGrant[];
}

/** The cell's descriptors of the guest's standard streams. */
export interface GuestStreams {
  readonly stdin: GuestStream;
  /** null: output goes to the log alone. */
  readonly stdout: GuestStream | null;
  readonly stderr: GuestStream | null;
}

export interface GuestStream {
  readonly fd: number;
  /** Opened for this cell alone, and not blocking; else it may be shared with whoever started the host. */
  readonly isOwn: boolean;
}

export interface Preopen {
  readonly hostPath: string;
  readonly guestPath: string;
  readonly readOnly: boolean;
  /** What checkpoints mean for what lies below it; absent: `reopen`. */
  readonly policy?: FilePolicy;
}

/** Where and how much the cell keeps of files for checkpoints: see `handle/grants.ts`. */
export interface FileKeeping {
  readonly directory: string;
  readonly carryBytesMax: number;
}

/** A provider of the user's: its file is loaded in the cell. */
export interface ForeignProvider {
  /** Absolute path of the file. */
  readonly module: string;
  /** Name of the export that is a provider, or gives one when it is called with `options`. */
  readonly export: string;
  readonly options: { readonly [key: string]: string };
  /** Hex SHA-256 of the file. */
  readonly digest: string;
}

export interface Limits extends Bounds {
  readonly fuel: bigint | null;
  /** Of all memories together. */
  readonly memoryPages: number;
  readonly tableEntries: number;
  /** What it may write to stdout and stderr together in this run. */
  readonly outputBytes: number | null;
  /** What happens at a limit, the time included. */
  readonly onLimit: OnLimit;
}

/** `checkpoint`: the guest is captured where it stands, and ends then. */
export const ON_LIMIT = ['end', 'checkpoint'] as const;
export type OnLimit = (typeof ON_LIMIT)[number];

/** `limit`: the guest reached one of its limits. */
export const CAPTURE_CAUSES = ['request', 'guest', 'trigger', 'limit'] as const;
export type CaptureCauseName = (typeof CAPTURE_CAUSES)[number];

/**
 * A safepoint named exactly: the first poll at which at least `fuel` units are used, or the entry of
 * host call number `call` (counted from 0). Both are the same in every run of a deterministic guest.
 */
export type Trigger =
  | { readonly fuel: bigint; readonly stop: boolean }
  | { readonly call: bigint; readonly stop: boolean };

/** Host → cell: capture at the next safepoint. `stop`: end after the image was sealed. */
export interface CheckpointMessage {
  readonly type: 'checkpoint';
  readonly request: number;
  readonly stop: boolean;
}

/** Host → cell: what became of an image that the cell sent. */
export interface SealedMessage {
  readonly type: 'sealed';
  readonly image: number;
  /** null: sealed and durable. Otherwise one sentence. */
  readonly failure: string | null;
}

export type HostMessage =
  | ConfineMessage
  | EquipMessage
  | StartMessage
  | CheckpointMessage
  | SealedMessage;

/** Cell → host, after a module was instrumented in the cell. Attachments: instrumented bytes, plan bytes. */
export interface InstrumentedMessage {
  readonly type: 'instrumented';
}

/** Cell → host: the guest's first instruction is about to run. */
export interface StartedMessage {
  readonly type: 'started';
  /** All that the guest has, in order: the host's own first, then those of `StartMessage.providers`. */
  readonly providers: readonly ProviderKind[];
}

export interface ProviderKind {
  readonly kind: string;
  readonly version: number;
}

/**
 * Cell → host. Attachments: all pages; or, when `since` is not null, the units that changed and where they are
 * (`image/retained-pages.ts`).
 */
export interface ImageMessage {
  readonly type: 'image';
  /** Numbered by the cell from 1. */
  readonly image: number;
  readonly cause: CaptureCauseName;
  /** Of the `checkpoint` messages answered by this image, the highest; 0 for none. */
  readonly request: number;
  readonly head: Uint8Array;
  /** As in the head. */
  readonly memories: readonly ImageMemory[];
  /** Number of the image before this one that the attachments are to be read with. */
  readonly since: number | null;
  /** The guest waits for `sealed` before it goes on (it asked for the checkpoint itself, or will stop). */
  readonly waits: boolean;
  readonly stop: boolean;
  /** Bytes in the run's log that belong to the image's past; 0 without a log. */
  readonly logBytes: number;
  /** From request to safepoint, and from safepoint until the guest ran again (the latter null if it waits). */
  readonly timing: { readonly reachNs: number; readonly captureNs: number };
}

/** Cell → host: request can't be met. */
export interface RefusedMessage {
  readonly type: 'refused';
  readonly cause: CaptureCauseName;
  readonly request: number;
  readonly why: string;
}

/** Cell → host: the guest is over. The last message. */
export interface EndedMessage {
  readonly type: 'ended';
  readonly ending: Ending;
  readonly fuel: bigint;
  readonly calls: bigint;
  /** Hex SHA-256 of all memories in order, with `digestMemory`. */
  readonly memoryDigest: string | null;
}

/** Cell → host: the cell could not do what it was told. The last message. */
export interface FailedMessage {
  readonly type: 'failed';
  /** A code of the host's error table. */
  readonly code: string;
  readonly message: string;
  readonly hint: string | null;
  readonly facts: { readonly [key: string]: CborValue };
}

export type CellMessage =
  | ConfinedMessage
  | EquippedMessage
  | InstrumentedMessage
  | StartedMessage
  | ImageMessage
  | RefusedMessage
  | EndedMessage
  | FailedMessage;

/** What a cell says once its guest is there. */
export type GuestMessage = Exclude<CellMessage, ConfinedMessage | EquippedMessage>;

/** Frames that are told of a guest that trapped. */
export const TRAP_FRAMES_MAX = 20;

/** The stack on which a guest trapped; absent in its ending where the engine did not tell. */
export interface TrapStack {
  /** Innermost first. */
  readonly frames: readonly TrapFrame[];
  /** How many there are outside of those. */
  readonly more: number;
  /** `more` counts not even all. */
  readonly isCut: boolean;
}

export interface TrapFrame {
  /** Index of the function, imports first. */
  readonly func: number;
  /** What the guest's module calls it: a hint, which can hold any character. */
  readonly name: string | null;
  /**
   * Of the instruction, in bytes from the start of the guest's own module; null where the engine does not know
   * which call it was.
   */
  readonly offset: number | null;
}

/** How a guest ended. `checkpointed`: it was told to stop after a checkpoint and did. */
export type Ending =
  | { readonly kind: 'exit'; readonly code: number }
  | { readonly kind: 'trap'; readonly message: string; readonly stack?: TrapStack }
  | { readonly kind: 'limit'; readonly limit: LimitName }
  | { readonly kind: 'checkpointed' };
