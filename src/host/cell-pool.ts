/**
 * Blank cells, begun ahead: so many of either kind at most, for one user and one way of confining.
 *
 * Invariants:
 * 1. A cell that was taken is the taker's; nothing comes back.
 * 2. There are never more than was asked for. For each one that is taken another is begun; one that does not come up, or
 *    ends by itself, is only tried again when the next is taken.
 * 3. Waiting cells keep no process alive, and end with the one that began them.
 */
import { type BlankCell, type BlankOrder, beginBlank, discard } from './blank-cell.ts';
import type { CellProgram } from './cell-command.ts';

/** Where cells come from that were begun ahead. */
export interface BlankSource {
  /** One for that program, confinement and user; null: there is none, and one is to be begun. */
  take(wanted: BlankOrder): BlankCell | null;
}

export interface CellPoolOptions extends Omit<BlankOrder, 'restores'> {
  /** How many for guests that begin, and how many for those that go on from images. */
  readonly fresh: number;
  readonly restored: number;
}

export class CellPool implements BlankSource {
  readonly #options: CellPoolOptions;
  readonly #waiting: BlankCell[] = [];
  readonly #beginning = new Set<Promise<void>>();
  #begun = { fresh: 0, restored: 0 };
  #closed = false;

  constructor(options: CellPoolOptions) {
    this.#options = options;
    this.#refill();
  }

  take(wanted: BlankOrder): BlankCell | null {
    if (this.#closed || !isFor(this.#options, wanted)) return null;
    const at = this.#waiting.findIndex(({ order }) => order.restores === wanted.restores);
    const [found] = at < 0 ? [] : this.#waiting.splice(at, 1);
    if (found !== undefined) this.#count(found, -1);
    found?.process.keepAlive(true);
    // After the caller's own work, which somebody waits for.
    setImmediate(() => this.#refill());
    return found ?? null;
  }

  /** How many wait. */
  get size(): number {
    return this.#waiting.length;
  }

  /** Resolves when all that are being begun have come up, or not. */
  async settled(): Promise<void> {
    while (this.#beginning.size > 0) await Promise.all(this.#beginning);
  }

  /** Ends those that wait, and those that come up later. */
  close(): void {
    this.#closed = true;
    for (const cell of this.#waiting.splice(0)) discard(cell);
  }

  #refill(): void {
    if (this.#closed) return;
    const { fresh, restored } = this.#options;
    for (let n = this.#begun.fresh; n < fresh; n++) this.#begin(false);
    for (let n = this.#begun.restored; n < restored; n++) this.#begin(true);
  }

  #begin(restores: boolean): void {
    const kind = restores ? 'restored' : 'fresh';
    this.#begun[kind] += 1;
    const begun = beginBlank({ ...this.#options, restores })
      .catch(() => null)
      .then((cell) => {
        if (cell === null) this.#begun[kind] -= 1;
        else this.#keep(cell);
      });
    this.#beginning.add(begun);
    begun.finally(() => this.#beginning.delete(begun));
  }

  #keep(cell: BlankCell): void {
    if (this.#closed) {
      discard(cell);
      return;
    }
    cell.process.keepAlive(false);
    this.#waiting.push(cell);
    void cell.link.ended.then(() => {
      const at = this.#waiting.indexOf(cell);
      if (at < 0) return;
      this.#waiting.splice(at, 1);
      this.#count(cell, -1);
      discard(cell);
    });
  }

  #count({ order }: BlankCell, change: number): void {
    this.#begun[order.restores ? 'restored' : 'fresh'] += change;
  }
}

function isFor(pool: Omit<BlankOrder, 'restores'>, wanted: BlankOrder): boolean {
  const confine = (mode: BlankOrder['confine']): boolean => mode !== 'off';
  return (
    isSameProgram(pool.program, wanted.program) &&
    confine(pool.confine) === confine(wanted.confine) &&
    pool.identity?.uid === wanted.identity?.uid &&
    pool.identity?.gid === wanted.identity?.gid
  );
}

function isSameProgram(one: CellProgram, other: CellProgram): boolean {
  return (
    one.node === other.node && one.codeDirectories.join('\0') === other.codeDirectories.join('\0')
  );
}
