/**
 * A vault at work, written down: every operation on its disk in order, and between them what was promised.
 *
 * A promise is what whoever uses the vault was told, `sealed` or `removed`; an intention is what was
 * asked for and not answered yet. Both stand at the number of operations done before them.
 */
import { join, relative } from 'node:path';
import type { Requester } from '../../src/vault/checkpoint-info.ts';
import type { Vault } from '../../src/vault/vault.ts';
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
  /** With what was sealed by then. */
  | { readonly at: number; readonly what: 'backed up'; readonly ids: readonly string[] };

export interface Recording {
  readonly steps: readonly Step[];
  readonly told: readonly Told[];
  /** Operations before what the recording is about. */
  from: number;
  /** By the checkpoint's name: what was given to be sealed, whether or not it was. */
  readonly images: ReadonlyMap<string, Image & { readonly requester: Requester }>;
}

export interface Recorder extends Recording {
  /** Decides on a fault for each operation, given its number from 0. */
  decide: (step: Omit<Step, 'fault'>, number: number) => Fault | null;
  /** What is being done, for who wants to say when a fault was met. */
  phase: string;
  /** What was done so far is only preparation. */
  begin(): void;
  openVault(): Promise<Vault>;
  closeVault(vault: Vault): Promise<void>;
  /** Seals under a name of its own, and notes it. */
  seal(vault: Vault, name: string, image: Image, requester?: Requester): Promise<string>;
  remove(vault: Vault, ids: readonly string[], requester?: Requester): Promise<void>;
  /** To `BACKUP`, below the root. */
  backUp(vault: Vault): Promise<void>;
}

/** Where backups go: nothing of the way there is made beforehand. */
export const BACKUP = join('elsewhere', 'backup');

/** The key lies two directories away from the vault: what made those durable must not be chance. */
export function placesBelow(root: string): Places {
  return { ...placesIn(root), keyFile: join(root, 'safe', 'keys', 'master.key') };
}

/** Runs `work` with a recorder for the vault in `root`. */
export async function record(
  root: string,
  work: (recorder: Recorder) => Promise<void>,
): Promise<Recording> {
  const steps: Step[] = [];
  const told: Told[] = [];
  const images = new Map<string, Image & { readonly requester: Requester }>();
  const watcher = (seen: DiskOperation, by: Step['by']): Fault | null => {
    const operation = below(root, seen);
    const fault = recorder.decide({ operation, by }, steps.length);
    steps.push({ operation, by, fault });
    return fault;
  };
  const recorder: Recorder = {
    steps,
    told,
    images,
    from: 0,
    decide: () => null,
    phase: '',
    begin: () => {
      recorder.from = steps.length;
    },
    openVault: () => {
      recorder.phase = 'opening';
      return open(placesBelow(root), { files: watchedPort(watcher) });
    },
    closeVault: async (vault) => {
      recorder.phase = 'closing';
      await vault.close();
    },
    seal: async (vault, name, image, requester = ALICE) => {
      recorder.phase = 'sealing';
      images.set(name, { ...image, requester });
      const { id } = await vault.seal(sealRequest({ name, ...image, requester }));
      told.push({ at: steps.length, what: 'sealed', id, name });
      return id;
    },
    remove: async (vault, ids, requester = ALICE) => {
      recorder.phase = 'removing';
      for (const id of ids) told.push({ at: steps.length, what: 'removing', id });
      await vault.remove(requester, ids);
      for (const id of ids) told.push({ at: steps.length, what: 'removed', id });
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
  /** What the backup must hold; null when there need be none. */
  readonly backedUp: readonly string[] | null;
}

/** What must be so after a crash when `done` operations were done. */
export function expectedAfter({ told }: Recording, done: number): Expected {
  const kept = new Map<string, string>();
  const gone = new Set<string>();
  let backedUp = null as readonly string[] | null;
  for (const one of told) {
    if (one.what === 'backed up' && one.at <= done) backedUp = one.ids;
    // An intention binds nobody before its first operation; a promise binds at once.
    if (one.what === 'sealed' && one.at <= done) kept.set(one.id, one.name);
    if (one.what === 'removing' && one.at < done) kept.delete(one.id);
    if (one.what === 'removed' && one.at <= done) {
      kept.delete(one.id);
      gone.add(one.id);
    }
  }
  // The next backup, which may be there already, lacks what was removed since.
  return { kept, gone, backedUp: backedUp?.filter((id) => kept.has(id)) ?? null };
}
