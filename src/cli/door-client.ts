/**
 * The client's end of a connection to a host of several users: see `door-protocol.ts`.
 */
import { once } from 'node:events';
import { connect, type Socket } from 'node:net';
import { ERRNO } from '../abi/errno.ts';
import { FrameReader } from '../cell/framing.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode } from '../fault/io-failure.ts';
import { descriptorPost } from '../native/descriptors.ts';
import { peerReader, socketFd } from '../native/peer.ts';
import {
  type DoorAsk,
  type DoorTell,
  frameAsk,
  greeting,
  readTell,
  TELL_LIMITS,
} from './door-protocol.ts';

const ROOT = 0;

export interface DoorConnection {
  say(ask: DoorAsk): void;
  /** Everything that the host tells, until it closes. */
  readonly tells: AsyncIterable<DoorTell>;
  close(): void;
}

/** `unix:PATH` or an absolute path. Throws ERR_USAGE. */
export function socketPath(address: string): string {
  const path = address.startsWith('unix:') ? address.slice('unix:'.length) : address;
  if (path.startsWith('/') && !path.includes('\0')) return path;
  throw new HostError('ERR_USAGE', `${JSON.stringify(address)} is no address of a host.`, {
    hint: 'write --host unix:/run/stasis/stasis.sock, or set STASIS_HOST to that',
  });
}

/** `fds`: what goes with the greeting. Throws ERR_USAGE, ERR_HOST_UNREACHABLE, ERR_HOST_UNTRUSTED. */
export async function openDoor(address: string, fds: readonly number[]): Promise<DoorConnection> {
  const path = socketPath(address);
  const post = descriptorPost();
  const peerOf = peerReader();
  if (post === null || peerOf === null) {
    throw new HostError('ERR_HOST_UNREACHABLE', 'This system has no way to ask another host.', {
      facts: { system: `${process.platform} ${process.arch}` },
      hint: 'leave out --host and STASIS_HOST',
    });
  }
  const socket = connect(path);
  try {
    await once(socket, 'connect');
  } catch (error) {
    throw unreachable(path, errorCode(error) ?? 'an unknown error', error);
  }
  socket.on('error', () => {});
  const peer = peerOf(socketFd(socket));
  // Whoever made this socket first would see all that is asked, and answer it as he likes.
  if (peer === null || (peer.uid !== ROOT && peer.uid !== process.geteuid?.())) {
    socket.destroy();
    throw new HostError(
      'ERR_HOST_UNTRUSTED',
      'The host at that address belongs to another user than root and you.',
      {
        facts: { socket: path, user: peer?.uid ?? null },
        hint: 'use a socket of root or your own',
      },
    );
  }
  if (post.send(socketFd(socket), greeting(), fds) !== ERRNO.SUCCESS) {
    socket.destroy();
    throw unreachable(path, 'it hung up');
  }
  return {
    say: (ask) => {
      if (socket.destroyed) return;
      socket.cork();
      for (const part of frameAsk(ask)) socket.write(part);
      socket.uncork();
    },
    tells: readTells(socket, path),
    close: () => socket.destroy(),
  };
}

async function* readTells(socket: Socket, path: string): AsyncGenerator<DoorTell> {
  const reader = new FrameReader(TELL_LIMITS);
  try {
    for await (const chunk of socket as AsyncIterable<Uint8Array>) {
      for (const { message } of reader.push(chunk)) yield readTell(message);
    }
  } catch (error) {
    if (error instanceof HostError) throw error;
    throw unreachable(path, errorCode(error) ?? 'an unknown error', error);
  }
}

export function unreachable(path: string, why: string, cause?: unknown): HostError {
  return new HostError('ERR_HOST_UNREACHABLE', `The host at ${path} does not answer: ${why}.`, {
    facts: { socket: path },
    hint: 'is stasis daemon running there? systemctl status stasis',
    cause,
  });
}
