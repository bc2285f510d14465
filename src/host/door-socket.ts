/**
 * The socket that a host of several users listens at: one of its own making, or one that systemd made for it.
 *
 * Everybody may connect, since the kernel says who does. But nobody else may stand in its place: its directory
 * is root's or this user's, and writable to nobody else.
 */
import { chmodSync, lstatSync, mkdirSync, rmSync, statSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';

/** The smallest limit of the systems we run on is 104, with the NUL. */
const SOCKET_PATH_BYTES_MAX = 100;
const BACKLOG = 511;
const SHARED_WRITE = 0o022;

export type DoorPlace =
  | { readonly kind: 'path'; readonly path: string; readonly forEverybody: boolean }
  /** A socket that listens already. */
  | { readonly kind: 'descriptor'; readonly fd: number };

/**
 * Listens there. Connections come paused: nothing is read of them here. Throws ERR_HOST_RUNNING when somebody
 * answers at the path or something else stands there, ERR_STATE_ACCESS for a directory that is not ours alone,
 * ERR_USAGE for a path that is too long, ERR_IO.
 */
export async function openDoorSocket(place: DoorPlace): Promise<Server> {
  const server = createServer({ pauseOnConnect: true });
  if (place.kind === 'descriptor') {
    await listening(server, { fd: place.fd });
    return server;
  }
  const { path, forEverybody } = place;
  if (Buffer.byteLength(path) > SOCKET_PATH_BYTES_MAX) {
    throw new HostError('ERR_USAGE', 'The path of the socket is too long for this system.', {
      facts: { socket: path, bytesMax: SOCKET_PATH_BYTES_MAX },
      hint: 'name a shorter one with --socket',
    });
  }
  claimParent(dirname(path), forEverybody);
  await clearStale(path);
  await listening(server, { path, backlog: BACKLOG });
  chmodSync(path, forEverybody ? 0o666 : 0o600);
  return server;
}

function listening(
  server: Server,
  where: { readonly fd: number } | { readonly path: string; readonly backlog: number },
): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error) => reject(ioFailure('listen at the socket of the host', error)));
    server.listen(where, resolve);
  });
}

function claimParent(directory: string, forEverybody: boolean): void {
  try {
    mkdirSync(directory, { recursive: true, mode: forEverybody ? 0o755 : 0o700 });
  } catch (error) {
    throw ioFailure('make the directory of the socket', error);
  }
  const found = statSync(directory);
  const isOurs = found.uid === 0 || found.uid === process.geteuid?.();
  if (isOurs && (found.mode & SHARED_WRITE) === 0) return;
  throw new HostError('ERR_STATE_ACCESS', 'Others may write to the directory of the socket.', {
    facts: { directory, user: found.uid, mode: (found.mode & 0o7777).toString(8) },
    hint: 'name a socket in a directory of your own with --socket',
  });
}

/** Removes what a host that died left there, and that alone. */
async function clearStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket() || found.uid !== process.geteuid?.()) {
    throw taken(
      path,
      found.isSocket() ? 'a socket of another user' : 'something that is no socket',
    );
  }
  if (await answers(path)) throw taken(path, 'another host, which answers');
  rmSync(path, { force: true });
}

function answers(path: string): Promise<boolean> {
  return new Promise((resolve, reject) => {
    const socket = connect(path, () => {
      socket.destroy();
      resolve(true);
    });
    socket.once('error', (error) => {
      const code = errorCode(error);
      if (code === 'ECONNREFUSED' || code === 'ENOENT') resolve(false);
      else reject(ioFailure('look who listens at the socket', error));
    });
  });
}

function taken(path: string, what: string): HostError {
  return new HostError('ERR_HOST_RUNNING', `At the path of the socket there is ${what}.`, {
    facts: { socket: path },
    hint: 'stop the other one, or name another socket with --socket',
  });
}
