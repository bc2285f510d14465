/**
 * What a user asked for when a job was made. It is kept with the job, and asked again at a restore:
 * an image grants nothing.
 */
import type { OnLimit, Preopen } from '../cell/protocol.ts';
import type { ConfineMode } from '../confine/confinement.ts';
import type { KvGrant } from '../kv/kv-grant.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import { BOUNDS_DEFAULT, type Bounds } from '../resource/bounds.ts';
import type { ClockGrain } from '../resource/clock.ts';
import type { WasiLayer } from '../wasi/layers.ts';
import type { CellPath } from './cell-command.ts';
import type { ListenRequest } from './listening-socket.ts';
import type { ProviderRequest } from './provider-file.ts';

export const CARRY_BYTES_DEFAULT = 64 * 1024 * 1024;

/** What the request says of them, and the defaults. */
export function boundsOf(request: RunRequest): Bounds {
  const {
    handles = BOUNDS_DEFAULT.handles,
    files = BOUNDS_DEFAULT.files,
    randomCallBytes = BOUNDS_DEFAULT.randomCallBytes,
    privateBytes = BOUNDS_DEFAULT.privateBytes,
    guestCheckpoints: checkpoints = BOUNDS_DEFAULT.checkpoints,
  } = request;
  return { handles, files, randomCallBytes, privateBytes, checkpoints };
}

export interface RunRequest {
  /** Absolute. */
  readonly modulePath: string;
  /** Of the guest, its own name first. */
  readonly args: readonly string[];
  /** `K=V` each. */
  readonly env: readonly string[];
  /** Names of variables whose values are secret: they are not here, and asked for again at a restore. */
  readonly secrets?: readonly string[];
  readonly preopens: readonly Preopen[];
  /** Contents of files that an image may carry; absent in requests that are older than the option. */
  readonly carryBytesMax?: number;
  /** Absent in requests of jobs that are older than pools. */
  readonly pools?: readonly PoolGrant[];
  /** Absent in requests of jobs that are older than databases. */
  readonly kv?: readonly KvGrant[];
  /** Absent, as are their paths, in requests of jobs that are older than providers. */
  readonly providers?: readonly ProviderRequest[];
  /** What the providers may read and write, beside the directories that their files lie in. */
  readonly providerPaths?: readonly CellPath[];
  /** Absent in requests of jobs that are older than sockets. */
  readonly listen?: readonly ListenRequest[];
  /** Decimal, since JSON has no integers of 64 bits; null for no limit. */
  readonly fuel: string | null;
  readonly memoryPages: number;
  readonly tableEntries: number;
  /** Absent in requests of jobs that are older than the option: no bound. */
  readonly outputBytes?: number | null;
  /** Absent in requests of jobs that are older than the option: `end`. */
  readonly onLimit?: OnLimit;
  /** Absent, as are the next four, in requests of jobs that are older than the options: the defaults. */
  readonly handles?: number;
  readonly files?: number;
  readonly randomCallBytes?: number;
  readonly privateBytes?: number;
  readonly guestCheckpoints?: number;
  /** Absent in requests of jobs that are older than the option: `coarse`. */
  readonly clock?: ClockGrain;
  readonly timeoutMs: number | null;
  readonly checkpointEveryMs: number | null;
  readonly invoke: string | null;
  readonly trapUnknownImports: boolean;
  readonly wasi: WasiLayer;
  /** Whether running calls may be replaced by optimised ones; absent in older requests: they may. */
  readonly osr?: boolean;
  /** Absent in requests of jobs that are older than the option: `auto`. */
  readonly confine?: ConfineMode;
  readonly keepLog: boolean;
  /** Restore the job from its last checkpoint when its host comes back; absent: no. */
  readonly restart?: boolean;
  /** As whom the host ran it, when that is not itself; written by the host alone, never read from a request. */
  readonly runAs?: UserIds;
  /** Remove the job, its log and its checkpoints when it ends. */
  readonly removeAtEnd: boolean;
}
