/**
 * What today's request gives to a guest. An image says what was held; only this says what may be held.
 */

import type { Errno } from '../abi/errno.ts';
import type { CborValue } from '../cbor/cbor.ts';
import type { HostError } from '../fault/host-error.ts';
import type { ImageProvider } from '../image/image.ts';
import type { Clock, ClockGrain } from '../resource/clock.ts';
import type { GuestAccess, Provider } from '../resource/provider.ts';
import type { RandomSource } from '../resource/random.ts';
import type { ProvidedImports } from '../resource/registry.ts';
import type { Secret, SecretRegions } from '../resource/secrets.ts';
import type { Connections } from './connection.ts';
import type { FilePolicy } from './file-policy.ts';
import type { HandleTable } from './handle-table.ts';

export interface PreopenGrant {
  /** Absolute or relative to the working directory; opened once, when the guest's resources are made. */
  readonly hostPath: string;
  /** The name that the guest is told, e.g. `/data`. */
  readonly guestPath: string;
  readonly readOnly: boolean;
  /** What checkpoints mean for what lies below it. Default `reopen`. */
  readonly policy?: FilePolicy;
}

/** What is needed to keep files beside an image, and in it. */
export interface FileKeeping {
  /** A directory of the job's own, mode 0700, the same one in all of its runs. */
  readonly directory: string;
  /** Contents of files that one image may carry. */
  readonly carryBytesMax: number;
  /** What may lie in the directory; absent: the default. */
  readonly keptBytesMax?: number;
}

/** Where a guest's stdin comes from. Never waits. */
export interface StdinSource {
  /**
   * Puts bytes into `into`, which has room for at least 1: how many, at least 1, or why there are none.
   * The source forgets them: they are the guest's from here on.
   */
  read(into: Uint8Array): number | 'empty' | 'end' | 'failed';
  /** Where the source stands, if it is a file that another process can be given at that place. */
  position(): StdinPosition | null;
  /** Goes where `position` says, if that is of the same file; otherwise stays. */
  moveTo(position: StdinPosition): void;
  readonly isTerminal: boolean;
}

/** A place in a file. */
export interface StdinPosition {
  readonly dev: bigint;
  readonly ino: bigint;
  /** Nanoseconds since 1970; 0 where the host doesn't know. */
  readonly birthtimeNs: bigint;
  readonly offsetBytes: number;
}

/**
 * Where a guest's stdout or stderr goes. One write of a guest is one `record`, then `write` until all is
 * taken. The parts are views of guest memory and die with the call.
 */
export interface OutputSink {
  /** Keeps the whole of `parts`, in order, in the run's log, if there is one. */
  record(parts: readonly Uint8Array[]): Errno;
  /**
   * Takes what it can of `parts` behind their first `fromBytes` bytes without waiting: bytes taken, 0 when
   * there is no room at the moment, or minus an errno of `abi/errno.ts`.
   */
  write(parts: readonly Uint8Array[], fromBytes: number): number;
  /** What has room again when it is ready for writing; null: there is always room. */
  readonly hostFd: number | null;
  readonly isTerminal: boolean;
}

/** A socket that the host bound for the guest. */
export interface ListenerGrant {
  /** By which an image knows it; each once. */
  readonly name: string;
  /** Listens and does not block; it is the guest's to close. */
  readonly hostFd: number;
}

export interface Grants {
  /** Handles from 3 on, in this order. */
  readonly listeners?: readonly ListenerGrant[];
  /** Handles behind the listeners', in this order. */
  readonly preopens: readonly PreopenGrant[];
  readonly stdin: StdinSource;
  readonly stdout: OutputSink;
  readonly stderr: OutputSink;
  /** The host's clocks. The guest's are made from it. */
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Values that are to enter no image. */
  readonly secrets?: readonly Secret[];
  /** Without it, what would need it is refused by name. */
  readonly keeping?: FileKeeping;
  /** Handles open at once; a call that would open more is refused with MFILE. Default 1024. */
  readonly handlesMax?: number;
  /** Of them, files and directories that the guest opened; likewise. Default 1024. */
  readonly filesMax?: number;
  /** Of the guest's clocks and of the times of files. Default `fine`. */
  readonly clockGrain?: ClockGrain;
  /** Providers beside those for handles and clocks, registered after them. */
  readonly providers?: readonly Provider[];
}

/** The part of an image that is about resources. */
export interface CapturedResources {
  readonly handles: readonly CborValue[];
  readonly providers: readonly ImageProvider[];
}

/** Everything outside a guest that the guest points to. */
export interface GuestResources {
  readonly handles: HandleTable;
  readonly connections: Connections;
  readonly clock: Clock;
  readonly random: RandomSource;
  /** Parts of the guest's memory that enter no image. */
  readonly secrets: SecretRegions;
  /** Of every provider, in order: the host's own first. */
  readonly kinds: readonly { readonly kind: string; readonly version: number }[];
  /** u64: another one in each run of the guest. See `resource/random.ts`. */
  generation(): bigint;
  /** What the granted providers offer to the guest. */
  readonly imports: ProvidedImports;
  /** Shows the guest to the providers: once, when its memory is there and before it runs. */
  attach(guest: GuestAccess): void;
  /**
   * Takes hold of what an image says, in place of the first handles of a new guest; what it says is
   * checked against its shape and then against the grants, which alone decide. Rejects with a
   * `HostError`; `close` is to be called then.
   */
  rebuild(captured: CapturedResources, reason: 'restarted' | 'cloned'): Promise<void>;
  /**
   * Brings everything to rest and lets go of it. The guest must not run before `resume`.
   *
   * Rejects with a `HostError` (ERR_NOT_CAPTURABLE, ERR_TIMEOUT or a provider's own) when something
   * can't be captured: then nothing was let go, and the guest can go on at once without `resume`.
   */
  quiesce(): Promise<CapturedResources>;
  /**
   * Takes hold of everything again in the same process: `resumed` after a capture, `aborted` when the
   * capture failed after `quiesce`. Rejects with a `HostError` (ERR_RESOURCE_CHANGED, …) when that is
   * impossible: the guest can't go on.
   */
  resume(reason: 'resumed' | 'aborted'): Promise<void>;
  /** True when undoing failed: some resources are held, some are not, and the guest can't go on. */
  readonly isLost: boolean;
  /** Closes what is open, when the guest is over. Never throws; gives the first failure of a provider. */
  close(): HostError | null;
}
