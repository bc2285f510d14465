/**
 * What lies where under STASIS_HOME.
 *
 *   jobs.db             jobs and their runs (`job-table.ts`)
 *   jobs/<id>/run-<n>.log   what each run wrote (`../cell/log-record.ts`)
 *   jobs/<id>/files/        what the job keeps of files (`../handle/grants.ts`, `FileKeeping`)
 *   files/<id>-<uid>/       the same in the home of a host of several users: the user who runs it owns it
 *   run/<id>.sock       control socket of a running job
 *   modules/<sha256>.wasm   modules that checkpoints need, as they were then
 *   cache/              instrumented modules; may be deleted at any time
 *   vault/              checkpoints, sealed
 *   keys/master.key     what opens them; outside the vault on purpose
 *
 * Invariants:
 * 1. Every directory here is the user's own, mode 0700; files are 0600. In the home of a host of several users
 *    they are root's; home and `files/` can be passed through (0711), and only what is in `files/` is a user's.
 * 2. Nothing is used in a home that somebody else owns or could rename things in.
 */
import { chmodSync, existsSync, lstatSync, mkdirSync, readdirSync, statSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { assert } from '../fault/assert.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { KeyPlace } from '../vault/master-key.ts';

const PASSABLE = 0o711;

export interface Places {
  readonly home: string;
  readonly jobsDatabase: string;
  readonly jobs: string;
  readonly sockets: string;
  /** Where control sockets go when names under `sockets` would be too long for the system. */
  readonly shortSockets: string;
  readonly modules: string;
  readonly cache: string;
  readonly vault: string;
  readonly keyFile: string;
  /** Where the master key is; `keyFile` unless the user says otherwise. */
  readonly vaultKey: KeyPlace;
  /** A file elsewhere that is told how far the vault has come (`../vault/witness.ts`). */
  readonly witness: string | null;
  /** Where users' processes keep files when the home is not theirs; null when it is. */
  readonly cellFiles: string | null;
}

/**
 * `served`: the owner whom a host of several users works for. What a cell hands in for the cache is believed
 * for that owner's jobs only.
 */
export function placesUnder(
  home: string,
  shortSockets: string,
  served: string | null = null,
): Places {
  return {
    home,
    jobsDatabase: join(home, 'jobs.db'),
    jobs: join(home, 'jobs'),
    sockets: join(home, 'run'),
    shortSockets,
    modules: join(home, 'modules'),
    cache: served === null ? join(home, 'cache') : join(home, 'cache', served.replace(':', '-')),
    vault: join(home, 'vault'),
    keyFile: join(home, 'keys', 'master.key'),
    vaultKey: { kind: 'file', path: join(home, 'keys', 'master.key') },
    witness: null,
    cellFiles: served === null ? null : join(home, 'files'),
  };
}

/**
 * A job's own directory for what it keeps of files. Of users that are served each has one of his own: an operator
 * who runs another's job may not read what that one kept.
 */
export function keepingPath(
  { jobs, cellFiles }: Places,
  job: string,
  user: UserIds | null,
): string {
  assert((cellFiles === null) === (user === null), 'files of users are in their own place');
  return cellFiles === null ? join(jobs, job, 'files') : join(cellFiles, `${job}-${user!.uid}`);
}

/** All of them, where users are served. */
export function servedKeepingPaths({ cellFiles }: Places, job: string): string[] {
  if (cellFiles === null || !existsSync(cellFiles)) return [];
  return readdirSync(cellFiles)
    .filter((name) => name.startsWith(`${job}-`))
    .map((name) => join(cellFiles, name));
}

/** Makes what is missing. Throws ERR_STATE_ACCESS, ERR_DISK_FULL, ERR_IO. */
export function preparePlaces(places: Places): void {
  makeDirectory(places.home);
  const found = statSync(places.home);
  const shared = (found.mode & 0o022) !== 0;
  if (found.uid !== process.geteuid?.() || shared) {
    throw new HostError(
      'ERR_STATE_ACCESS',
      shared
        ? 'The state directory can be written by other users.'
        : 'The state directory belongs to another user.',
      {
        facts: { directory: places.home, mode: (found.mode & 0o777).toString(8) },
        hint: 'set STASIS_HOME to a directory of your own with mode 700',
      },
    );
  }
  const keys = join(places.keyFile, '..');
  for (const directory of [places.jobs, places.sockets, places.modules, places.cache, keys]) {
    makeDirectory(directory);
  }
  if (places.cellFiles === null) return;
  makeDirectory(places.cellFiles);
  // To be passed through on the way to `files/<id>`, and not to be listed.
  for (const directory of [places.home, places.cellFiles]) {
    if ((statSync(directory).mode & 0o777) !== PASSABLE) chmodSync(directory, PASSABLE);
  }
}

/**
 * Makes a directory that others may have got at first, such as one in a temporary directory that all
 * users share. Throws ERR_STATE_ACCESS unless it is ours alone.
 */
export function claimDirectory(path: string): void {
  makeDirectory(path);
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== process.geteuid?.() || (found.mode & 0o077) !== 0) {
    throw new HostError(
      'ERR_STATE_ACCESS',
      'The directory for control sockets is not ours alone.',
      {
        facts: { directory: path },
        hint: 'remove it, or set STASIS_HOME to a shorter path',
      },
    );
  }
}

function makeDirectory(path: string): void {
  try {
    makeWithParents(path);
  } catch (error) {
    if (errorCode(error) === 'EEXIST') {
      throw new HostError('ERR_STATE_ACCESS', 'A file stands where a directory should be.', {
        facts: { path },
      });
    }
    const { code, message, facts, hint } = ioFailure('make the state directory', error);
    throw new HostError(code, message, {
      facts: { ...facts, path },
      hint: hint ?? 'set STASIS_HOME to a directory that can be made',
      cause: error,
    });
  }
}

/**
 * As `mkdir -p`. Not by Node's own `recursive`: below `/proc`, where every mkdir answers that the parent is
 * missing although it is there, that goes round for ever.
 */
function makeWithParents(path: string): void {
  try {
    mkdirSync(path, { mode: 0o700 });
  } catch (error) {
    const code = errorCode(error);
    if (code === 'EEXIST' && statSync(path).isDirectory()) return;
    const parent = dirname(path);
    if (code !== 'ENOENT' || existsSync(parent)) throw error;
    makeWithParents(parent);
    mkdirSync(path, { mode: 0o700 });
  }
}
