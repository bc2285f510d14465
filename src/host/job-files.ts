/** The files of a job: the log of each run, and what is kept of what the guest works on. */
import {
  chmodSync,
  fstatSync,
  lchownSync,
  lstatSync,
  mkdirSync,
  openSync,
  readdirSync,
  realpathSync,
  rmdirSync,
  rmSync,
} from 'node:fs';
import { join } from 'node:path';
import type { FileKeeping } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import { ioFailure } from '../fault/io-failure.ts';
import { servedUser, withRightsOf, withUserRights } from '../native/user-rights.ts';
import { controlPath } from './control-socket.ts';
import type { JobRecord } from './job-records.ts';
import { logPath } from './log-reader.ts';
import { keepingPath, type Places, servedKeepingPaths } from './places.ts';
import { CARRY_BYTES_DEFAULT, type RunRequest } from './run-request.ts';

export function openLog(places: Places, job: string, run: number): number {
  const path = logPath(places, job, run);
  try {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    return openSync(path, 'ax', 0o600);
  } catch (error) {
    throw ioFailure('make the log of the run', error);
  }
}

/** The cell says how much of the log an image stands for; it can't be more than there is. */
export function checkLogBytes(logFd: number | null, logBytes: number): void {
  const size = logFd === null ? 0 : fstatSync(logFd).size;
  if (logBytes <= size) return;
  throw new HostError('ERR_PROTOCOL', 'The cell told of more output than is in its log.', {
    facts: { told: logBytes, there: size },
  });
}

/** The job's own directory for what it keeps of files, as one that a cell can work in. */
export function keepingOf(
  places: Places,
  job: JobRecord,
  { preopens, carryBytesMax = CARRY_BYTES_DEFAULT }: RunRequest,
): FileKeeping | null {
  if (preopens.length === 0) return null;
  const user = servedUser();
  const directory = keepingPath(places, job.id, user);
  try {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    // Empty, or the user's already; its parent is root's, so that nothing else can have taken its name.
    if (user !== null) lchownSync(directory, user.uid, user.gid);
    // The cell's permissions are judged by the true name.
    return { directory: realpathSync(directory), carryBytesMax };
  } catch (error) {
    throw ioFailure('make the directory for files that the job keeps', error);
  }
}

/** What private views of a run leave behind; the next run begins with what its image says. */
export function dropViews(places: Places, { id }: JobRecord): void {
  const directory = keepingPath(places, id, servedUser());
  try {
    withUserRights(() => {
      for (const name of readdirSync(directory)) {
        if (name.startsWith('private-')) rmSync(join(directory, name), { recursive: true });
      }
    });
  } catch {
    // None was made, or the next run, or the removal of the job, drops it.
  }
}

/** Removes everything that lies in the file system for a job. */
export function removeJobFiles(places: Places, job: string): void {
  for (const path of servedKeepingPaths(places, job)) removeUsersFiles(path);
  rmSync(join(places.jobs, job), { recursive: true, force: true });
  // A host that was killed leaves its socket.
  rmSync(controlPath(places, job), { force: true });
}

/**
 * A directory that belongs to a user, in one of ours: emptied with that user's rights, as root could be
 * led astray by a link that is put into it meanwhile. Only its own name is ours to remove.
 */
function removeUsersFiles(path: string): void {
  try {
    const { uid, gid } = lstatSync(path);
    withRightsOf({ uid, gid }, () => {
      chmodSync(path, 0o700);
      for (const name of readdirSync(path)) {
        rmSync(join(path, name), { recursive: true, force: true });
      }
    });
    rmdirSync(path);
  } catch (error) {
    throw ioFailure('remove what the job kept of files', error);
  }
}
