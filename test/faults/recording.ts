/**
 * A vault at work, written down: every operation on its disk in order, and between them what was promised.
 *
 * A promise is what whoever uses the vault was told, `sealed` or `removed`; an intention is what was
 * asked for and not answered yet. Both stand at the number of operations done before them.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { HostError } from '../../src/fault/host-error.ts';
import type { FilePort } from '../../src/store/file-port.ts';
import type { Requester } from '../../src/vault/checkpoint-info.ts';
import { restoreVault } from '../../src/vault/restore-vault.ts';
import type { SealRequest, Vault } from '../../src/vault/vault.ts';
import { ALICE, open, type Places, placesIn, sealRequest } from '../vault/test-vault.ts';
import type { DiskOperation, Fault } from './disk-operation.ts';
import { watchingSqlite } from './sqlite-calls.ts';
import { watchedPort } from './watched-port.ts';

export interface Image {
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

export interface Step {
  /** Paths are below the root; the root itself is `.`. */
  readonly operation: DiskOperation;
  readonly by: 'port' | 'sqlite';
  readonly fault: Fault | null;
}

export type Told =
  | { readonly at: number; readonly what: 'sealed'; readonly id: string; readonly name: string }
  | { readonly at: number; readonly what: 'removing' | 'removed'; readonly id: string }
  /** Something else that the vault says of itself (`factsOf`). */
  | { readonly at: number; readonly what: 'changing'; readonly fact: string }
  | { readonly at: number; readonly what: 'so'; readonly fact: string; readonly value: string }
  /** With what was sealed by then. */
  | { readonly at: number; readonly what: 'backed up'; readonly ids: readonly string[] }
  | { readonly at: number; readonly what: 'put back' };

export interface Recording {
  readonly steps: readonly Step[];
  readonly told: readonly Told[];
  /** Operations before what the recording is about. */
  from: number;
  /** By the checkpoint's name: what was given to be sealed, whether or not it was. */
  readonly images: ReadonlyMap<string, Image & { readonly requester: Requester }>;
}

export interface Recorder extends Recording {
  readonly root: string;
  /** Decides on a fault for each operation, given its number from 0. */
  decide: (step: Omit<Step, 'fault'>, number: number) => Fault | null;
  /** What is being done, for who wants to say when a fault was met. */
  phase: string;
  /** What was done so far is only preparation. */
  begin(): void;
  openVault(): Promise<Vault>;
  closeVault(vault: Vault): Promise<void>;
  /** Seals under a name of its own, and notes it. */
  seal(
    vault: Vault,
    name: string,
    image: Image,
    requester?: Requester,
    more?: Partial<SealRequest>,
  ): Promise<string>;
  remove(vault: Vault, ids: readonly string[], requester?: Requester): Promise<void>;
  /** Does `work`, and notes that `fact` is `value` from then on. */
  change(vault: Vault, fact: string, value: string, work: () => Promise<unknown>): Promise<void>;
  /** Forgets an owner with all that there is of his. */
  shred(vault: Vault, requester: Requester): Promise<void>;
  /** To `BACKUP`, below the root. */
  backUp(vault: Vault): Promise<void>;
  /** The backup, as a vault; opening it is no part of the recording. */
  openBackup(): Promise<Vault>;
  /** Puts the backup back at `RESTORED`. */
  restore(): Promise<void>;
  /** Whether vaults are opened with a witness. */
  witnessed: boolean;
}

/** What a vault says of itself that a change was to make so: uses of Alice's checkpoints, her operators. */
export async function factsOf(vault: Vault): Promise<ReadonlyMap<string, string>> {
  const facts = new Map<string, string>();
  for (const [id, { state }] of await vault.uses(ALICE)) facts.set(`use of ${id}`, state);
  facts.set('operators', (await vault.operators(ALICE)).join());
  return facts;
}

/** Where backups go: nothing of the way there is made beforehand. */
export const BACKUP = join('elsewhere', 'backup');
/** Where a backup is put back. */
export const RESTORED = join('elsewhere', 'again');
export const WITNESS = 'witness';

/** The key lies two directories away from the vault: what made those durable must not be chance. */
export function placesBelow(root: string): Places {
  return { ...placesIn(root), keyFile: join(root, 'safe', 'keys', 'master.key') };
}

