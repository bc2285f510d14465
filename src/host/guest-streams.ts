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
import { withUserRights } from '../native/user-rights.ts';

/** Descriptors of a cell behind those for control and log, in this order. */
export const STREAM_FDS = [5, 6, 7] as const;

/** The sockets that it listens at follow. */
export const FIRST_LISTENER_FD = 8;

/** Descriptors of this process: input (null: at its end from the start), output, errors. */
export type GuestStdio = readonly [number | null, number, number];

/** Those of this process itself. */
export const OWN_STDIO: GuestStdio = [0, 1, 2];

export function withoutInput(stdio: GuestStdio | null): GuestStdio | null {
  return stdio === null ? null : [null, stdio[1], stdio[2]];
}

export interface OpenedStreams {
  /** This process's descriptors that become STREAM_FDS; null where the cell's 0, 1 or 2 will do. */
  readonly hostFds: readonly (number | null)[];
  readonly streams: GuestStreams;
  /** To be called when the cell has them. */
  close(): void;
}

/** `stdio`: what the guest has; null: it has no input, and its output goes to the log. */
export function openGuestStreams(stdio: GuestStdio | null): OpenedStreams {
  // With the rights of whoever handed them over: a descriptor for reading must not become one for writing.
  const hostFds = (stdio ?? [null, null, null]).map((fd, stream) =>
    fd === null ? null : withUserRights(() => openAgain(fd, stream === 0)),
  );
  const streamOf = (stream: 0 | 1 | 2) =>
    hostFds[stream] === null
      ? { fd: stream, isOwn: false }
      : { fd: STREAM_FDS[stream], isOwn: true };
  return {
    hostFds,
    streams: {
      stdin: streamOf(0),
      stdout: stdio === null ? null : streamOf(1),
      stderr: stdio === null ? null : streamOf(2),
    },
    close: () => {
      for (const fd of hostFds) if (fd !== null) closeSync(fd);
    },
  };
}

/** Null for what can't be opened again (a socket, another user's terminal) or need not be (a file). */
function openAgain(fd: number, reads: boolean): number | null {
  try {
    if (!fstatSync(fd).isFIFO() && !isatty(fd)) return null;
    const access = reads ? constants.O_RDONLY : constants.O_WRONLY;
    const flags = access | constants.O_NONBLOCK | constants.O_NOCTTY;
    return openSync(`/proc/self/fd/${fd}`, flags);
  } catch {
    return null;
  }
}
