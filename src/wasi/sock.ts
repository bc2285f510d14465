/** Sockets: accepting connections on the listeners that a guest was given, and using them. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import { FDFLAGS, FDFLAGS_ALL, RIFLAGS, RIFLAGS_ALL, SDFLAGS, SDFLAGS_ALL } from '../abi/flags.ts';
import { RIGHT } from '../abi/rights.ts';
import type { ConnectionHandle } from '../handle/connection.ts';
import type { ListenerHandle } from '../handle/listener.ts';
import { INTERRUPTED } from '../resource/pause.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';
import { createRanges, readRanges } from './iovec.ts';
import { receive, send, socketCalls } from './socket-transfer.ts';

/** A connection that broke before it was taken; the next one may be there. */
const BROKEN_BEFORE: readonly number[] = [-ERRNO.CONNABORTED, -ERRNO.INTR, -ERRNO.PROTO];

export function sockCalls(environment: WasiEnvironment): Calls {
  const { memory, handles, connections, pause } = environment;
  const ranges = createRanges();

  /** The connection `fd`, or why there is none. */
  const held = (fd: number, right: number): ConnectionHandle | Errno => {
    const handle = handles.get(fd);
    if (handle === undefined) return ERRNO.BADF;
    if (handle.kind === 'listener') return ERRNO.NOTCONN;
    if (handle.kind !== 'connection') return ERRNO.NOTSOCK;
    return (handle.rights & right) === right ? handle : ERRNO.NOTCAPABLE;
  };

  /** The host's descriptor of the next connection, minus an errno, or `interrupted`. */
  const accept = ({ listener, flags }: ListenerHandle): number | 'interrupted' => {
    const { hostFd } = listener;
    for (;;) {
      const accepted = socketCalls(environment).accept(hostFd);
      if (BROKEN_BEFORE.includes(accepted)) continue;
      if (accepted !== -ERRNO.AGAIN || flags & FDFLAGS.NONBLOCK) return accepted;
      const descriptors = [{ hostFd, read: true, write: false }];
      if (pause.wait(null, { stdin: false, descriptors }) === 'interrupted') return 'interrupted';
    }
  };

  return {
    /**
     * `sock_accept`: the next connection of a listener. Waits until there is one, unless NONBLOCK is set
     * on the listener. Of `flags`, the fdflags of the new handle, NONBLOCK alone means something.
     *
     * Writes the number of the new handle, u32, at `result`.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket. INVAL: it is a connection, or `flags` has
     *   another flag than NONBLOCK.
     * - NOTCAPABLE: the right SOCK_ACCEPT is missing.
     * - FAULT: `result` + 4 lies past the end of memory; nothing was accepted.
     * - MFILE: no handle is free, or the host has no descriptor left; the connection waits.
     * - AGAIN: there is none yet, and NONBLOCK is set.
     *
     * Source: WASI snapshot preview1, `sock_accept`; compare accept4(2).
     */
    sock_accept: (fd: number, flags: number, result: number) => {
      const handle = handles.get(fd);
      if (handle === undefined) return ERRNO.BADF;
      if (handle.kind === 'connection') return ERRNO.INVAL;
      if (handle.kind !== 'listener') return ERRNO.NOTSOCK;
      if ((handle.rights & RIGHT.SOCK_ACCEPT) === 0) return ERRNO.NOTCAPABLE;
      if ((flags & ~FDFLAGS.NONBLOCK) !== 0) return ERRNO.INVAL;
      if (!memory.holds(result, 4)) return ERRNO.FAULT;
      if (handles.refuses(false)) return ERRNO.MFILE;
      const hostFd = accept(handle);
      if (hostFd === 'interrupted') return INTERRUPTED;
      if (hostFd < 0) return -hostFd;
      const number = handles.insert({
        kind: 'connection',
        hostFd,
        serial: connections.add(hostFd),
        flags: flags & FDFLAGS_ALL,
        rights: handle.rightsInheriting,
        rightsInheriting: 0,
      })!;
      memory.view.setUint32(result >>> 0, number, true);
      return ERRNO.SUCCESS;
    },

    /**
     * `sock_recv`: bytes from a connection. Waits until there are some, unless NONBLOCK is set. 0 bytes
     * are the end. With PEEK they stay to be received again; with WAITALL the call waits until the
     * buffers are full, unless NONBLOCK or PEEK is set.
     *
     * Writes into the `count` iovecs at `iovecs`, in order; the bytes received, u32, at `size`, and 0,
     * u16, at `outFlags`: no part of a stream is cut off.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket. NOTCONN: it is a listener.
     * - INVAL: a flag that doesn't exist; more than 1024 iovecs, or 4 GiB or more in all.
     * - FAULT: the iovecs, a buffer, `size` or `outFlags` isn't within memory; nothing was received.
     * - NOTCAPABLE: the right FD_READ is missing.
     * - AGAIN: nothing there yet, and NONBLOCK is set.
     * - CONNRESET: the other side broke off, or the guest was restored since.
     *
     * Source: WASI snapshot preview1, `sock_recv`; compare recvmsg(2).
     */
    sock_recv: (
      fd: number,
      iovecs: number,
      count: number,
      flags: number,
      size: number,
      outFlags: number,
    ) => {
      const connection = held(fd, RIGHT.FD_READ);
      if (typeof connection === 'number') return connection;
      if ((flags & ~RIFLAGS_ALL) !== 0) return ERRNO.INVAL;
      if (!memory.holds(size, 4) || !memory.holds(outFlags, 2)) return ERRNO.FAULT;
      const errno = readRanges(memory, iovecs, count, ranges);
      if (errno !== ERRNO.SUCCESS) return errno;
      const received = receive(environment, connection, ranges, {
        peek: (flags & RIFLAGS.PEEK) !== 0,
        waitAll: (flags & RIFLAGS.WAITALL) !== 0,
      });
      if (received === 'interrupted') return INTERRUPTED;
      if (received < 0) return -received;
      memory.view.setUint32(size >>> 0, received, true);
      memory.view.setUint16(outFlags >>> 0, 0, true);
      return ERRNO.SUCCESS;
    },

    /**
     * `sock_send`: bytes to a connection. Waits until all are on their way, unless NONBLOCK is set.
     *
     * Takes the `count` ciovecs at `iovecs`, in order, and writes the bytes sent, u32, at `size`.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket. NOTCONN: it is a listener.
     * - INVAL: `flags` is not 0; more than 1024 ciovecs, or 4 GiB or more in all.
     * - FAULT: the ciovecs, a buffer or `size` isn't within memory; nothing was sent.
     * - NOTCAPABLE: the right FD_WRITE is missing.
     * - AGAIN: no room yet, and NONBLOCK is set.
     * - PIPE, CONNRESET: the other side is gone, or (CONNRESET) the guest was restored since.
     *
     * Source: WASI snapshot preview1, `sock_send`; compare sendmsg(2) with MSG_NOSIGNAL.
     */
    sock_send: (fd: number, iovecs: number, count: number, flags: number, size: number) => {
      const connection = held(fd, RIGHT.FD_WRITE);
      if (typeof connection === 'number') return connection;
      if (flags !== 0) return ERRNO.INVAL;
      if (!memory.holds(size, 4)) return ERRNO.FAULT;
      const errno = readRanges(memory, iovecs, count, ranges);
      if (errno !== ERRNO.SUCCESS) return errno;
      const sent = send(environment, connection, ranges);
      if (sent === 'interrupted') return INTERRUPTED;
      if (sent < 0) return -sent;
      memory.view.setUint32(size >>> 0, sent, true);
      return ERRNO.SUCCESS;
    },

    /**
     * `sock_shutdown`: ends receiving (RD), sending (WR) or both; the handle stays open.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket.
     * - NOTCONN: it is a listener, or the connection is gone.
     * - INVAL: `how` is 0 or has another flag.
     * - NOTCAPABLE: the right SOCK_SHUTDOWN is missing.
     *
     * Source: WASI snapshot preview1, `sock_shutdown`; compare shutdown(2).
     */
    sock_shutdown: (fd: number, how: number) => {
      const connection = held(fd, RIGHT.SOCK_SHUTDOWN);
      if (typeof connection === 'number') return connection;
      if (how === 0 || (how & ~SDFLAGS_ALL) !== 0) return ERRNO.INVAL;
      if (connection.hostFd < 0) return ERRNO.NOTCONN;
      const ways = how === SDFLAGS_ALL ? 'both' : how === SDFLAGS.RD ? 'read' : 'write';
      return socketCalls(environment).shutdown(connection.hostFd, ways);
    },
  };
}
