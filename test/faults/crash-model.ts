/**
 * What a crash can leave on a disk: operations are applied to a model of the page cache, and a crash keeps
 * of what was not made durable whatever it likes.
 *
 * Invariants:
 * 1. A change of a file's content lasts from the file's next successful sync. Until then a crash keeps it,
 *    loses it, or keeps its beginning; each on its own, in no order.
 * 2. A name made, moved or removed lasts from the next successful sync of its directory, in the same way;
 *    a move is kept or lost whole. Syncing a file doesn't make its name last.
 * 3. Content that a failed sync was to make durable may be lost for ever, whatever sync succeeds later
 *    (Linux marks the pages clean): it stays undecided until the end. Names wait for the next sync.
 */
import { dirname } from 'node:path';
import type { DiskOperation, Fault } from './disk-operation.ts';

/** How much of an undecided change a crash keeps, from 0 to 1. A name is kept from 0.5. */
export type Fate = (change: number) => number;

/** Contents by path; null is a directory. */
export type DiskState = ReadonlyMap<string, Uint8Array | null>;

interface ContentChange {
  readonly offset: number;
  /** null: the file ends at `offset`. */
  readonly content: Uint8Array | null;
  state: 'cached' | 'doubtful' | 'durable';
}

interface Inode {
  content: Uint8Array;
  /** In their order, from the first that is not durable. */
  changes: ContentChange[];
}

type Named = Inode | 'directory' | null;

interface NameChange {
  readonly names: readonly (readonly [path: string, named: Named])[];
  isDurable: boolean;
}

export class CrashModel {
  readonly #durableNames = new Map<string, Named>();
  readonly #names = new Map<string, Named>();
  #nameChanges: NameChange[] = [];
  readonly #inodes = new Set<Inode>();

  /** All of `start` is durable. */
  constructor(start: DiskState) {
    for (const [path, content] of start) {
      const named: Named = content === null ? 'directory' : this.#inode(content);
      this.#durableNames.set(path, named);
      this.#names.set(path, named);
    }
  }

  apply(operation: DiskOperation, fault: Fault | null): void {
    if (fault?.code != null && fault.torn !== true && !isSync(operation)) return;
    switch (operation.kind) {
      case 'create':
        if (!this.#names.has(operation.path)) this.#rename([[operation.path, this.#inode()]]);
        return;
      case 'makeDirectory':
        this.#makeDirectory(operation.path);
        return;
      case 'write': {
        const { content, offset, path } = operation;
        const done = fault === null ? content.length : Math.max(1, content.length >> 1);
        this.#change(path, { offset, content: Uint8Array.from(content.subarray(0, done)) });
        return;
      }
      case 'truncate':
        this.#change(operation.path, { offset: operation.bytes, content: null });
        return;
      case 'sync':
        this.#sync(this.#file(operation.path), fault !== null);
        return;
      case 'syncDirectory':
        if (fault === null) this.#syncDirectory(operation.path);
        return;
      case 'remove':
        if (this.#names.has(operation.path)) this.#rename([[operation.path, null]]);
        return;
      case 'link':
        // One that fails because the name is taken changes nothing.
        if (this.#names.has(operation.newPath)) return;
        this.#rename([[operation.newPath, this.#names.get(operation.path) ?? null]]);
        return;
      case 'rename':
        this.#rename([
          [operation.newPath, this.#names.get(operation.path) ?? null],
          [operation.path, null],
        ]);
        return;
      default:
    }
  }

  /** Undecided changes: a crash now has two to this power of outcomes, torn ones not counted. */
  get undecided(): number {
    let count = this.#nameChanges.filter(({ isDurable }) => !isDurable).length;
    for (const { changes } of this.#inodes) {
      count += changes.filter(({ state }) => state !== 'durable').length;
    }
    return count;
  }

  /** What is there after a crash now. `fate` is asked for numbers from 0 to `undecided` - 1. */
  crash(fate: Fate): DiskState {
    let number = 0;
    const names = new Map(this.#durableNames);
    for (const change of this.#nameChanges) {
      const isKept = change.isDurable || fate(number++) >= 0.5;
      if (isKept) for (const [path, named] of change.names) names.set(path, named);
    }
    const contents = new Map<Inode, Uint8Array>();
    for (const inode of this.#inodes) {
      const kept = inode.changes.map(({ state }) => (state === 'durable' ? 1 : fate(number++)));
      contents.set(inode, withChanges(inode.content, inode.changes, kept));
    }
    const state = new Map<string, Uint8Array | null>();
    for (const path of [...names.keys()].sort()) {
      const named = names.get(path);
      if (named == null || !hasParent(path, state)) continue;
      state.set(path, named === 'directory' ? null : contents.get(named)!);
    }
    return state;
  }

  #inode(content: Uint8Array = new Uint8Array()): Inode {
    const inode = { content, changes: [] };
    this.#inodes.add(inode);
    return inode;
  }

  #file(path: string): Inode {
    const named = this.#names.get(path);
    if (named == null || named === 'directory') throw new Error(`no file ${path} in the model`);
    return named;
  }

  #change(path: string, change: Omit<ContentChange, 'state'>): void {
    this.#file(path).changes.push({ ...change, state: 'cached' });
  }

  #sync(inode: Inode, hasFailed: boolean): void {
    for (const change of inode.changes) {
      if (change.state === 'cached') change.state = hasFailed ? 'doubtful' : 'durable';
    }
    const first = inode.changes.findIndex(({ state }) => state !== 'durable');
    const settled = inode.changes.splice(0, first < 0 ? inode.changes.length : first);
    inode.content = withChanges(
      inode.content,
      settled,
      settled.map(() => 1),
    );
  }

  #rename(names: NameChange['names']): void {
    for (const [path, named] of names) {
      if (named === null) this.#names.delete(path);
      else this.#names.set(path, named);
    }
    this.#nameChanges.push({ names, isDurable: false });
  }

  #makeDirectory(path: string): void {
    if (this.#names.has(path)) return;
    const parent = dirname(path);
    if (parent !== path && parent !== '.') this.#makeDirectory(parent);
    this.#rename([[path, 'directory']]);
  }

  #syncDirectory(directory: string): void {
    for (const change of this.#nameChanges) {
      if (change.names.some(([path]) => dirname(path) === directory)) change.isDurable = true;
    }
    // In their order: a name that is still undecided may be one that was durable before.
    while (this.#nameChanges[0]?.isDurable) {
      const { names } = this.#nameChanges.shift()!;
      for (const [path, named] of names) this.#durableNames.set(path, named);
    }
  }
}

function isSync({ kind }: DiskOperation): boolean {
  return kind === 'sync' || kind === 'syncDirectory';
}

function withChanges(
  before: Uint8Array,
  changes: readonly ContentChange[],
  kept: readonly number[],
): Uint8Array {
  let length = before.length;
  const ends = changes.map(({ offset, content }) => offset + (content?.length ?? 0));
  const after = new Uint8Array(Math.max(length, ...ends));
  after.set(before);
  for (const [index, { offset, content }] of changes.entries()) {
    const share = kept[index]!;
    if (share === 0) continue;
    if (content === null) {
      after.fill(0, offset);
      length = offset;
      continue;
    }
    const part = content.subarray(0, Math.ceil(content.length * share));
    after.set(part, offset);
    length = Math.max(length, offset + part.length);
  }
  return after.slice(0, length);
}

function hasParent(path: string, state: DiskState): boolean {
  const parent = dirname(path);
  return parent === '.' || parent === '/' || state.get(parent) === null;
}
