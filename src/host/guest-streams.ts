/**
 * The guest's standard streams as this process hands them to a cell.
 *
 * Where it can be, a pipe or terminal is opened a second time, so that the cell may have it non-blocking:
 * that is a property of an open file description, and the one that this process was started with is
 * shared with the user's shell. It is never changed here.
 */
import { closeSync, constants, fstatSync, openSync } from 'node:fs';
import { isatty } from 'node:tty';
import type { GuestStreams } from '../cell/protocol.ts';

/** Descriptors of a cell behind those for control and log, in this order. */
export const STREAM_FDS = [5, 6, 7] as const;

/** The sockets that it listens at follow. */
export const FIRST_LISTENER_FD = 8;

export interface OpenedStreams {
  /** This process's descriptors that become STREAM_FDS; null where the cell's 0, 1 or 2 will do. */
  readonly hostFds: readonly (number | null)[];
  readonly streams: GuestStreams;
  /** To be called when the cell has them. */
  close(): void;
}

export interface StreamOptions {
  /** The guest has this process's streams; else it has no input, and its output goes to the log. */
  readonly inheritStdio: boolean;
  /** With `inheritStdio`: whether the input is among them. */
  readonly hasInput: boolean;
}

export function openGuestStreams({
  inheritStdio: inherit,
  hasInput,
}: StreamOptions): OpenedStreams {
  const hostFds = STREAM_FDS.map((_, stream) =>
    inherit && (stream > 0 || hasInput) ? openAgain(stream) : null,
  );
  const streamOf = (stream: 0 | 1 | 2) =>
    hostFds[stream] === null
      ? { fd: stream, isOwn: false }
      : { fd: STREAM_FDS[stream], isOwn: true };
  return {
    hostFds,
    streams: {
      stdin: streamOf(0),
      stdout: inherit ? streamOf(1) : null,
      stderr: inherit ? streamOf(2) : null,
    },
    close: () => {
      for (const fd of hostFds) if (fd !== null) closeSync(fd);
    },
  };
}

/** Null for what can't be opened again (a socket, another user's terminal) or need not be (a file). */
function openAgain(stream: number): number | null {
  try {
    if (!fstatSync(stream).isFIFO() && !isatty(stream)) return null;
    const access = stream === 0 ? constants.O_RDONLY : constants.O_WRONLY;
    const flags = access | constants.O_NONBLOCK | constants.O_NOCTTY;
    return openSync(`/proc/self/fd/${stream}`, flags);
  } catch {
    return null;
  }
}
