/**
 * The intervals between a job's checkpoints, one after the other, each with what would undo it.
 *
 *   <n>-<mark>.undo   records of interval n, which began at the checkpoint whose image says `mark`
 *   <n>.kept/<k>      what lost its name in it
 *   successors        one line for each thing that an undo had to make anew: who it was, who it is
 *
 * A job that goes back to the checkpoint of interval n undoes the newest interval first, down to n, and
 * goes on writing into n, empty then. Checkpoints behind n are not reachable any more: their marks are
 * gone.
 */
import {
  closeSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { syncFile } from './durability.ts';
import { UndoJournal } from './undo-journal.ts';
import { type Identity, keyOf } from './undo-record.ts';

export interface Interval {
  readonly number: number;
  readonly mark: string;
}

const KEPT_NAME = /^\d{1,15}\.kept$/;
const NAME = /^(\d{1,15})-([0-9a-f]{16})\.undo$/;

/** The chain among what a job keeps of files; nothing is made yet. */
export function undoChainIn(keepingDirectory: string): UndoChain {
  return new UndoChain(join(keepingDirectory, 'undo'));
}

export class UndoChain {
  readonly #directory: string;
  #successors: Map<string, Identity> | null = null;

  constructor(directory: string) {
    this.#directory = directory;
  }

  get directory(): string {
    return this.#directory;
  }

  /** Oldest first. Throws what Node throws. */
  intervals(): Interval[] {
    const found: Interval[] = [];
    for (const name of readdirSync(this.#directory)) {
      const parts = NAME.exec(name);
      if (parts !== null) found.push({ number: Number(parts[1]), mark: parts[2]! });
    }
    return found.sort((a, b) => a.number - b.number);
  }

  makeDirectory(): void {
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
  }

  open({ number, mark }: Interval): UndoJournal {
    return new UndoJournal(join(this.#directory, `${number}-${mark}.undo`));
  }

  /** Where thing [interval, number] lies that is kept. */
  keptPath([interval, number]: readonly [number, number]): string {
    return join(this.#directory, `${interval}.kept`, String(number));
  }

  makeKept({ number }: Interval): void {
    mkdirSync(join(this.#directory, `${number}.kept`), { recursive: true, mode: 0o700 });
  }

  /** The paths of all that is kept, in whatever order. Throws what Node throws. */
  allKept(): string[] {
    const kept = readdirSync(this.#directory).filter((name) => KEPT_NAME.test(name));
    return kept.flatMap((name) => {
      const directory = join(this.#directory, name);
      return readdirSync(directory).map((entry) => join(directory, entry));
    });
  }

  dropKept({ number }: Interval): void {
    rmSync(join(this.#directory, `${number}.kept`), { recursive: true, force: true });
  }

  /** Removes an interval that is undone or was never used. */
  drop(interval: Interval): void {
    rmSync(join(this.#directory, `${interval.number}-${interval.mark}.undo`), { force: true });
    this.dropKept(interval);
  }

  /** Forgets everything: nothing can be undone any more. */
  forget(): void {
    rmSync(this.#directory, { recursive: true, force: true });
    this.#successors = null;
  }

  // — things made anew —

  addSuccessor(before: Identity, after: Identity): void {
    if (keyOf(before) === keyOf(after)) return;
    const fd = openSync(this.#successorFile, 'a', 0o600);
    try {
      writeSync(fd, `${keyOf(before)} ${keyOf(after)}\n`);
      // The record that says what it was is about to go.
      syncFile(fd, true);
    } finally {
      closeSync(fd);
    }
    this.#known().set(keyOf(before), after);
  }

  /** What is now what `identity` was. */
  successorOf(identity: Identity): Identity {
    return this.#line(identity).at(-1)!;
  }

  /** Whether `found` is what `identity` was, or stands for it since; it may have other names still. */
  isSuccessor(identity: Identity, found: Identity): boolean {
    return this.#line(identity).some((one) => keyOf(one) === keyOf(found));
  }

  #line(identity: Identity): Identity[] {
    const known = this.#known();
    const line = [identity];
    // As many steps as there are lines: a file that somebody wrote circles into ends, too.
    while (line.length <= known.size) {
      const next = known.get(keyOf(line.at(-1)!));
      if (next === undefined) break;
      line.push(next);
    }
    return line;
  }

  get #successorFile(): string {
    return join(this.#directory, 'successors');
  }

  #known(): Map<string, Identity> {
    if (this.#successors !== null) return this.#successors;
    const known = new Map<string, Identity>();
    let lines: string[] = [];
    try {
      lines = readFileSync(this.#successorFile, 'utf8').split('\n');
    } catch {
      // None was ever made anew.
    }
    for (const line of lines) {
      const words = /^(\S+) (\d{1,20}):(\d{1,20}):(-?\d{1,19})$/.exec(line);
      if (words === null) continue;
      const [, before, dev, ino, birth] = words;
      known.set(before!, { dev: BigInt(dev!), ino: BigInt(ino!), birthtimeNs: BigInt(birth!) });
    }
    this.#successors = known;
    return known;
  }
}
