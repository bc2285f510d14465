/**
 * How much the host keeps on its disk for one guest alone: files of private views, and what undoes changes
 * below directories that are rolled back.
 *
 * What is about to be written is added up, and nothing is ever given back: so the sum is an upper bound, and
 * cheap. Only when it passes what the guest may have, its files are counted, and the sum begins anew from there.
 *
 * Invariants:
 * 1. `take` returns only while what is kept, the bytes taken included, is at most `bytesMax`; beside it there
 *    may be what one cut of a file by opening it made to be kept since files were last counted.
 * 2. A file without a name counts as long as the guest has it open.
 */
import { type BigIntStats, fstatSync, lstatSync, readdirSync } from 'node:fs';
import { LimitReached } from '../resource/limit-reached.ts';
import type { FileHandle } from './file.ts';

/** What anything with a name takes at least. */
export const ENTRY_BYTES = 4096;
/** The unit of `blocks`. Source: stat(2). */
const BLOCK_BYTES = 512n;

export class KeptBytes {
  readonly #directory: string;
  readonly #bytesMax: number;
  #openFiles: () => readonly FileHandle[] = () => [];
  /** null: to be counted. */
  #taken: number | null = null;

  /** `directory`: the job's own, where all of it lies. */
  constructor(directory: string, bytesMax: number) {
    this.#directory = directory;
    this.#bytesMax = bytesMax;
  }

  /** Open files of private views, which may have no name any more. */
  watch(openFiles: () => readonly FileHandle[]): void {
    this.#openFiles = openFiles;
  }

  /** Before so much more is kept. Throws LimitReached; then it is not to be done. */
  take(bytes: number): void {
    const before = this.#taken ?? this.#count();
    if (before + bytes <= this.#bytesMax) {
      this.#taken = before + bytes;
      return;
    }
    const found = this.#count();
    this.#taken = found;
    if (found + bytes > this.#bytesMax) throw new LimitReached('private');
    this.#taken = found + bytes;
  }

  #count(): number {
    let total = countBelow(this.#directory);
    for (const { hostFd } of this.#openFiles()) {
      const stats = fstatSync(hostFd, { bigint: true });
      if (stats.nlink === 0n) total += sizeOnDisk(stats);
    }
    return total;
  }
}

/** Of everything below `directory`; names need not be text. */
function countBelow(directory: string): number {
  let total = 0;
  const waiting: Buffer[] = [Buffer.from(directory)];
  for (let at = waiting.pop(); at !== undefined; at = waiting.pop()) {
    for (const entry of readdirSync(at, { withFileTypes: true, encoding: 'buffer' })) {
      const path = Buffer.concat([at, SLASH, entry.name]);
      if (entry.isDirectory()) {
        total += ENTRY_BYTES;
        waiting.push(path);
      } else {
        const stats = lstatSync(path, { bigint: true, throwIfNoEntry: false });
        if (stats !== undefined) total += sizeOnDisk(stats);
      }
    }
  }
  return total;
}

const SLASH = Buffer.from('/');

function sizeOnDisk({ blocks }: BigIntStats): number {
  return Math.max(ENTRY_BYTES, Number(blocks * BLOCK_BYTES));
}