/** Runs `work` with a recorder for the vault in `root`. What was promised `before` still holds. */
export async function record(
  root: string,
  work: (recorder: Recorder) => Promise<void>,
  before: Pick<Recording, 'told' | 'images'> = { told: [], images: new Map() },
): Promise<Recording> {
  const steps: Step[] = [];
  const told: Told[] = before.told.map((one) => ({ ...one, at: 0 }));
  const images = new Map(before.images);
  const watcher = (seen: DiskOperation, by: Step['by']): Fault | null => {
    const operation = below(root, seen);
    const fault = recorder.decide({ operation, by }, steps.length);
    steps.push({ operation, by, fault });
    return fault;
  };
  const recorder: Recorder = {
    root,
    steps,
    told,
    images,
    from: 0,
    decide: () => null,
    phase: '',
    witnessed: existsSync(join(root, WITNESS)),
    begin: () => {
      recorder.from = steps.length;
    },
    openVault: () => {
      recorder.phase = 'opening';
      const witness = recorder.witnessed ? { witness: join(root, WITNESS) } : {};
      return open(placesBelow(root), { files: watchedPort(watcher), ...witness });
    },
    closeVault: async (vault) => {
      recorder.phase = 'closing';
      await vault.close();
    },
    seal: async (vault, name, image, requester = ALICE, more = {}) => {
      recorder.phase = 'sealing';
      images.set(name, { ...image, requester });
      const { id } = await vault.seal(sealRequest({ name, ...image, requester, ...more }));
      told.push({ at: steps.length, what: 'sealed', id, name });
      return id;
    },
    remove: async (vault, ids, requester = ALICE) => {
      recorder.phase = 'removing';
      for (const id of ids) told.push({ at: steps.length, what: 'removing', id });
      await vault.remove(requester, ids);
      for (const id of ids) told.push({ at: steps.length, what: 'removed', id });
    },
    change: async (_vault, fact, value, work) => {
      recorder.phase = 'changing a fact';
      told.push({ at: steps.length, what: 'changing', fact });
      await work();
      told.push({ at: steps.length, what: 'so', fact, value });
    },
    shred: async (vault, requester) => {
      recorder.phase = 'shredding';
      const ids = (await vault.list(requester)).map(({ id }) => id);
      for (const id of ids) told.push({ at: steps.length, what: 'removing', id });
      await vault.shredOwner(requester.owner);
      for (const id of ids) told.push({ at: steps.length, what: 'removed', id });
    },
    openBackup: () =>
      open({ ...placesBelow(root), directory: join(root, BACKUP) }, { mode: 'existing' }),
    restore: async () => {
      recorder.phase = 'restoring a backup';
      await restoreBelow(root, watchedPort(watcher));
      told.push({ at: steps.length, what: 'put back' });
    },
    backUp: async (vault) => {
      recorder.phase = 'backing up';
      await vault.backUp(join(root, BACKUP));
      const ids = [...expectedAfter(recorder, steps.length).kept.keys()];
      told.push({ at: steps.length, what: 'backed up', ids });
    },
  };
  await watchingSqlite(watcher, () => work(recorder));
  return recorder;
}

/** Puts the backup in `root` back at `RESTORED`. What is damaged then is told, and thrown here. */
export async function restoreBelow(root: string, files: FilePort): Promise<void> {
  const { findings } = await restoreVault(
    {
      directory: join(root, RESTORED),
      key: { kind: 'file', path: placesBelow(root).keyFile },
      now: () => new Date(),
      random: (bytes) => randomBytes(bytes),
      files,
    },
    join(root, BACKUP),
  );
  if (findings.length > 0)
    throw new HostError('ERR_VAULT_DAMAGED', `What was put back: ${findings[0]!.sentence}`);
}

function below(root: string, operation: DiskOperation): DiskOperation {
  const path = relative(root, operation.path) || '.';
  if ('newPath' in operation)
    return { ...operation, path, newPath: relative(root, operation.newPath) };
  if (operation.kind === 'write')
    return { ...operation, path, content: Uint8Array.from(operation.content) };
  return { ...operation, path };
}

export interface Expected {
  /** Checkpoints that must be there, with their names. */
  readonly kept: ReadonlyMap<string, string>;
  /** Checkpoints that must not be there. */
  readonly gone: ReadonlySet<string>;
  /** What the vault must say of itself. */
  readonly facts: ReadonlyMap<string, string>;
  /** What the backup must hold; null when there need be none. */
  readonly backedUp: readonly string[] | null;
  /** Whether the backup must have been put back. */
  readonly isPutBack: boolean;
}

/** What must be so after a crash when `done` operations were done. */
export function expectedAfter({ told }: Recording, done: number): Expected {
  const kept = new Map<string, string>();
  const gone = new Set<string>();
  const facts = new Map<string, string>();
  let backedUp = null as readonly string[] | null;
  let isPutBack = false;
  for (const one of told) {
    if (one.what === 'changing' && one.at < done) facts.delete(one.fact);
    if (one.what === 'so' && one.at <= done) facts.set(one.fact, one.value);
    if (one.what === 'backed up' && one.at <= done) backedUp = one.ids;
    if (one.what === 'put back' && one.at <= done) isPutBack = true;
    // An intention binds nobody before its first operation; a promise binds at once.
    if (one.what === 'sealed' && one.at <= done) kept.set(one.id, one.name);
    if (one.what === 'removing' && one.at < done) kept.delete(one.id);
    if (one.what === 'removed' && one.at <= done) {
      kept.delete(one.id);
      gone.add(one.id);
    }
  }
  // The next backup, which may be there already, lacks what was removed since.
  return { kept, gone, facts, backedUp: backedUp?.filter((id) => kept.has(id)) ?? null, isPutBack };
}
