/**
 * Databases of keys and values for a guest, each a SQLite file that others may use at the same time.
 *
 * At a checkpoint every connection is closed, so that the file is whole and nobody's; after it, and after
 * a restart in another process, it is opened again and its statements prepared again. What the guest
 * points to are numbers, and positions in ranges of keys: both are rebuilt, neither is a pointer.
 *
 * Invariants:
 * 1. A guest in a transaction is not captured: half of one can't be carried over, and rolling it back
 *    behind the guest's back would be a lie.
 * 2. A cursor goes on behind the key that it gave last, and sees the database as it is then.
 * 3. Only what today's request grants is opened, and only if it is the same database.
 *
 * Written on what `stasis/provider` offers, and on nothing else.
 */
import { defineProvider, type GuestAccess, type Provider } from '../resource/provider.ts';
import { ForeignFile, KvDatabase } from './database.ts';
import { kvCalls } from './kv-calls.ts';
import { KV_IMPORTS, type KvGrant } from './kv-grant.ts';
import { type KvState, kvStateShape } from './kv-state.ts';
import { OpenDatabases } from './open-databases.ts';

export function createKvProvider(grants: readonly KvGrant[]): Provider {
  const open = new OpenDatabases(grants);
  let guest: GuestAccess | null = null;
  const access = (): GuestAccess => {
    if (guest === null) throw new Error('no guest was attached');
    return guest;
  };
  return defineProvider<KvState>({
    kind: 'kv',
    version: 1,
    shape: kvStateShape,
    prepare: () => {
      for (const { grant, connection } of open.databases.values()) {
        if (connection?.inTransaction !== true) continue;
        throw new Error(`a transaction on the database ${grant.name} is open`);
      }
      return open.capture();
    },
    commit: () => open.release(),
    // Preparing changed nothing.
    abort: () => undefined,
    rebuild: (state) => open.rebuild(state),
    imports: { [KV_IMPORTS]: kvCalls(open, access) },
    attach: (shown) => {
      guest = shown;
      for (const grant of grants) tryOut(grant);
    },
    close: () => open.close(),
  });
}

/** Says before the guest runs what is wrong with a file, in a user's words. */
function tryOut({ name, hostPath, readOnly }: KvGrant): void {
  try {
    new KvDatabase(hostPath, readOnly).close();
  } catch (error) {
    const reason = error instanceof Error ? error.message : String(error);
    // Somebody is writing to it, who will be done when the guest opens it.
    if (reason.includes('locked')) return;
    throw new Error(
      error instanceof ForeignFile
        ? `the database ${name}, ${hostPath}, ${reason}`
        : `the database ${name}, ${hostPath}, can't be opened: ${reason}`,
    );
  }
}
