/**
 * How a private view goes through a checkpoint: all that makes it differ from the lower directory, and what
 * the guest was told of it, as a list of things that name each other by their numbers.
 *
 * Invariants:
 * 1. Thing 0 is the view's own directory. A directory is the entry of one other directory at most, and not
 *    its own; a file may have many names, or none, when it is only open.
 * 2. Names are single components; lower paths are walked anew below the directory that is granted today.
 * 3. A stub that is where it comes from is left out: looking at its name makes it again.
 */
import {
  type BigIntStats,
  closeSync,
  fstatSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  readlinkSync,
} from 'node:fs';
import { PATH_BYTES_MAX } from '../abi/guest-string.ts';
import {
  arrayOf,
  i64,
  integer,
  mapOf,
  mismatch,
  nullable,
  oneOf,
  type Shape,
  type ShapeOf,
  text,
  tupleOf,
  u64,
  variantOf,
} from '../cbor/shape.ts';
import { assert } from '../fault/assert.ts';
import { pathOfDescriptor } from './anchor.ts';
import type { FileHandle } from './file.ts';
import { type Allowance, fileContentShape, readContent, writeContent } from './file-content.ts';
import { makeLink } from './make-link.ts';
import { joined, keyAt, look, type PrivateView, setTimes } from './private-view.ts';
import { identityOf, keyOf } from './undo-record.ts';

const path = text(PATH_BYTES_MAX * 2);

function isComponent(text: string): boolean {
  return text !== '' && text !== '.' && text !== '..' && !/[/\0]/.test(text);
}

const name: Shape<string> = (value) => {
  const found = text(PATH_BYTES_MAX)(value);
  if (!isComponent(found)) throw mismatch('one component of a path');
  return found;
};

/** From the lower root, whose path is empty. */
const lowerPath: Shape<string> = (value) => {
  const found = path(value);
  if (found !== '' && !found.split('/').every(isComponent))
    throw mismatch('a path that leads down');
  return found;
};

const seen = { dev: u64, ino: u64, atimeNs: i64, mtimeNs: i64 };

const thingShape = variantOf('kind', {
  directory: mapOf({
    kind: oneOf('directory'),
    ...seen,
    /** From the lower root; null when the guest made it. */
    lower: nullable(lowerPath),
    /** Names of the lower directory that are not in the view. */
    gone: arrayOf(name),
    entries: arrayOf(tupleOf(name, integer(0))),
  }),
  file: mapOf({
    kind: oneOf('file'),
    ...seen,
    /** A file of the lower directory that is as it is there; then there are no contents here. */
    lower: nullable(lowerPath),
    content: nullable(fileContentShape),
  }),
  link: mapOf({ kind: oneOf('link'), ...seen, target: text(PATH_BYTES_MAX) }),
});

type Thing = ShapeOf<typeof thingShape>;

const viewFields = mapOf({ preopen: path, nextIno: u64, things: arrayOf(thingShape, 1) });

/** Invariant 1 holds of what this accepts. */
export const viewShape: Shape<ShapeOf<typeof viewFields>> = (value) => {
  const view = viewFields(value);
  const entered = new Set<number>([0]);
  if (view.things[0]!.kind !== 'directory') throw mismatch('a view of a directory');
  for (const thing of view.things) {
    if (thing.kind === 'file' && (thing.lower === null) === (thing.content === null)) {
      throw mismatch('a view whose files have contents, or come from below');
    }
    for (const [, number] of thing.kind === 'directory' ? thing.entries : []) {
      const entry = view.things[number];
      if (entry === undefined || (entry.kind === 'directory' && entered.has(number))) {
        throw mismatch('a view that is a tree');
      }
      entered.add(number);
    }
  }
  return view;
};

export type ViewState = ShapeOf<typeof viewShape>;

/** Where thing number n is, for handles that are opened again. */
interface Standing {
  /** In the upper directory; null when it has no name there. */
  readonly path: string | null;
  /** From the lower root, of a file that is as it is there. */
  readonly lower: string | null;
  /** A descriptor that names a file without a name. */
  readonly held: number | null;
}

