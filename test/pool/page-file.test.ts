/** The page file and its journal: a batch is there whole or not at all, and nothing foreign is taken. */
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  copyFileSync,
  linkSync,
  openSync,
  readFileSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { PageFile, readHeader } from '../../src/pool/page-file.ts';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import {
  ENTRY_HEAD_BYTES,
  encodeJournalHeader,
  HEADER_BYTES,
  RECORD_HEAD_BYTES,
  recordAt,
} from '../../src/pool/pool-format.ts';
import { preparePool } from '../../src/pool/pool-grant.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { grantOf, PoolGuest } from './pool-guest.ts';

const PAGE = 1024;
const ENTRY = ENTRY_HEAD_BYTES + RECORD_HEAD_BYTES + PAGE;
const scratch = scratchDirectory();
let files = 0;
const newPath = (): string => join(scratch, `pages-${files++}`);

/** Opens, lets `work` be done, and closes, as one process after the other would. */
function withFile<T>(path: string, work: (pages: PageFile) => T): T {
  const flags = constants.O_RDWR | constants.O_CREAT;
  const [fd, journalFd] = [openSync(path, flags), openSync(`${path}-journal`, flags)];
  const calls = poolCalls();
  try {
    const newId = () => Buffer.alloc(16, 7);
    const header = readHeader({ fd, path, pageBytes: PAGE, calls, newId });
    return work(new PageFile({ path, header, fd, journalFd, calls }));
  } finally {
    closeSync(fd);
    closeSync(journalFd);
  }
}

const batchOf = (pages: readonly number[], version: bigint, fill: number) =>
  pages.map((page) => ({
    page,
    version,
    copyTo: (target: Uint8Array) => void target.fill(fill + page),
  }));

const read = (path: string, page: number) =>
  withFile(path, (pages) => {
    const { version, bytes } = pages.read(page);
    return [version, bytes[0], bytes.every((byte) => byte === bytes[0])];
  });

/** A journal's header as it was before the batch was done, over the entries that are still there. */
function unwiped(path: string, count: number): Buffer {
  const journal = readFileSync(`${path}-journal`);
  const crcs = Buffer.alloc(4 * count);
  for (let at = 0; at < count; at++) {
    crcs.writeUInt32LE(journal.readUInt32LE(HEADER_BYTES + at * ENTRY + ENTRY_HEAD_BYTES), 4 * at);
  }
  const id = Buffer.alloc(16, 7);
  encodeJournalHeader({ pageBytes: PAGE, id, count, chain: crc32(crcs) }).copy(journal, 0);
  return journal;
}

describe('a batch', () => {
  const pages = [0, 3, 900];
  const path = newPath();
  withFile(path, (file) => file.writeBatch(batchOf(pages, 1n, 1)));
  const before = readFileSync(path);
  withFile(path, (file) => file.writeBatch(batchOf(pages, 2n, 100)));
  const after = readFileSync(path);
  const journal = unwiped(path, pages.length);

  /** A crash left this page file and this journal; what the next one to open finds. */
  function crashed(bytes: Buffer, left: Buffer): { recovered: number; file: Buffer; path: string } {
    const here = newPath();
    writeFileSync(here, bytes);
    writeFileSync(`${here}-journal`, left);
    const recovered = withFile(here, (file) => file.recover());
    return { recovered, file: readFileSync(here), path: here };
  }

  test('is read as it was written; other pages are zero', () => {
    expect(pages.map((page) => read(path, page))).toEqual(
      pages.map((page) => [2n, (100 + page) & 0xff, true]),
    );
    expect(read(path, 1)).toEqual([0n, 0, true]);
    expect(read(path, 5000)).toEqual([0n, 0, true]);
  });

  test('is not there at all when the journal is cut anywhere', () => {
    let cuts = 0;
    for (let length = 0; length < journal.length; length += 97) {
      const { recovered, file } = crashed(before, journal.subarray(0, length));
      expect(recovered).toBe(0);
      expect(file.equals(before)).toBe(true);
      cuts++;
    }
    expect(cuts).toBeGreaterThan(30);
  });

  test('is not there at all when any part of the journal is another', () => {
    for (let at = 0; at < journal.length; at += 61) {
      const spoiled = Buffer.from(journal);
      spoiled[at]! ^= 0x10;
      const { recovered, file } = crashed(before, spoiled);
      // Nothing but zeros that nobody reads can differ in a journal that counts.
      const [isPadding, isSame] = [recovered === pages.length, file.equals(before)];
      const inEntry = (at - HEADER_BYTES) % ENTRY;
      expect(isPadding).toBe(at > HEADER_BYTES && inEntry >= 4 && inEntry < 8);
      expect(isSame).toBe(!isPadding);
    }
  });

  test('is there whole when the journal is, wherever the writing in place was cut', () => {
    for (let cut = 0; cut <= after.length; cut += 4999) {
      const torn = Buffer.concat([after.subarray(0, cut), before.subarray(cut)]);
      const { recovered, file, path: here } = crashed(torn, journal);
      expect(recovered).toBe(pages.length);
      expect(file.equals(after)).toBe(true);
      expect(withFile(here, (again) => again.recover())).toBe(0);
    }
  });

  test('of another page file is left alone', () => {
    const other = Buffer.from(journal);
    encodeJournalHeader({
      ...{ pageBytes: PAGE, id: Buffer.alloc(16, 8), count: 3 },
      chain: journal.readUInt32LE(36),
    }).copy(other, 0);
    expect(crashed(before, other).recovered).toBe(0);
  });
});

