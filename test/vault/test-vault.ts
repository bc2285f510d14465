/** Vaults in directories of their own, with a clock and randomness that a test controls. */
import { createHash, randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type {
  CheckpointInfo,
  Requester,
  SoftwareIdentity,
} from '../../src/vault/checkpoint-info.ts';
import { openVault, type VaultOptions } from '../../src/vault/open-vault.ts';
import type { SealRequest, Vault } from '../../src/vault/vault.ts';
import { randomBytes as seededBytes, seededRandom } from '../cbor/random-value.ts';

export const PAGE = 65_536;
export const ALICE: Requester = { owner: 'uid:1000', entry: 'cli' };
export const BOB: Requester = { owner: 'uid:1001', entry: 'cli' };
export const SOFTWARE: SoftwareIdentity = {
  module: 'ab'.repeat(32),
  instrumenter: '1',
  host: '0.1.0',
  imageFormat: 1,
  engine: 'v8 14.6',
};

export interface Places {
  readonly root: string;
  readonly directory: string;
  readonly keyFile: string;
}

export function placesIn(root: string): Places {
  return { root, directory: join(root, 'vault'), keyFile: join(root, 'keys', 'master.key') };
}

export function open(places: Places, options: Partial<VaultOptions> = {}): Promise<Vault> {
  const { directory, keyFile } = places;
  return openVault({
    directory,
    key: { kind: 'file', path: keyFile },
    now: () => new Date(),
    random: (bytes) => randomBytes(bytes),
    ...options,
  });
}

/** A clock that a test sets. */
export function steadyClock(start: string): { now: () => Date; set: (time: string) => void } {
  let time = start;
  return {
    now: () => new Date(time),
    set: (next) => {
      time = next;
    },
  };
}

/** Bytes that look random and are the same for the same label: for golden files only. */
export function predictableBytes(label: string): (bytes: number) => Uint8Array {
  let count = 0;
  return (bytes) => {
    const blocks: Buffer[] = [];
    for (let length = 0; length < bytes; length += 32) {
      blocks.push(createHash('sha256').update(`${label} ${count++}`).digest());
    }
    return new Uint8Array(Buffer.concat(blocks).subarray(0, bytes));
  };
}

/** An image of `pageCount` pages: odd ones can't be compressed, even ones are all one byte. */
export function makeImage(
  seed: number,
  pageCount: number,
): { head: Uint8Array; pages: Uint8Array } {
  const random = seededRandom(seed);
  const pages = new Uint8Array(pageCount * PAGE);
  for (let page = 0; page < pageCount; page++) {
    if (page % 2 === 1) pages.set(seededBytes(random, PAGE), page * PAGE);
    else pages.fill(1 + ((seed + page) % 250), page * PAGE, (page + 1) * PAGE);
  }
  return { head: seededBytes(random, 100 + (seed % 50)), pages };
}

export function sealRequest(change: Partial<SealRequest> = {}): SealRequest {
  return {
    requester: ALICE,
    job: 'job-1',
    name: 'nqueens',
    run: 1,
    logBytes: 17,
    cause: 'request',
    software: SOFTWARE,
    ...makeImage(1, 3),
    ...change,
  };
}

/** Opens and compares with the image that `seed` and `pageCount` make. */
export async function opensAs(
  vault: Vault,
  requester: Requester,
  { id }: Pick<CheckpointInfo, 'id'>,
  image: Pick<SealRequest, 'head' | 'pages'>,
): Promise<boolean> {
  const { head, pages } = await vault.open(requester, id, SOFTWARE);
  return (
    Buffer.compare(head, image.head) === 0 &&
    Buffer.compare(pages, image.pages.subarray(0, image.pages.length)) === 0
  );
}
