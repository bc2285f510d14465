/** What today's request says of pools: which page files a guest may open, under which names. */
import { closeSync, fsyncSync, lstatSync, openSync, readSync, type Stats } from 'node:fs';
import { dirname } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import { checkedHeader } from './page-file.ts';
import { HEADER_BYTES } from './pool-format.ts';

export interface PoolGrant {
  /** What the guest opens it by. */
  readonly name: string;
  /** Absolute, without symbolic links. Made when it is not there. */
  readonly hostPath: string;
  readonly pageBytes: number;
  /** Of the whole pool; the first guest to open it decides. */
  readonly frames: number;
  /** Pages that the file may have. */
  readonly pagesMax: number;
  readonly readOnly: boolean;
}

export const PAGES_MAX_DEFAULT = 2 ** 18;

/**
 * Looks at the page file before a guest is started, and makes it and its journal, empty, if they are not
 * there. Here, because the guest's process may not look at the directory, and names have to be durable
 * before the journal can be relied on. Throws ERR_POOL_UNUSABLE for a file that is no page file, or one of
 * pages of another size, and for one that is not there and may only be read.
 */
export function preparePool(grant: PoolGrant): void {
  const { hostPath, readOnly } = grant;
  try {
    const found = lstatSync(hostPath, { throwIfNoEntry: false });
    if (found === undefined && readOnly) {
      throw new HostError('ERR_POOL_UNUSABLE', `There is no page file ${hostPath} to read.`, {
        facts: { file: hostPath },
        hint: 'leave out ro, and the file is made',
      });
    }
    if (found !== undefined) checkFile(found, grant);
    const made = [hostPath, `${hostPath}-journal`].filter(makeEmpty);
    if (made.length > 0) syncDirectory(dirname(hostPath));
  } catch (error) {
    throw error instanceof HostError ? error : ioFailure(`use the page file ${hostPath}`, error);
  }
}

function checkFile(found: Stats, { hostPath, pageBytes }: PoolGrant): void {
  if (!found.isFile()) {
    throw new HostError('ERR_POOL_UNUSABLE', `The page file ${hostPath} is not a regular file.`, {
      facts: { file: hostPath },
      hint: 'name a file; it is made if it is not there',
    });
  }
  const header = Buffer.alloc(HEADER_BYTES);
  const fd = openSync(hostPath, 'r');
  try {
    readSync(fd, header, 0, HEADER_BYTES, 0);
  } finally {
    closeSync(fd);
  }
  // Made, and nobody opened it since.
  if (header.every((byte) => byte === 0) && found.size <= HEADER_BYTES) return;
  checkedHeader(header, hostPath, pageBytes);
}

/** Whether the file was not there. */
function makeEmpty(path: string): boolean {
  try {
    closeSync(openSync(path, 'wx', 0o600));
    return true;
  } catch (error) {
    if (errorCode(error) === 'EEXIST') return false;
    throw error;
  }
}

function syncDirectory(path: string): void {
  const fd = openSync(path, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}

/** Every path that a guest's process may touch for a pool; a `*` at the end stands for any ending. */
export function poolFilePaths(hostPath: string): string[] {
  return [hostPath, `${hostPath}-journal`, `${hostPath}-frames`, `${hostPath}-lock-*`];
}
