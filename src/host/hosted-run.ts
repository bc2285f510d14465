/** What it takes to host one run of a job (`host-run.ts`), and what comes of it. */
import type { ForeignProvider, ProviderKind, Trigger } from '../cell/protocol.ts';
import type { Confinement } from '../confine/confinement.ts';
import type { HostError } from '../fault/host-error.ts';
import type { Secret } from '../resource/secrets.ts';
import type { CellProgram } from './cell-command.ts';
import type { BlankSource } from './cell-pool.ts';
import type { GuestStdio } from './guest-streams.ts';
import type { JobRecord, RunOutcome, RunParent } from './job-records.ts';
import type { JobTable } from './job-table.ts';
import type { ModuleFile } from './module-file.ts';
import type { Places } from './places.ts';
import type { Caps } from './policy.ts';
import type { RunRequest } from './run-request.ts';
import type { PausedImage, SealedImage } from './supervise.ts';

/** What a host works with, whichever job it hosts. */
export interface HostTools {
  readonly places: Places;
  readonly table: JobTable;
  readonly now: () => Date;
  readonly program: CellProgram;
  /** Where there may be cells that were begun ahead. */
  readonly blanks?: BlankSource | undefined;
  readonly instrumenter: string;
}

export interface RestorePoint {
  readonly parent: RunParent;
  /** A twin goes on from the checkpoint, beside whatever else did, as a job of its own. */
  readonly clone: boolean;
  /** Takes the checkpoint for this run, before anything of the guest is started. Rejects with a HostError. */
  readonly claim: (run: number) => Promise<void>;
  /** Hex SHA-256 of the instrumented module that the image was made of. */
  readonly instrumented: string | null;
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

export interface HostRunOptions {
  readonly job: JobRecord;
  readonly request: RunRequest;
  /** The owner's, of today. */
  readonly caps: Caps;
  readonly module: ModuleFile;
  /** Of the request, with the digests of today. */
  readonly providers: readonly ForeignProvider[];
  /** null: from the beginning, as the first run of a new job. */
  readonly restore: RestorePoint | null;
  /** Values of the request's secrets; they are written nowhere. */
  readonly secrets: readonly Secret[];
  readonly triggers: readonly Trigger[];
  readonly digestMemory: boolean;
  /** What the guest has as its streams; null: it runs in the background. */
  readonly stdio: GuestStdio | null;
  readonly seal: (place: SealPlace, image: PausedImage) => Promise<SealedImage>;
  readonly onStarted: () => void;
  readonly onTrouble: (error: HostError) => void;
}

/** Where an image comes from. */
export interface SealPlace {
  readonly job: JobRecord;
  readonly run: number;
  /** Descriptor of the run's log, to be made durable before the image; null without a log. */
  readonly logFd: number | null;
  /** Hex SHA-256 of the instrumented module. */
  readonly instrumented: string;
  /** What the guest has, in order: the host's own providers first. */
  readonly providers: readonly ProviderKind[];
}

export interface HostedRun {
  readonly run: number;
  /** What the kernel holds the cell by. */
  readonly held: readonly Confinement[];
  /** Where the guest listens: `HOST:PORT`. */
  readonly listening: readonly string[];
  readonly ended: Promise<HostedEnd>;
  kill(signal: string): void;
}

export interface HostedEnd {
  readonly outcome: RunOutcome;
  /** Checkpoints that this run made. */
  readonly checkpoints: number;
}