describe('what is no page file of ours', () => {
  const grant = (path: string) => grantOf(path, { pageBytes: PAGE });
  const good = newPath();
  withFile(good, (file) => file.writeBatch(batchOf([0, 1], 1n, 1)));

  test.each([
    ['a text', (path: string) => writeFileSync(path, 'nothing of the kind\n')],
    ['a long text', (path: string) => writeFileSync(path, 'x'.repeat(10_000))],
    ['zeros', (path: string) => writeFileSync(path, Buffer.alloc(10_000))],
    [
      'a damaged header',
      (path: string) => {
        const bytes = readFileSync(good);
        bytes[20]! ^= 1;
        writeFileSync(path, bytes);
      },
    ],
    [
      'a later format',
      (path: string) => {
        const bytes = readFileSync(good);
        bytes[8] = 2;
        writeFileSync(path, bytes);
      },
    ],
    ['a page file of other pages', (path: string) => void newPageFile(path)],
  ])('%s is refused, by the command and by the guest, and not touched', (_, make) => {
    const path = newPath();
    make(path);
    const bytes = readFileSync(path);
    expect(() => preparePool(grant(path))).toThrow(
      expect.objectContaining({ code: 'ERR_POOL_UNUSABLE' }),
    );
    const guest = new PoolGuest({ grants: [grant(path)] });
    expect(guest.open('p', { pageBytes: PAGE })).toBe(ERRNO.BADMSG);
    guest.end();
    expect(readFileSync(path).equals(bytes)).toBe(true);
  });

  const newPageFile = (path: string): void => {
    const fd = openSync(path, 'w+');
    const newId = () => Buffer.alloc(16);
    readHeader({ fd, path, pageBytes: 2 * PAGE, calls: poolCalls(), newId });
    closeSync(fd);
  };

  test.each([
    ['a link to a file', (path: string) => symlinkSync(good, path)],
    [
      'a directory',
      (path: string) => void withFile(join(scratch, 'x'), () => symlinkSync(scratch, path)),
    ],
    [
      'a file with two names',
      (path: string) => {
        copyFileSync(good, `${path}-other`);
        linkSync(`${path}-other`, path);
      },
    ],
  ])('%s is not opened', (_, make) => {
    const path = newPath();
    make(path);
    const guest = new PoolGuest({ grants: [grant(path)] });
    expect(guest.open('p', { pageBytes: PAGE })).toBe(ERRNO.BADMSG);
    guest.end();
  });

  const changes: [string, (path: string) => void][] = [
    ['that others may write', (path) => chmodSync(path, 0o622)],
  ];
  // Only root can give a file away; elsewhere there is no file of another user to be had.
  if (process.geteuid?.() === 0) {
    changes.push(['of another user', (path) => chownSync(path, 12_345, 12_345)]);
  }

  test.each(changes)('a file %s is not opened', (_, change) => {
    const path = newPath();
    copyFileSync(good, path);
    change(path);
    const guest = new PoolGuest({ grants: [grant(path)] });
    expect(guest.open('p', { pageBytes: PAGE })).toBe(ERRNO.BADMSG);
    guest.end();
  });

  test('a damaged page is refused, the others are not', () => {
    const path = newPath();
    copyFileSync(good, path);
    const bytes = readFileSync(path);
    bytes[recordAt(1, PAGE) + 100]! ^= 1;
    writeFileSync(path, bytes);
    const guest = new PoolGuest({ grants: [grant(path)] });
    expect(guest.open('p', { pageBytes: PAGE })).toBe(0);
    expect(guest.tryPin(0, 0)).toBe(0);
    expect(guest.tryPin(0, 1)).toBe(ERRNO.BADMSG);
    expect(guest.tryPin(0, 1, 1)).toBe(ERRNO.BADMSG);
    expect(guest.tryPin(0, 2, 1)).toBe(0);
    guest.end();
  });

  test('a page that the file ends in is damaged', () => {
    const path = newPath();
    copyFileSync(good, path);
    truncateSync(path, recordAt(1, PAGE) + 50);
    expect(() => read(path, 1)).toThrow(expect.objectContaining({ code: 'ERR_POOL_UNUSABLE' }));
    expect(read(path, 0)).toEqual([1n, 1, true]);
  });
});
