/**
 * A pool's page file with its journal: reads pages, and writes batches of them whole or not at all.
 *
 *   writeBatch   the batch goes into the journal, entries first and the header last; the journal is made
 *                durable; the pages go to their places; the page file is made durable; the journal's
 *                header is wiped.
 *   recover      a whole journal is written to its places again; any other is left alone.
 *
 * Invariants:
 * 1. Nothing is written in place before a durable journal holds the whole batch.
 * 2. A journal is not begun anew before the batch in it is durable in place: a batch that failed between
 *    is finished by `recover`, which its caller has to call first.
 * 3. Whoever writes here holds the pool's mutex, so there is one at a time.
 */
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import type { PoolCalls } from './pool-calls.ts';
import {
  decodeHeader,
  decodeJournalHeader,
  ENTRY_HEAD_BYTES,
  encodeHeader,
  encodeJournalHeader,
  HEADER_BYTES,
  type JournalHeader,
  type PageFileHeader,
  RECORD_HEAD_BYTES,
  recordAt,
  recordVersion,
  sealRecord,
} from './pool-format.ts';

/** One page of a batch. `copyTo` writes its bytes. */
export interface BatchPage {
  readonly page: number;
  readonly version: bigint;
  copyTo(target: Uint8Array): void;
}

export class PageFile {
  readonly header: PageFileHeader;
  readonly #path: string;
  readonly #fd: number;
  readonly #journalFd: number;
  readonly #calls: PoolCalls | null;
  /** Entry head and record: what a page is read into and written from. */
  readonly #entry: Buffer;
  readonly #record: Buffer;
  readonly #bytes: Buffer;

  /** Of files that are open for reading and writing, with O_DSYNC if `calls` is null; not closed here. */
  constructor(options: {
    readonly path: string;
    readonly header: PageFileHeader;
    readonly fd: number;
    readonly journalFd: number;
    readonly calls: PoolCalls | null;
  }) {
    this.header = options.header;
    this.#path = options.path;
    this.#fd = options.fd;
    this.#journalFd = options.journalFd;
    this.#calls = options.calls;
    const recordBytes = RECORD_HEAD_BYTES + options.header.pageBytes;
    this.#entry = Buffer.alloc(ENTRY_HEAD_BYTES + recordBytes);
    this.#record = this.#entry.subarray(ENTRY_HEAD_BYTES);
    this.#bytes = this.#record.subarray(RECORD_HEAD_BYTES);
  }

