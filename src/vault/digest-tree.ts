/**
 * A tree of digests over numbered leaves, of which any part can be checked by reading little more than that part.
 *
 *     leaf                 level 0, number n: a digest of what the tree's user keeps under n, or nothing
 *     node                 level l ≥ 1, number n: over the nodes or leaves 32 n to 32 n + 31 of level l - 1
 *     digest of a node     HMAC of `node <tree, hex> <l> <n>\n`, then `<number> <digest, hex>\n` for each of
 *                          those that are there, ascending
 *     root                 the node 0 of the highest level; its digest is kept elsewhere, with that level
 *
 * Digests of leaves and of nodes without the root are kept as rows.
 *
 * Invariants:
 * 1. Nothing is taken from a row before the node above it, and so on up to the root, was found to be right.
 * 2. A change is made in what was checked, never in what is read anew: a wrong row can't be made right by a
 *    change beside it.
 * 3. A node without leaves has no row; the root is there always. The root's level only grows.
 */
import { vaultDamaged } from './damage.ts';
import { authenticate } from './vault-keys.ts';

type Key = Parameters<typeof authenticate>[0];

/** Children of a node. */
export const FAN_OUT = 32;

export interface TreeRoot {
  /** The root's level, from 1. */
  readonly height: number;
  readonly digest: Uint8Array;
}

export interface DigestRow {
  readonly level: number;
  readonly number: number;
  /** Null: there is no such row any more. */
  readonly digest: Uint8Array | null;
}

export interface TreeOptions {
  readonly key: Key;
  /** Tells it from all other trees under that key. */
  readonly name: Uint8Array;
  readonly root: TreeRoot;
  /** The rows of a level with numbers from `first` to `last`, ascending. */
  readonly read: (
    level: number,
    first: number,
    last: number,
  ) => Promise<readonly { readonly number: number; readonly digest: Uint8Array }[]>;
}

/** The root of a tree without leaves. */
export function emptyRoot(key: Key, name: Uint8Array, height = 1): TreeRoot {
  return { height, digest: digestOf(key, name, height, 0, new Map()) };
}

export class DigestTree {
  readonly #options: Omit<TreeOptions, 'root'>;
  #root: TreeRoot;
  /** Checked nodes, by level and number: the digests below them. */
  readonly #nodes = new Map<string, Map<number, Uint8Array>>();
  /** By level, numbers of what was changed. */
  readonly #changed: Set<number>[] = [];

  constructor({ root, ...options }: TreeOptions) {
    this.#options = options;
    this.#root = root;
  }

  /** The digest of a leaf; null when there is none. Throws ERR_VAULT_DAMAGED. */
  async leaf(number: number): Promise<Uint8Array | null> {
    if (number >= FAN_OUT ** this.#root.height) return null;
    return (await this.#node(1, Math.floor(number / FAN_OUT))).get(number) ?? null;
  }

  /** Numbers of the leaves that there are, from `start` downwards. Throws ERR_VAULT_DAMAGED. */
  async *leavesDown(start: number): AsyncGenerator<number> {
    yield* this.#leavesBelow(this.#root.height, 0, start);
  }

  /** How many digests were read, or changed, so far. */
  get seen(): number {
    return [...this.#nodes.values()].reduce((sum, below) => sum + below.size, 0);
  }

  /** Gives a leaf another digest, or takes it away. Throws ERR_VAULT_DAMAGED. */
  async set(number: number, digest: Uint8Array | null): Promise<void> {
    while (number >= FAN_OUT ** this.#root.height) await this.#grow();
    const node = await this.#node(1, Math.floor(number / FAN_OUT));
    if (digest === null) node.delete(number);
    else node.set(number, digest);
    this.#mark(0, number);
  }

  /** The root as it is after all changes, and the rows that have to be written for it. */
  async settle(): Promise<{ readonly root: TreeRoot; readonly rows: readonly DigestRow[] }> {
    const rows: DigestRow[] = [];
    const { key, name } = this.#options;
    let { digest } = this.#root;
    for (let level = 0; level <= this.#root.height; level++) {
      for (const number of this.#changed[level] ?? []) {
        if (level > 0) digest = await this.#settleNode(key, name, level, number);
        if (level === this.#root.height) continue;
        const above = await this.#node(level + 1, Math.floor(number / FAN_OUT));
        rows.push({ level, number, digest: above.get(number) ?? null });
        this.#mark(level + 1, Math.floor(number / FAN_OUT));
      }
      this.#changed[level]?.clear();
    }
    this.#root = { height: this.#root.height, digest };
    return { root: this.#root, rows };
  }

  async #settleNode(
    key: Key,
    name: Uint8Array,
    level: number,
    number: number,
  ): Promise<Uint8Array> {
    const below = await this.#node(level, number);
    const digest = digestOf(key, name, level, number, below);
    if (level === this.#root.height) return digest;
    const above = await this.#node(level + 1, Math.floor(number / FAN_OUT));
    if (below.size === 0) above.delete(number);
    else above.set(number, digest);
    return digest;
  }

  /** One level more: the root of before is its first child, if there is anything in it. */
  async #grow(): Promise<void> {
    const { height, digest } = this.#root;
    const before = await this.#node(height, 0);
    const above = new Map(before.size === 0 ? [] : [[0, digest]]);
    this.#root = { height: height + 1, digest };
    this.#nodes.set(`${height + 1} 0`, above);
    this.#mark(height, 0);
  }

  async *#leavesBelow(level: number, number: number, start: number): AsyncGenerator<number> {
    const below = await this.#node(level, number);
    for (const child of [...below.keys()].sort((a, b) => b - a)) {
      if (child * FAN_OUT ** (level - 1) > start) continue;
      if (level === 1) yield child;
      else yield* this.#leavesBelow(level - 1, child, start);
    }
  }

  /** What is below a node, checked. */
  async #node(level: number, number: number): Promise<Map<number, Uint8Array>> {
    const place = `${level} ${number}`;
    const known = this.#nodes.get(place);
    if (known !== undefined) return known;
    const { key, name, read } = this.#options;
    const below = new Map<number, Uint8Array>();
    const expected =
      level === this.#root.height
        ? this.#root.digest
        : (await this.#node(level + 1, Math.floor(number / FAN_OUT))).get(number);
    if (expected !== undefined) {
      const first = number * FAN_OUT;
      for (const row of await read(level - 1, first, first + FAN_OUT - 1)) {
        below.set(row.number, row.digest);
      }
      if (Buffer.compare(digestOf(key, name, level, number, below), expected) !== 0) {
        throw vaultDamaged("The digests of the owner's checkpoints");
      }
    }
    this.#nodes.set(place, below);
    return below;
  }

  #mark(level: number, number: number): void {
    this.#changed[level] ??= new Set();
    this.#changed[level].add(number);
  }
}

function digestOf(
  key: Key,
  name: Uint8Array,
  level: number,
  number: number,
  below: ReadonlyMap<number, Uint8Array>,
): Uint8Array {
  let text = `node ${Buffer.from(name).toString('hex')} ${level} ${number}\n`;
  for (const child of [...below.keys()].sort((a, b) => a - b)) {
    text += `${child} ${Buffer.from(below.get(child)!).toString('hex')}\n`;
  }
  return authenticate(key, Buffer.from(text));
}
