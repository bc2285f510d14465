/**
 * Which checkpoints an owner has, so kept that any part of the list can be checked by reading little more than
 * that part.
 *
 *     line       `<sequence> <id>[ job <hex of job>][ mark <hex of mark>]\n`, one for each checkpoint
 *     leaf       number n of a tree: HMAC of `leaf <tree, hex> <n>\n` and the lines with sequences from
 *                32 n to 32 n + 31, ascending
 *     trees      one of all checkpoints, named by the byte 00; one for each job, of its checkpoints alone, named
 *                by the job's 32 bytes (32 zero bytes: those that do not say of which job they are)
 *     bucket     number n: HMAC of `bucket <n>\n` and a line `<tree, hex> <height> <root, hex>\n` for each job
 *                whose first ten bits are n, ascending
 *     buckets    a tree of height 2 over them, named by the byte 01
 *
 * All under the key `owner live`. The owner's state holds the roots of the first tree and of the buckets', and
 * how many checkpoints there are (`digest-tree.ts` says what a tree is).
 *
 * Invariants:
 * 1. What is answered was checked, and so was that nothing is missing from it: a newest checkpoint is the newest.
 *    Where the answer is that there is no such checkpoint, all of them were looked at.
 * 2. A change begins with a check of every leaf that it touches, in the same transaction.
 *
 * What is not asked for is not looked at; `Vault.verify` looks at everything.
 */
import type { KeyObject } from 'node:crypto';
import type { CheckpointKey, CheckpointRow, IndexTransaction, IndexView } from '../store/store.ts';
import { turn } from '../store/turn.ts';
import { vaultDamaged } from './damage.ts';
import { DigestTree, emptyRoot, FAN_OUT, type TreeRoot } from './digest-tree.ts';
import { authenticate, type OwnerKeys } from './vault-keys.ts';

const ALL = Uint8Array.of(0);
const BUCKETS = Uint8Array.of(1);
const NO_JOB = new Uint8Array(32);
const BUCKETS_HEIGHT = 2;
const LEAVES_PER_TURN = 32;

export interface ListRoots {
  readonly count: number;
  readonly checkpoints: TreeRoot;
  /** Of the tree of buckets. */
  readonly jobs: Uint8Array;
}

/** The part of a checkpoint's row that says where in the list it is. */
export type ListPlace = Pick<CheckpointKey, 'sequence' | 'job'>;

/** A tree of checkpoints, or of those of one job. */
interface Listed {
  readonly tree: DigestTree;
  readonly name: Uint8Array;
  /** Checked leaves. */
  readonly leaves: Map<number, readonly CheckpointKey[]>;
  readonly rows: (first: number, last: number) => Promise<readonly CheckpointKey[]>;
}

export class CheckpointList {
  readonly #view: IndexView;
  readonly #owner: number;
  readonly #key: KeyObject;
  readonly #all: Listed;
  readonly #buckets: DigestTree;
  /** Checked buckets, by number: the jobs' roots, by the hex of the job. */
  readonly #roots = new Map<number, Map<string, TreeRoot>>();
  readonly #jobs = new Map<string, Listed>();
  readonly #changedJobs = new Set<string>();
  #count: number;
  /** False: nothing of it is in rows yet. */
  #isKept: boolean;

  private constructor(view: IndexView, owner: ListOwner, roots: ListRoots, isKept: boolean) {
    this.#view = view;
    this.#owner = owner.number;
    this.#key = owner.keys.live;
    this.#count = roots.count;
    this.#isKept = isKept;
    this.#all = this.#listed(ALL, roots.checkpoints, (first, last) =>
      view.checkpointsBetween(this.#owner, first, last),
    );
    const root = { height: BUCKETS_HEIGHT, digest: roots.jobs };
    this.#buckets = this.#tree(BUCKETS, root);
  }

  /** The list as the owner's state vouches for it. */
  static kept(view: IndexView, owner: ListOwner, roots: ListRoots): CheckpointList {
    return new CheckpointList(view, owner, roots, true);
  }

