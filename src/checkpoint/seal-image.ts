/**
 * Makes a checkpoint of a paused guest's image.
 *
 * Invariants:
 * 1. What the image takes for granted is durable before the image is: first the run's log, up to the
 *    bytes that belong to the image's past, and the copy of the module; then the image.
 */
import { fdatasync } from 'node:fs';
import { promisify } from 'node:util';
import { ioFailure } from '../fault/io-failure.ts';
import type { SealPlace } from '../host/hosted-run.ts';
import type { ModuleFile } from '../host/module-file.ts';
import { keepModule } from '../host/module-store.ts';
import type { Places } from '../host/places.ts';
import type { PausedImage, SealedImage } from '../host/supervise.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import type { VaultCaps } from '../vault/quota.ts';
import type { Vault } from '../vault/vault.ts';
import { type GuestSoftware, sealedSoftware } from './software.ts';

export interface SealerOptions {
  readonly places: Places;
  readonly vault: () => Promise<Vault>;
  readonly requester: Requester;
  readonly caps: VaultCaps;
  readonly software: Omit<GuestSoftware, 'module'>;
  readonly engine: string;
  readonly module: ModuleFile;
  /** The checkpoint that the run began at, unless as a clone. */
  readonly from: string | null;
}

/** A function that seals images of runs of one module. It rejects with the vault's errors. */
export function createSealer(
  options: SealerOptions,
): (place: SealPlace, image: PausedImage) => Promise<SealedImage> {
  const { places, requester, caps, module, engine } = options;
  const software = { ...options.software, module: module.digest };
  return async ({ job, run, logFd, instrumented, providers: kinds }, image) => {
    keepModule(places, module);
    if (logFd !== null) await syncLog(logFd);
    const vault = await options.vault();
    const { id, sequence, stamp, imageBytes, storedBytes } = await vault.seal({
      requester,
      caps,
      job: job.id,
      name: job.name,
      run,
      logBytes: image.logBytes,
      cause: image.cause,
      software: sealedSoftware(software, { instrumented, kinds }, engine),
      head: image.head,
      pages: image.pages,
      names: image.pages,
      ...(options.from === null ? {} : { from: options.from }),
    });
    return { id, sequence, stamp, imageBytes, storedBytes };
  };
}

async function syncLog(fd: number): Promise<void> {
  try {
    await promisify(fdatasync)(fd);
  } catch (error) {
    throw ioFailure('make the log durable', error);
  }
}
