/**
 * Doing something with a user's rights instead of root's.
 *
 * A host of several users runs as root, and names things that a user named: a module, a directory, a page
 * file, a port. Whatever is done with such a name is done inside `withUserRights`, where the kernel judges this
 * thread as that user: its effective user and group are the user's, it has no further groups, and so no
 * capability is in effect. A host that forgets would open with root's rights what a user may not.
 *
 * Linux keeps these for each thread, and the C library changes all threads together. Here the system is called
 * directly, so that only the main thread changes: Node's file operations without a callback run on it, while
 * the vault's in the pool keep the rights that they began with.
 *
 * Invariants:
 * 1. A process acts for one user, chosen once, before it reads anything of that user's.
 * 2. Inside, nothing is awaited: `work` is over when the rights are root's again, also when it throws.
 * 3. If the rights can't be changed, nothing is done; if they can't be changed back, the process ends.
 * 4. Where nobody was chosen, the process's own rights are the user's.
 */
import { ERRNO } from '../abi/errno.ts';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { type NativeLibrary, openNativeLibrary } from './library.ts';

export interface UserIds {
  readonly uid: number;
  readonly gid: number;
}

/** Numbers of the system's calls. */
const CALLS = {
  x64: { setgroups: 116n, setresuid: 117n, setresgid: 119n },
  arm64: { setgroups: 159n, setresuid: 147n, setresgid: 149n },
} as const;

const SIGNATURES = {
  syscall: { arguments: ['int64', 'int64', 'int64', 'int64'], return: 'int64' },
} as const;

const UNCHANGED = -1n;
const ROOT = 0;

type Library = NativeLibrary<typeof SIGNATURES>;

let chosen: { readonly user: UserIds; readonly library: Library } | null = null;
let inside = false;

/** From now on `withUserRights` means `user`. For root, once. Throws ERR_STATE_ACCESS. */
export function actFor(user: UserIds): void {
  assert(chosen === null, 'a process acts for one user');
  if (user.uid === process.getuid?.() && user.gid === process.getgid?.()) return;
  const library = openNativeLibrary(
    SIGNATURES,
    ({ functions, errno }) =>
      // Of no process: there is no signal 65.
      Number(functions.syscall(-1n, 0n, 0n, 0n)) === -1 && errno() === ERRNO.NOSYS,
  );
  if (library === null || process.geteuid?.() !== ROOT) {
    throw new HostError('ERR_STATE_ACCESS', 'This process can not act for another user.', {
      facts: { user: user.uid },
    });
  }
  chosen = { user, library };
  // For all threads: root has no use for further groups, and a user none for root's.
  process.setgroups?.([]);
}

/** Whom this process acts for, when that is somebody else. */
export function servedUser(): UserIds | null {
  return chosen?.user ?? null;
}

/** What `work` gives, done with the rights of the user that this process acts for. */
export function withUserRights<T>(work: () => T): T {
  return chosen === null ? work() : withRightsOf(chosen.user, work);
}

/** The same with those of `user`, for what is that user's and nothing else; our own where we act for nobody. */
export function withRightsOf<T>(user: UserIds, work: () => T): T {
  if (chosen === null || inside) return work();
  const { library } = chosen;
  inside = true;
  try {
    change(library, user);
    const result = work();
    assert(!(result instanceof Promise), 'nothing is awaited with rights of a user');
    return result;
  } finally {
    restore(library);
    inside = false;
  }
}

function change({ functions }: Library, { uid, gid }: UserIds): void {
  const calls = CALLS[process.arch as keyof typeof CALLS];
  // The user last: afterwards the group could not be changed.
  for (const [call, id] of [
    [calls.setresgid, gid],
    [calls.setresuid, uid],
  ] as const) {
    if (Number(functions.syscall(call, UNCHANGED, BigInt(id), UNCHANGED)) === 0) continue;
    throw new HostError('ERR_STATE_ACCESS', 'The rights of the user could not be taken on.', {
      facts: { user: uid },
    });
  }
}

function restore({ functions }: Library): void {
  const calls = CALLS[process.arch as keyof typeof CALLS];
  for (const call of [calls.setresuid, calls.setresgid]) {
    // What goes on half as somebody else could do anything.
    if (Number(functions.syscall(call, UNCHANGED, BigInt(ROOT), UNCHANGED)) !== 0) process.abort();
  }
}