  /** A list of these checkpoints, ascending, that nothing vouches for yet. */
  static async of(
    view: IndexView,
    owner: ListOwner,
    checkpoints: readonly CheckpointKey[],
  ): Promise<CheckpointList> {
    const { live } = owner.keys;
    const empty = {
      count: 0,
      checkpoints: emptyRoot(live, ALL),
      jobs: emptyRoot(live, BUCKETS, BUCKETS_HEIGHT).digest,
    };
    const list = new CheckpointList(view, owner, empty, false);
    await list.#fill(list.#all, checkpoints);
    for (const [job, own] of Map.groupBy(checkpoints, ({ job }) => hexOf(job))) {
      await list.#fill(await list.#jobList(job), own);
      list.#changedJobs.add(job);
    }
    list.#count = checkpoints.length;
    return list;
  }

  get count(): number {
    return this.#count;
  }

  /** Of all, or of those that may be of the job: with sequences below `below`, newest first. */
  async *newest(job: Uint8Array | undefined, below: number): AsyncGenerator<CheckpointKey> {
    if (job === undefined) {
      yield* this.#walk(this.#all, below);
      return;
    }
    // Who does not say of which job it is may be of this one.
    const [own, others] = [
      this.#walk(await this.#jobList(hexOf(job)), below),
      this.#walk(await this.#jobList(hexOf(null)), below),
    ];
    let [one, other] = [await own.next(), await others.next()];
    while (!one.done || !other.done) {
      if (!one.done && (other.done || one.value.sequence > other.value.sequence)) {
        yield one.value;
        one = await own.next();
      } else if (!other.done) {
        yield other.value;
        other = await others.next();
      }
    }
  }

