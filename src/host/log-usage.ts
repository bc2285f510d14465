/**
 * What the logs of an owner take up, and what is done about it: they are never cut or rotated, as checkpoints
 * stand for parts of them and `stasis logs` shows every line once. So a guest that would write more than there is
 * room for ends, as at any other limit, and can go on when there is room again.
 */
import { fstatSync, readdirSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { JobTable } from './job-table.ts';
import type { Places } from './places.ts';

/** How often a run that writes is held against the cap. Within one run the cell's own count is exact. */
const LOOK_AGAIN_MS = 250;

const LOG_NAME = /^run-\d+\.log$/;

/** Bytes of all logs of that owner's jobs. Throws ERR_IO. */
export function logBytesOf(places: Places, table: JobTable, owner: string): number {
  let bytes = 0;
  for (const { job } of table.list(owner)) {
    const directory = join(places.jobs, job.id);
    for (const name of namesIn(directory)) {
      if (LOG_NAME.test(name)) bytes += sizeOf(join(directory, name));
    }
  }
  return bytes;
}

/** Bytes that the owner's next run may write into its log; null: as many as it likes. Throws ERR_QUOTA, ERR_IO. */
export function logRoom(
  places: Places,
  table: JobTable,
  owner: string,
  cap: number | null,
): number | null {
  if (cap === null) return null;
  const used = logBytesOf(places, table, owner);
  if (used < cap) return cap - used;
  throw new HostError('ERR_QUOTA', `Your logs may take up ${cap} bytes, and take up ${used}.`, {
    facts: { cap: 'logBytes', allowed: cap, used },
    hint: 'stasis rm removes a job that is over, with its logs; run --no-log keeps none',
  });
}

export interface LogWatch {
  stop(): void;
}

/**
 * Calls `onFull`, once, when the owner's logs are more than the cap allows and this run is among those that write:
 * several at once may have been promised the same room.
 */
export function watchLog(
  logFd: number,
  usedBytes: () => number,
  cap: number,
  onFull: (usedBytes: number) => void,
  everyMs = LOOK_AGAIN_MS,
): LogWatch {
  let seen = fstatSync(logFd).size;
  /** What can't be looked at now is looked at when more is written: a guest is not ended for it. */
  const usedNow = (): number | null => {
    try {
      return usedBytes();
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      return null;
    }
  };
  const timer = setInterval(() => {
    const { size } = fstatSync(logFd);
    if (size === seen) return;
    seen = size;
    const used = usedNow();
    if (used === null || used <= cap) return;
    clearInterval(timer);
    onFull(used);
  }, everyMs);
  timer.unref();
  return { stop: () => clearInterval(timer) };
}

function namesIn(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw ioFailure('look at the logs', error);
  }
}

/** One that was removed meanwhile takes up nothing. */
function sizeOf(path: string): number {
  return statSync(path, { throwIfNoEntry: false })?.size ?? 0;
}
