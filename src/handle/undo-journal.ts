/**
 * A file of undo records, read from its end.
 *
 *   offset  size  what
 *   0       4     u32 little-endian: bytes of the first record, n
 *   4       4     u32 little-endian: CRC-32 of them
 *   8       n     the record, CBOR (`undo-record.ts`)
 *   8+n     …     the next one
 *
 * Invariants:
 * 1. A record is on the disk before the change that it undoes begins.
 * 2. What is undone is cut off the file: a record is there as long as it may be needed.
 * 3. Only the last record can be torn, by the end of the process or of the power; its change was not made.
 */
import { closeSync, fstatSync, ftruncateSync, openSync, readSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { checkShape } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { syncFile } from './durability.ts';
import { type UndoRecord, undoRecordShape } from './undo-record.ts';

const HEADER_BYTES = 8;
/** A part of a file and some words. */
const RECORD_BYTES_MAX = 2 ** 22;

export class UndoJournal {
  readonly #fd: number;
  #sizeBytes: number;

  /** Makes the file, or opens the one that is there. Throws what Node throws. */
  constructor(path: string) {
    this.#fd = openSync(path, 'a+', 0o600);
    this.#sizeBytes = fstatSync(this.#fd).size;
  }

  get isEmpty(): boolean {
    return this.#sizeBytes === 0;
  }

  /** Writes `records` and waits until they are on the disk. Throws what Node throws; then none counts. */
  append(records: readonly UndoRecord[]): void {
    if (records.length === 0) return;
    const parts: Uint8Array[] = [];
    for (const record of records) {
      const body = encodeCbor(record);
      const header = Buffer.alloc(HEADER_BYTES);
      header.writeUInt32LE(body.length, 0);
      header.writeUInt32LE(crc32(body), 4);
      parts.push(header, body);
    }
    const bytes = Buffer.concat(parts);
    try {
      for (let done = 0; done < bytes.length; ) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done);
      }
    } catch (error) {
      ftruncateSync(this.#fd, this.#sizeBytes);
      throw error;
    }
    this.#sizeBytes += bytes.length;
    // Where there is no way to sync, the records outlive this process, and not a loss of power.
    syncFile(this.#fd, true);
  }

  /** Where each whole record begins, ascending. A torn one at the end is cut off. Throws HostError. */
  starts(): number[] {
    const starts: number[] = [];
    const header = Buffer.alloc(HEADER_BYTES);
    let at = 0;
    while (at < this.#sizeBytes) {
      const read = readSync(this.#fd, header, 0, HEADER_BYTES, at);
      const length = header.readUInt32LE(0);
      const end = at + HEADER_BYTES + length;
      const whole = read === HEADER_BYTES && length <= RECORD_BYTES_MAX && end <= this.#sizeBytes;
      if (!whole || (end === this.#sizeBytes && this.#bodyAt(at) === null)) {
        this.cutTo(at);
        break;
      }
      starts.push(at);
      at = end;
    }
    return starts;
  }

  /** The record that begins at `start`. Throws HostError ERR_RESOURCE_CHANGED when it is damaged. */
  read(start: number): UndoRecord {
    const body = this.#bodyAt(start);
    if (body === null) {
      throw new HostError(
        'ERR_RESOURCE_CHANGED',
        "What is to be undone in the guest's files can't be read: its record is damaged.",
        { hint: 'restore with --dir HOST::GUEST::reopen to go on with the files as they are' },
      );
    }
    return checkShape(undoRecordShape, decodeCbor(body), {
      what: 'record of what is to be undone',
      code: 'ERR_RESOURCE_CHANGED',
    });
  }

  /** Bytes of the record that begins at `start`, its header included. */
  lengthAt(start: number): number {
    const header = Buffer.alloc(HEADER_BYTES);
    readSync(this.#fd, header, 0, HEADER_BYTES, start);
    return HEADER_BYTES + header.readUInt32LE(0);
  }

  /** Forgets the records from `start` on. */
  cutTo(start: number): void {
    ftruncateSync(this.#fd, start);
    this.#sizeBytes = start;
  }

  sync(): void {
    syncFile(this.#fd, true);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #bodyAt(start: number): Uint8Array | null {
    const header = Buffer.alloc(HEADER_BYTES);
    readSync(this.#fd, header, 0, HEADER_BYTES, start);
    const length = header.readUInt32LE(0);
    if (length > RECORD_BYTES_MAX || start + HEADER_BYTES + length > this.#sizeBytes) return null;
    const body = new Uint8Array(length);
    const read = readSync(this.#fd, body, 0, length, start + HEADER_BYTES);
    return read === length && crc32(body) === header.readUInt32LE(4) ? body : null;
  }
}
