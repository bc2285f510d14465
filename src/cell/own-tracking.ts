/** What a cell needs to see what is written in its own memory; opened before it is confined. */
import { closeSync } from 'node:fs';
import { descriptorPost } from '../native/descriptors.ts';
import { openTracking, type TrackingFds } from '../native/write-tracking.ts';

/**
 * `pagemapFrom`: the socket where the host has laid down the descriptor of this process's page map, if it could
 * open it. Landlock holds a cell from its first instruction on, and lets it open nothing below `/proc`.
 */
export function openOwnTracking(pagemapFrom: number | null): TrackingFds | null {
  if (pagemapFrom === null) return openTracking();
  // It was sent before the message that names the socket.
  const received = descriptorPost()?.receive(pagemapFrom, { bytesMax: 1, fdsMax: 1, timeoutMs: 0 });
  closeSync(pagemapFrom);
  const [pagemapFd] = received?.fds ?? [];
  return pagemapFd === undefined ? null : openTracking(pagemapFd);
}
