/**
 * What has to be made durable before a checkpoint beside the files that are open: files that were closed
 * since they were written, and directories whose names changed.
 *
 * They are found again by their paths and synced one by one. Where one is not where it should be, or there
 * are many, the whole file system is synced: more than is needed, and never less.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { HostError } from '../fault/host-error.ts';
import { syncFile } from './durability.ts';
import { nativeCalls } from './native-calls.ts';
import type { Preopen } from './preopens.ts';
import { type Identity, identityOf, keyOf } from './undo-record.ts';
import { endWalk, hostPathOf, startWalk } from './walk.ts';

/** More than these at once are synced together with everything else. */
const SINGLE_MAX = 64;

interface Unsynced {
  readonly preopen: Preopen;
  readonly path: string;
}

export class UnsyncedThings {
  readonly #things = new Map<string, Unsynced>();
  #wantsAll = true;

  /** Begins with everything unsynced: nobody noted what was done before. */
  note(identity: Identity, preopen: Preopen, path: string): void {
    if (this.#wantsAll) return;
    this.#things.set(keyOf(identity), { preopen, path });
    if (this.#things.size <= SINGLE_MAX) return;
    this.#things.clear();
    this.#wantsAll = true;
  }

  moved(identity: Identity, preopen: Preopen, path: string): void {
    if (this.#things.has(keyOf(identity))) this.note(identity, preopen, path);
  }

  removed(identity: Identity): void {
    this.#things.delete(keyOf(identity));
  }

  /** Throws HostError ERR_IO when the host failed to, and what Node throws. */
  sync(preopens: readonly Preopen[]): void {
    const things = [...this.#things];
    const single = !this.#wantsAll && things.every(([key, thing]) => syncThing(key, thing));
    if (!single) {
      for (const { root } of preopens) syncAround(`${root.prefix}.`);
    }
    this.#things.clear();
    this.#wantsAll = false;
  }
}

/** False when it is not there. */
function syncThing(key: string, { preopen, path }: Unsynced): boolean {
  const walk = startWalk(preopen.root, path === '' ? '.' : path);
  if (typeof walk === 'number') return false;
  let fd = -1;
  try {
    const flags = constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK;
    fd = openSync(hostPathOf(walk), flags);
    const stats = fstatSync(fd, { bigint: true });
    if (keyOf(identityOf(stats)) !== key) return false;
    checked(syncFile(fd, stats.isFile()));
    return true;
  } catch (error) {
    if (error instanceof HostError) throw error;
    return false;
  } finally {
    if (fd >= 0) closeSync(fd);
    endWalk(walk);
  }
}

/** Makes everything on the file system of a directory durable. Throws as `sync` does. */
export function syncAround(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    checked(nativeCalls()?.syncAround(fd) ?? ERRNO.NOTSUP);
  } finally {
    closeSync(fd);
  }
}

/** Makes the names in a directory durable. Throws as `sync` does. */
export function syncNames(directory: string): void {
  const fd = openSync(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    checked(syncFile(fd, false));
  } finally {
    closeSync(fd);
  }
}

/** A process without any way to sync says NOTSUP: what it wrote outlives it, and not a loss of power. */
function checked(errno: number): void {
  if (errno === ERRNO.SUCCESS || errno === ERRNO.NOTSUP) return;
  throw new HostError('ERR_IO', 'What the guest wrote could not be made durable.', {
    facts: { errno },
  });
}