  /** A page as it is in the file; the bytes die with the next call. Throws ERR_POOL_UNUSABLE, ERR_IO. */
  read(page: number): { readonly version: bigint; readonly bytes: Uint8Array } {
    const at = recordAt(page, this.header.pageBytes);
    const got = attempt('read the page file', () =>
      readWhole(this.#fd, this.#record, at, this.#record.length),
    );
    this.#record.fill(0, got);
    const version = recordVersion(this.#record, page);
    if (version === null) throw damaged(this.#path, `page ${page} is damaged`);
    return { version, bytes: this.#bytes };
  }

  /** Makes all of `batch` durable. After a failure `recover` must be called before anything else. */
  writeBatch(batch: readonly BatchPage[]): void {
    if (batch.length === 0) return;
    attempt('write the journal of the page file', () => {
      this.#writeJournal(batch);
      this.#sync(this.#journalFd);
    });
    attempt('write the page file', () => {
      for (const one of batch) {
        this.#fill(one);
        writeWhole(this.#fd, this.#record, recordAt(one.page, this.header.pageBytes));
      }
      this.#sync(this.#fd);
      this.#wipeJournal();
    });
  }

  /** Finishes the batch that was interrupted, if there is one. Returns how many pages it had. */
  recover(): number {
    return attempt('finish what the journal of the page file holds', () => {
      const journal = this.#wholeJournal();
      if (journal === null) return 0;
      for (let index = 0; index < journal.count; index++) {
        this.#readEntry(index);
        const page = this.#entry.readUInt32LE(0);
        writeWhole(this.#fd, this.#record, recordAt(page, this.header.pageBytes));
      }
      this.#sync(this.#fd);
      this.#wipeJournal();
      return journal.count;
    });
  }

  /** Gives the journal's room back. Nothing may be pending in it. */
  truncateJournal(): void {
    attempt('cut the journal of the page file', () => ftruncateSync(this.#journalFd, 0));
  }

  #fill({ page, version, copyTo }: BatchPage): number {
    copyTo(this.#bytes);
    this.#entry.writeUInt32LE(page, 0);
    this.#entry.writeUInt32LE(0, 4);
    return sealRecord(this.#record, page, version);
  }

  #writeJournal(batch: readonly BatchPage[]): void {
    const crcs = Buffer.alloc(4 * batch.length);
    for (const [index, one] of batch.entries()) {
      crcs.writeUInt32LE(this.#fill(one), 4 * index);
      writeWhole(this.#journalFd, this.#entry, HEADER_BYTES + index * this.#entry.length);
    }
    const header = { ...this.header, count: batch.length, chain: crc32(crcs) };
    writeWhole(this.#journalFd, encodeJournalHeader(header), 0);
  }

  #wholeJournal(): JournalHeader | null {
    const bytes = Buffer.alloc(HEADER_BYTES);
    if (readWhole(this.#journalFd, bytes, 0, HEADER_BYTES) < HEADER_BYTES) return null;
    const header = decodeJournalHeader(bytes);
    if (header === null || header.pageBytes !== this.header.pageBytes) return null;
    if (Buffer.compare(header.id, this.header.id) !== 0) return null;
    const room = fstatSync(this.#journalFd).size - HEADER_BYTES;
    if (header.count * this.#entry.length > room) return null;
    const crcs = Buffer.alloc(4 * header.count);
    for (let index = 0; index < header.count; index++) {
      this.#readEntry(index);
      if (recordVersion(this.#record, this.#entry.readUInt32LE(0)) === null) return null;
      crcs.writeUInt32LE(this.#record.readUInt32LE(0), 4 * index);
    }
    return crc32(crcs) === header.chain ? header : null;
  }

  #readEntry(index: number): void {
    const at = HEADER_BYTES + index * this.#entry.length;
    readWhole(this.#journalFd, this.#entry, at, this.#entry.length);
  }

  #wipeJournal(): void {
    // Need not be durable: a batch that is written to its places twice is the same batch.
    writeWhole(this.#journalFd, Buffer.alloc(HEADER_BYTES), 0);
  }

  #sync(fd: number): void {
    syncFile(this.#calls, fd);
  }
}

/** Makes what was written to `fd` durable. Throws what the system says. */
function syncFile(calls: PoolCalls | null, fd: number): void {
  // Without the call the file is open with O_DSYNC: each write is durable when it is done.
  if (calls === null) return;
  const errno = calls.dataSync(fd);
  if (errno !== 0) throw Object.assign(new Error('fdatasync'), { code: `errno ${errno}` });
}

/**
 * The header of the page file open as `fd`; an empty file gets one with the id that `newId` gives.
 * Throws ERR_POOL_UNUSABLE for a file that is no page file or one of other pages than `pageBytes`.
 */
export function readHeader(options: {
  readonly fd: number;
  readonly path: string;
  readonly pageBytes: number;
  readonly calls: PoolCalls | null;
  readonly newId: () => Uint8Array;
}): PageFileHeader {
  const { fd, path, pageBytes, calls, newId } = options;
  const bytes = Buffer.alloc(HEADER_BYTES);
  attempt('read the page file', () => readWhole(fd, bytes, 0, HEADER_BYTES));
  // Empty, or the power ended before the header was durable: a length, and zeros.
  if (bytes.every((byte) => byte === 0) && fstatSync(fd).size <= HEADER_BYTES) {
    const header = { pageBytes, id: newId() };
    attempt('write the page file', () => {
      writeWhole(fd, encodeHeader(header), 0);
      syncFile(calls, fd);
    });
    return header;
  }
  return checkedHeader(bytes, path, pageBytes);
}

/** What the first bytes of a page file say. Throws ERR_POOL_UNUSABLE, which names what is wrong. */
export function checkedHeader(bytes: Buffer, path: string, pageBytes: number): PageFileHeader {
  const header = decodeHeader(bytes);
  if (header === 'foreign') throw damaged(path, 'it is not a page file');
  if (header === 'version') throw damaged(path, 'it was written by another version');
  if (header === 'damaged') throw damaged(path, 'its header is damaged');
  if (header.pageBytes === pageBytes) return header;
  throw new HostError('ERR_POOL_UNUSABLE', `The page file ${path} has pages of another size.`, {
    facts: { file: path, pageBytes: header.pageBytes, asked: pageBytes },
    hint: `write page=${header.pageBytes}`,
  });
}

function damaged(path: string, why: string): HostError {
  return new HostError('ERR_POOL_UNUSABLE', `The page file ${path} can't be used: ${why}.`, {
    facts: { file: path },
    hint: 'name another file, or put a good copy of this one back',
  });
}

/** As many bytes as there are, up to `length`. */
function readWhole(fd: number, into: Buffer, at: number, length: number): number {
  let got = 0;
  while (got < length) {
    const count = readSync(fd, into, got, length - got, at + got);
    if (count === 0) break;
    got += count;
  }
  return got;
}

function writeWhole(fd: number, from: Buffer, at: number): void {
  let done = 0;
  while (done < from.length) done += writeSync(fd, from, done, from.length - done, at + done);
  assert(done === from.length, 'a write ends where its bytes do');
}

function attempt<T>(operation: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw ioFailure(operation, error);
  }
}