  /** All of them, ascending. Throws ERR_VAULT_DAMAGED. */
  async all(): Promise<readonly CheckpointKey[]> {
    const found: CheckpointKey[] = [];
    for await (const key of this.newest(undefined, Number.POSITIVE_INFINITY)) found.push(key);
    if (found.length !== this.#count) throw damaged();
    return found.reverse();
  }

  /** The owner's checkpoint of that id; null when there is none, which costs a look at all of them. */
  async find(id: string): Promise<CheckpointRow | null> {
    const row = await this.#view.checkpoint(id);
    if (row?.owner !== this.#owner) {
      // A row that the list names and that says to be another's is damaged, not missing.
      if ((await this.all()).some((key) => key.id === id)) throw damaged();
      return null;
    }
    const leaf = await this.#leaf(this.#all, leafOf(row));
    if (!leaf.some((key) => lineOf(key) === lineOf(row))) throw damaged();
    return row;
  }

  /** Lets `work` change, add or remove rows at these places, and no others. `save` makes it last. */
  async change<T>(places: readonly ListPlace[], work: () => Promise<T>): Promise<T> {
    const touched: { readonly listed: Listed; readonly leaf: number }[] = [];
    const byJob = Map.groupBy(places, ({ job }) => hexOf(job));
    for (const leaf of leavesOf(places)) touched.push({ listed: this.#all, leaf });
    for (const [job, own] of byJob) {
      const listed = await this.#jobList(job);
      for (const leaf of leavesOf(own)) touched.push({ listed, leaf });
      this.#changedJobs.add(job);
    }
    for (const { listed, leaf } of touched) await this.#leaf(listed, leaf);
    const result = await work();
    for (const { listed, leaf } of touched) {
      const before = listed.leaves.get(leaf)!.length;
      const rows = await listed.rows(leaf * FAN_OUT, (leaf + 1) * FAN_OUT - 1);
      await this.#setLeaf(listed, leaf, rows);
      if (listed === this.#all) this.#count += rows.length - before;
    }
    return result;
  }

  /** Writes what was changed, and gives what the owner's state has to vouch for now. */
  async save(transaction: IndexTransaction): Promise<ListRoots> {
    if (!this.#isKept) await transaction.clearLists(this.#owner);
    this.#isKept = true;
    const buckets = new Set<number>();
    for (const job of this.#changedJobs) {
      const name = Buffer.from(job, 'hex');
      const root = await this.#settle(transaction, this.#jobs.get(job)!.tree, name);
      const roots = await this.#bucket(bucketOf(job));
      const isEmpty = Buffer.compare(root.digest, this.#emptyDigest(name, root.height)) === 0;
      if (isEmpty) roots.delete(job);
      else roots.set(job, root);
      await transaction.setJobList(this.#owner, name, isEmpty ? null : root);
      if (isEmpty) this.#jobs.delete(job);
      buckets.add(bucketOf(job));
    }
    this.#changedJobs.clear();
    for (const bucket of buckets) {
      const roots = await this.#bucket(bucket);
      await this.#buckets.set(bucket, roots.size === 0 ? null : this.#bucketDigest(bucket, roots));
    }
    return {
      count: this.#count,
      checkpoints: await this.#settle(transaction, this.#all.tree, ALL),
      jobs: (await this.#settle(transaction, this.#buckets, BUCKETS)).digest,
    };
  }

  /** Looks at all lists, of all jobs too. Throws ERR_VAULT_DAMAGED. */
  async verify(): Promise<void> {
    const all = await this.all();
    if (!this.#isKept) {
      // Made from the rows themselves, as in a vault of an older format: no digests are kept, and none may be.
      const kept = await this.#view.listCounts(this.#owner);
      if (kept.digests > 0 || kept.jobs > 0) throw damaged();
      return;
    }
    const byJob = Map.groupBy(all, ({ job }) => hexOf(job));
    const jobs = new Set<string>();
    for await (const bucket of this.#buckets.leavesDown(Number.POSITIVE_INFINITY)) {
      for (const job of (await this.#bucket(bucket)).keys()) jobs.add(job);
    }
    if (byJob.size !== jobs.size) throw damaged();
    for (const [job, own] of byJob) {
      const found: CheckpointKey[] = [];
      const walk = this.#walk(await this.#jobList(job), Number.POSITIVE_INFINITY);
      for await (const key of walk) found.push(key);
      const isSame = own.toReversed().every((key, at) => lineOf(key) === lineOf(found[at]));
      if (found.length !== own.length || !isSame) throw damaged();
    }
    // Rows that nothing leads to: nobody reads them, and nobody wrote them.
    const trees = [
      this.#all.tree,
      this.#buckets,
      ...[...this.#jobs.values()].map(({ tree }) => tree),
    ];
    const digests = trees.reduce((sum, { seen }) => sum + seen, 0);
    const there = await this.#view.listCounts(this.#owner);
    if (there.digests !== digests || there.jobs !== jobs.size) throw damaged();
  }

  async *#walk(listed: Listed, below: number): AsyncGenerator<CheckpointKey> {
    // Between two leaves, and beyond the last, there must be nothing either.
    let end = Math.min(below, Number.MAX_SAFE_INTEGER) - 1;
    let seen = 0;
    const start = Math.floor(end / FAN_OUT);
    for await (const leaf of listed.tree.leavesDown(start)) {
      if (++seen % LEAVES_PER_TURN === 0) await turn();
      await this.#checkNone(listed, (leaf + 1) * FAN_OUT, end);
      const rows = await this.#leaf(listed, leaf);
      for (const key of rows.toReversed()) if (key.sequence <= end) yield key;
      end = leaf * FAN_OUT - 1;
    }
    await this.#checkNone(listed, 0, end);
  }

  async #checkNone({ rows }: Listed, first: number, last: number): Promise<void> {
    if (first <= last && (await rows(first, last)).length > 0) throw damaged();
  }

  /** The rows of a leaf, checked. */
  async #leaf(listed: Listed, leaf: number): Promise<readonly CheckpointKey[]> {
    const known = listed.leaves.get(leaf);
    if (known !== undefined) return known;
    const rows = await listed.rows(leaf * FAN_OUT, (leaf + 1) * FAN_OUT - 1);
    const expected = await listed.tree.leaf(leaf);
    const found = rows.length === 0 ? null : this.#leafDigest(listed.name, leaf, rows);
    const isSame =
      found === null || expected === null
        ? found === expected
        : Buffer.compare(found, expected) === 0;
    if (!isSame) throw damaged();
    listed.leaves.set(leaf, rows);
    return rows;
  }

  async #setLeaf(listed: Listed, leaf: number, rows: readonly CheckpointKey[]): Promise<void> {
    const digest = rows.length === 0 ? null : this.#leafDigest(listed.name, leaf, rows);
    await listed.tree.set(leaf, digest);
    listed.leaves.set(leaf, rows);
  }

  async #fill(listed: Listed, rows: readonly CheckpointKey[]): Promise<void> {
    for (const [leaf, own] of Map.groupBy(rows, leafOf)) await this.#setLeaf(listed, leaf, own);
  }

  #leafDigest(name: Uint8Array, leaf: number, rows: readonly CheckpointKey[]): Uint8Array {
    return this.#digest(`leaf ${hexOf(name)} ${leaf}\n${rows.map(lineOf).join('')}`);
  }

  async #jobList(job: string): Promise<Listed> {
    const known = this.#jobs.get(job);
    if (known !== undefined) return known;
    const name = Buffer.from(job, 'hex');
    const root = (await this.#bucket(bucketOf(job))).get(job) ?? emptyRoot(this.#key, name);
    const asked = job === hexOf(null) ? null : name;
    const listed = this.#listed(name, root, (first, last) =>
      this.#view.jobCheckpointsBetween(this.#owner, asked, first, last),
    );
    this.#jobs.set(job, listed);
    return listed;
  }

  async #bucket(number: number): Promise<Map<string, TreeRoot>> {
    const known = this.#roots.get(number);
    if (known !== undefined) return known;
    const roots = new Map<string, TreeRoot>();
    const expected = await this.#buckets.leaf(number);
    const rows = this.#isKept
      ? await this.#view.jobLists(this.#owner, firstOf(number), firstOf(number + 1))
      : [];
    for (const { job, height, digest } of rows) roots.set(hexOf(job), { height, digest });
    const found = roots.size === 0 ? null : this.#bucketDigest(number, roots);
    const isSame =
      found === null || expected === null
        ? found === expected
        : Buffer.compare(found, expected) === 0;
    if (!isSame) throw damaged();
    this.#roots.set(number, roots);
    return roots;
  }

  #bucketDigest(number: number, roots: ReadonlyMap<string, TreeRoot>): Uint8Array {
    let text = `bucket ${number}\n`;
    for (const job of [...roots.keys()].sort()) {
      const { height, digest } = roots.get(job)!;
      text += `${job} ${height} ${hexOf(digest)}\n`;
    }
    return this.#digest(text);
  }

  async #settle(
    transaction: IndexTransaction,
    tree: DigestTree,
    name: Uint8Array,
  ): Promise<TreeRoot> {
    const { root, rows } = await tree.settle();
    for (const { level, number, digest } of rows) {
      await transaction.setDigest(this.#owner, name, { level, number, digest });
    }
    return root;
  }

  #listed(name: Uint8Array, root: TreeRoot, rows: Listed['rows']): Listed {
    return { tree: this.#tree(name, root), name, leaves: new Map(), rows };
  }

  #tree(name: Uint8Array, root: TreeRoot): DigestTree {
    return new DigestTree({
      key: this.#key,
      name,
      root,
      read: async (level, first, last) =>
        this.#isKept ? this.#view.digests(this.#owner, name, { level, first, last }) : [],
    });
  }

  #emptyDigest(name: Uint8Array, height: number): Uint8Array {
    return emptyRoot(this.#key, name, height).digest;
  }

  #digest(text: string): Uint8Array {
    return authenticate(this.#key, Buffer.from(text));
  }
}

export interface ListOwner {
  readonly number: number;
  readonly keys: Pick<OwnerKeys, 'live'>;
}

/** Throws ERR_VAULT_DAMAGED for an id that has not 32 characters: it could be taken for more than one line. */
export function lineOf(key: CheckpointKey | undefined): string {
  if (key === undefined || key.id.length !== 32) throw damaged();
  const job = key.job === null ? '' : ` job ${Buffer.from(key.job).toString('hex')}`;
  const mark = key.mark === null ? '' : ` mark ${Buffer.from(key.mark).toString('hex')}`;
  return `${key.sequence} ${key.id}${job}${mark}\n`;
}

function leafOf({ sequence }: Pick<ListPlace, 'sequence'>): number {
  return Math.floor(sequence / FAN_OUT);
}

function leavesOf(places: readonly ListPlace[]): ReadonlySet<number> {
  return new Set(places.map(leafOf));
}

/** The job's first ten bits. */
function bucketOf(job: string): number {
  return Number.parseInt(job.slice(0, 4), 16) >> 6;
}

/** What the jobs of a bucket begin with, or come after. */
function firstOf(bucket: number): Uint8Array {
  const bits = bucket << 6;
  // Behind the last bucket there is nothing; this is larger than any job.
  return bits > 0xffff ? new Uint8Array(33).fill(0xff) : Uint8Array.of(bits >> 8, bits & 0xff);
}

function hexOf(bytes: Uint8Array | null): string {
  return Buffer.from(bytes ?? NO_JOB).toString('hex');
}

function damaged(): Error {
  return vaultDamaged("The list of the owner's checkpoints");
}
