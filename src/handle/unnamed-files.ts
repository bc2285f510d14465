/**
 * Files that a guest has open and that have no name left, in an image and on the way back.
 *
 * Nothing finds such a file again, so its contents go into the image. In the same process the file itself
 * is held until its handles are open again; in another one it is made anew, without a name, in the job's
 * own directory.
 *
 * Invariants:
 * 1. A file that several handles have open is one file here, and again one when it is made anew.
 * 2. Files are held only between a capture, or `makeAnew`, and `letGo`.
 */
import { closeSync, fstatSync, openSync, unlinkSync } from 'node:fs';
import { join } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import {
  type Allowance,
  type FileContent,
  newAllowance,
  readContent,
  writeContent,
} from './file-content.ts';

const O_PATH = 0o10000000;

export class UnnamedFiles {
  readonly #directory: string | null;
  readonly #bytesMax: number;
  #allowance: Allowance;
  #contents: FileContent[] = [];
  /** Descriptors that only name the files, in the order of `#contents`. */
  #held: number[] = [];
  readonly #numbers = new Map<string, number>();

  /** `directory`: where files are made anew; without one, nothing can be carried. */
  constructor(directory: string | null, bytesMax: number) {
    this.#directory = directory;
    this.#bytesMax = bytesMax;
    this.#allowance = newAllowance(bytesMax);
  }

  /** Of everything that was captured since `begin`. */
  get contents(): readonly FileContent[] {
    return this.#contents;
  }

  /** What may still go into this image, files that other policies carry included. */
  get allowance(): Allowance {
    return this.#allowance;
  }

  begin(): void {
    this.letGo();
    this.#contents = [];
    this.#allowance = newAllowance(this.#bytesMax);
  }

  /**
   * Takes the open file that `link` (`/proc/self/fd/N`) names; its number. A reason that completes "it …"
   * when it can't be carried. Throws what Node throws.
   */
  capture(fd: number, link: string | null): number | string {
    const { dev, ino } = fstatSync(fd, { bigint: true });
    const key = `${dev}:${ino}`;
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    if (this.#directory === null || link === null)
      return 'was deleted or moved out of the directory';
    const reader = openSync(link, 'r');
    try {
      const content = readContent(reader, this.#allowance);
      if (content === null) {
        return `was deleted, and open files without a name hold more than ${this.#bytesMax} bytes together`;
      }
      this.#held.push(openSync(link, O_PATH));
      this.#numbers.set(key, this.#contents.length);
      return this.#contents.push(content) - 1;
    } finally {
      closeSync(reader);
    }
  }

  /** Makes the files of an image. Throws HostError ERR_IO, ERR_DISK_FULL or what Node throws. */
  makeAnew(contents: readonly FileContent[]): void {
    this.begin();
    if (contents.length === 0) return;
    if (this.#directory === null) {
      throw new HostError(
        'ERR_RESOURCE_NOT_GRANTED',
        'The guest holds files without a name, and there is no place for their contents now.',
      );
    }
    for (const [number, content] of contents.entries()) {
      const path = join(this.#directory, `unnamed-${number}`);
      const fd = openSync(path, 'wx+', 0o600);
      try {
        unlinkSync(path);
        writeContent(fd, content);
        this.#held.push(openSync(`/proc/self/fd/${fd}`, O_PATH));
        this.#contents.push(content);
      } finally {
        closeSync(fd);
      }
    }
  }

  /** A path to open file `number` again by; null when there is none of that number. */
  pathOf(number: number): string | null {
    const fd = this.#held[number];
    return fd === undefined ? null : `/proc/self/fd/${fd}`;
  }

  letGo(): void {
    for (const fd of this.#held) closeSync(fd);
    this.#held = [];
    this.#numbers.clear();
  }
}
