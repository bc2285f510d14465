/**
 * Moving bytes between a guest's memory and its connections.
 *
 * The host's descriptors never block. A handle without NONBLOCK waits here instead, where a request for
 * a checkpoint ends the wait; then the progress is how many bytes were moved, which are in the
 * guest's memory or on their way. In another process the connection is gone: what was moved is told, or,
 * if nothing was, CONNRESET.
 */
import { ERRNO } from '../abi/errno.ts';
import { FDFLAGS } from '../abi/flags.ts';
import type { CborValue } from '../cbor/cbor.ts';
import { assert } from '../fault/assert.ts';
import type { ConnectionHandle } from '../handle/connection.ts';
import type { NativeDescriptors } from '../handle/native-descriptors.ts';
import type { WasiEnvironment } from './environment.ts';
import { between, type Ranges, scatter, viewsOf } from './iovec.ts';

/** What one call moves at most; the guest is told how much it was. Bounds its time. */
const TRANSFER_BYTES_MAX = 16 * 2 ** 20;
/** What a look ahead shows at most: a receive buffer seldom holds more. */
const PEEK_BYTES_MAX = 65_536;

export interface ReceiveFlags {
  readonly peek: boolean;
  readonly waitAll: boolean;
}

export const PLAIN: ReceiveFlags = { peek: false, waitAll: false };

/** Whoever has a socket has the calls for it. */
export function socketCalls({ native }: WasiEnvironment): NativeDescriptors {
  assert(native !== null, 'sockets are granted only where there are calls for them');
  return native;
}

/** Bytes received, 0 at the end, minus an errno, or `interrupted`. */
export function receive(
  environment: WasiEnvironment,
  connection: ConnectionHandle,
  ranges: Ranges,
  { peek, waitAll }: ReceiveFlags,
): number | 'interrupted' {
  const take = (views: readonly Uint8Array[]): Moved =>
    peek
      ? look(environment, connection, ranges)
      : moveEach(views, (view) => socketCalls(environment).receive(connection.hostFd, view, false));
  return move(environment, connection, ranges, {
    take,
    waitsForAll: waitAll && !peek,
    awaited: { hostFd: connection.hostFd, read: true, write: false },
  });
}

/** Bytes sent, minus an errno, or `interrupted`. Without NONBLOCK all of them are. */
export function send(
  environment: WasiEnvironment,
  connection: ConnectionHandle,
  ranges: Ranges,
): number | 'interrupted' {
  const { hostFd } = connection;
  return move(environment, connection, ranges, {
    take: (views) => moveEach(views, (view) => socketCalls(environment).send(hostFd, view)),
    waitsForAll: true,
    awaited: { hostFd, read: false, write: true },
  });
}

interface Moved {
  readonly bytes: number;
  /** Why there are no more: minus an errno, 0 at the end, null when all were moved. */
  readonly stop: number | null;
}

interface Direction {
  readonly take: (views: readonly Uint8Array[]) => Moved;
  readonly waitsForAll: boolean;
  readonly awaited: { readonly hostFd: number; readonly read: boolean; readonly write: boolean };
}

function move(
  environment: WasiEnvironment,
  { hostFd, flags }: ConnectionHandle,
  ranges: Ranges,
  { take, waitsForAll, awaited }: Direction,
): number | 'interrupted' {
  const total = Math.min(ranges.totalBytes, TRANSFER_BYTES_MAX);
  let done = waitsForAll ? movedBefore(environment.progress, total) : 0;
  environment.progress = null;
  if (hostFd < 0) return done > 0 ? done : -ERRNO.CONNRESET;
  const views = viewsOf(environment.memory, ranges);
  while (done < total) {
    const { bytes, stop } = take(between(views, done, total));
    done += bytes;
    if (stop === 0) return done;
    if (stop !== null && stop !== -ERRNO.AGAIN) return done > 0 ? done : stop;
    if (done === total || (done > 0 && !waitsForAll)) return done;
    if (flags & FDFLAGS.NONBLOCK) return done > 0 ? done : -ERRNO.AGAIN;
    const waited = environment.pause.wait(null, { stdin: false, descriptors: [awaited] });
    if (waited === 'interrupted') {
      environment.progress = done > 0 ? done : null;
      return 'interrupted';
    }
  }
  return done;
}

/** Fills or empties the views one after the other, as far as that goes at once. */
function moveEach(views: readonly Uint8Array[], moveOne: (view: Uint8Array) => number): Moved {
  let bytes = 0;
  for (const view of views) {
    const moved = moveOne(view);
    if (moved <= 0) return { bytes, stop: moved };
    bytes += moved;
    if (moved < view.length) return { bytes, stop: -ERRNO.AGAIN };
  }
  return { bytes, stop: null };
}

/** A second look would show the same bytes, so one fills all ranges. */
function look(environment: WasiEnvironment, { hostFd }: ConnectionHandle, ranges: Ranges): Moved {
  const seen = new Uint8Array(Math.min(ranges.totalBytes, PEEK_BYTES_MAX));
  const bytes = socketCalls(environment).receive(hostFd, seen, true);
  if (bytes <= 0) return { bytes: 0, stop: bytes };
  scatter(environment.memory, ranges, seen.subarray(0, bytes));
  return { bytes, stop: -ERRNO.AGAIN };
}

/** What a call that was captured had moved; an image that says too much is not believed. */
function movedBefore(progress: CborValue, total: number): number {
  if (typeof progress !== 'number' || !Number.isInteger(progress)) return 0;
  return progress > 0 && progress <= total ? progress : 0;
}