/** Takes one image of a view, or brings it back; good for handles until `letGo`. */
export class ViewImage {
  readonly #view: PrivateView;
  readonly #things: Thing[] = [];
  readonly #standing: Standing[] = [];
  readonly #numbers = new Map<string, number>();
  readonly #byLower = new Map<string, number>();

  constructor(view: PrivateView) {
    this.#view = view;
  }

  // — at a checkpoint —

  /**
   * Looks at all of the view. A sentence's end ("it …") when it holds more than may be carried. Throws what
   * Node throws.
   */
  take(allowance: Allowance, open: readonly FileHandle[]): string | null {
    const read = new Set(open.map((file) => this.#view.opened.get(keyAt(file.hostFd)) ?? ''));
    const state = { allowance, read, tooMuch: false };
    this.#directory('', lstatSync(this.#view.rootPath, { bigint: true }), state);
    return state.tooMuch ? holdsTooMuch(allowance) : null;
  }

  state(preopen: string): ViewState {
    return { preopen, nextIno: this.#view.nextIno, things: this.#things };
  }

  #directory(
    at: string,
    stats: BigIntStats,
    state: { allowance: Allowance; read: ReadonlySet<string>; tooMuch: boolean },
  ): number {
    const view = this.#view;
    const hostPath = joined(view.rootPath, at);
    const node = view.directories.get(keyOf(identityOf(stats)));
    const entries: [string, number][] = [];
    const names = readdirSync(hostPath);
    const present = new Set(names);
    const gone = [...(node?.lower == null ? [] : node.owned)].filter((one) => !present.has(one));
    const thing = { kind: 'directory' as const, ...this.#told(stats) };
    const number = this.#add(
      { ...thing, lower: node?.lower ?? null, gone, entries },
      { path: at, lower: null, held: null },
      stats,
    );
    for (const entry of names) {
      const below = joined(at, entry);
      const found = lstatSync(joined(hostPath, entry), { bigint: true });
      const known = this.#numbers.get(keyOf(identityOf(found)));
      if (known !== undefined) entries.push([entry, known]);
      else if (found.isDirectory()) entries.push([entry, this.#directory(below, found, state)]);
      else {
        const lower = view.stubs.get(keyOf(identityOf(found))) ?? null;
        const isInPlace = lower !== null && lower === joined(node?.lower ?? '\0', entry);
        if (isInPlace && found.nlink === 1n && !state.read.has(lower)) continue;
        const made = this.#leaf(below, found, lower, state);
        if (made !== null) entries.push([entry, made]);
      }
    }
    return number;
  }

  #leaf(
    at: string,
    stats: BigIntStats,
    lower: string | null,
    state: { allowance: Allowance; tooMuch: boolean },
  ): number | null {
    const hostPath = joined(this.#view.rootPath, at);
    const standing = { path: at, lower, held: null };
    if (stats.isSymbolicLink()) {
      const target = readlinkSync(hostPath);
      return this.#add({ kind: 'link', ...this.#told(stats), target }, standing, stats);
    }
    let content = null;
    if (lower === null) {
      const fd = openSync(hostPath, 'r');
      try {
        content = readContent(fd, state.allowance);
      } finally {
        closeSync(fd);
      }
      if (content === null) {
        state.tooMuch = true;
        return null;
      }
    } else this.#byLower.set(lower, this.#things.length);
    return this.#add({ kind: 'file', ...this.#told(stats), lower, content }, standing, stats);
  }

  /** The number of an open file; a sentence's end when it can't be carried. Throws what Node throws. */
  numberOf(file: FileHandle, allowance: Allowance): number | string {
    const stats = fstatSync(file.hostFd, { bigint: true });
    const key = keyOf(identityOf(stats));
    const known = this.#numbers.get(key);
    if (known !== undefined) return known;
    const link = pathOfDescriptor(file.hostFd, this.#view.root);
    if (link === null) return 'has no name left';
    const lower = this.#view.opened.get(key);
    if (lower !== undefined) {
      const stub = this.#byLower.get(lower);
      if (stub !== undefined) return stub;
      const there = this.#view.lookLower(lower);
      if (there !== null && keyOf(identityOf(there)) === key) {
        const thing = { kind: 'file' as const, ...this.#told(stats), lower, content: null };
        return this.#add(thing, { path: null, lower, held: null }, stats);
      }
    }
    const reader = openSync(link, 'r');
    try {
      const content = readContent(reader, allowance);
      if (content === null) return holdsTooMuch(allowance);
      const held = openSync(link, O_PATH);
      const thing = { kind: 'file' as const, ...this.#told(stats), lower: null, content };
      return this.#add(thing, { path: null, lower: null, held }, stats);
    } finally {
      closeSync(reader);
    }
  }

  /** The number of an open directory; null when it is no longer in the view. */
  directoryNumber(fd: number): number | null {
    return this.#numbers.get(keyAt(fd)) ?? null;
  }

  #add(thing: Thing, standing: Standing, stats: BigIntStats): number {
    this.#numbers.set(keyOf(identityOf(stats)), this.#things.length);
    this.#standing.push(standing);
    return this.#things.push(thing) - 1;
  }

  #told(stats: BigIntStats) {
    const { dev, ino, atimeNs, mtimeNs } = this.#view.filestat(stats);
    return { dev, ino, atimeNs, mtimeNs };
  }

  // — at a restore —

  /** Fills the empty upper directory with what `state` says. Throws what Node throws. */
  bringBack(state: ViewState): void {
    const view = this.#view;
    const paths: (string | null)[] = state.things.map(() => null);
    view.nextIno = state.nextIno;
    this.#bringDirectory(state, 0, '', paths);
    for (const [number, thing] of state.things.entries()) {
      const at = paths[number]!;
      const lower = thing.kind === 'file' ? thing.lower : null;
      const needsHolding = at === null && thing.kind === 'file' && thing.content !== null;
      const held = needsHolding
        ? view.makeUnnamed((fd) => {
            writeContent(fd, thing.content!);
            view.becomes(fstatSync(fd, { bigint: true }), thing);
          })
        : null;
      this.#standing.push({ path: at, lower, held });
    }
  }

  #bringDirectory(state: ViewState, number: number, at: string, paths: (string | null)[]): void {
    const view = this.#view;
    const thing = state.things[number]!;
    assert(thing.kind === 'directory', 'the shape of views has directories where they are entered');
    const hostPath = joined(view.rootPath, at);
    if (number !== 0) mkdirSync(hostPath, { mode: 0o700 });
    paths[number] = at;
    for (const [entry, entryNumber] of thing.entries) {
      const below = joined(at, entry);
      const there = paths[entryNumber];
      const kind = state.things[entryNumber]!.kind;
      if (kind === 'directory') this.#bringDirectory(state, entryNumber, below, paths);
      else if (there != null) linkSync(joined(view.rootPath, there), joined(view.rootPath, below));
      else {
        this.#bringLeaf(state.things[entryNumber]!, below);
        paths[entryNumber] = below;
      }
    }
    const owned = new Set([...thing.gone, ...thing.entries.map(([entry]) => entry)]);
    const made = lstatSync(hostPath, { bigint: true });
    view.directories.set(keyOf(identityOf(made)), { lower: thing.lower, owned });
    view.becomes(made, thing);
    setTimes(hostPath, thing);
  }

  #bringLeaf(thing: Thing, at: string): void {
    const view = this.#view;
    const hostPath = joined(view.rootPath, at);
    if (thing.kind === 'link') makeLink(thing.target, hostPath);
    else if (thing.kind === 'file') {
      const fd = openSync(hostPath, 'wx', 0o600);
      try {
        if (thing.content !== null) writeContent(fd, thing.content);
        if (thing.lower !== null) view.stubs.set(keyAt(fd), thing.lower);
      } finally {
        closeSync(fd);
      }
    }
    const made = look(hostPath);
    if (made === null) return;
    view.becomes(made, thing);
    setTimes(hostPath, thing);
  }

  // — handles —

  /** Where the file of a handle is; null when there is no such file. */
  standing(number: number): Standing | null {
    return this.#standing[number] ?? null;
  }

  letGo(): void {
    for (const { held } of this.#standing.splice(0)) if (held !== null) closeSync(held);
    this.#things.length = 0;
    this.#numbers.clear();
    this.#byLower.clear();
  }
}

const O_PATH = 0o10000000;

function holdsTooMuch({ totalBytes }: Allowance): string {
  return `holds more than ${totalBytes} bytes that only the guest has (--carry-max)`;
}
