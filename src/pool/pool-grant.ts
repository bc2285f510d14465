/** What today's request says of pools: which page files a guest may open, under which names. */
import { closeSync, lstatSync, openSync, readSync } from 'node:fs';
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
 * Looks at the page file before a guest is started. Throws ERR_POOL_UNUSABLE for one that is there and is
 * none, or of pages of another size. One that is not there is fine: it is made when the guest opens it.
 */
export function checkPoolGrant({ hostPath, pageBytes }: PoolGrant): void {
  try {
    const found = lstatSync(hostPath);
    if (!found.isFile() || found.size === 0) {
      if (found.isFile()) return;
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
    if (header.every((byte) => byte === 0) && found.size <= HEADER_BYTES) return;
    checkedHeader(header, hostPath, pageBytes);
  } catch (error) {
    if (error instanceof HostError) throw error;
    if (errorCode(error) !== 'ENOENT') throw ioFailure(`look at the page file ${hostPath}`, error);
  }
}

/** Every path that a guest's process may touch for a pool; a `*` at the end stands for any ending. */
export function poolFilePaths(hostPath: string): string[] {
  return [hostPath, `${hostPath}-journal`, `${hostPath}-frames`, `${hostPath}-lock-*`];
}
