/** Sockets: a guest is given none, so no handle is one. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { Calls } from './calls.ts';
import type { WasiEnvironment } from './environment.ts';

export function sockCalls({ handles }: WasiEnvironment): Calls {
  const notSocket = (fd: number): Errno =>
    handles.get(fd) === undefined ? ERRNO.BADF : ERRNO.NOTSOCK;
  return {
    /**
     * `sock_accept`: a new connection of a listening socket.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket.
     *
     * Source: WASI snapshot preview1, `sock_accept`.
     */
    sock_accept: (fd: number, _flags: number, _result: number) => notSocket(fd),

    /**
     * `sock_recv`: a message from a socket.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket.
     *
     * Source: WASI snapshot preview1, `sock_recv`.
     */
    sock_recv: (
      fd: number,
      _iovecs: number,
      _count: number,
      _flags: number,
      _size: number,
      _outFlags: number,
    ) => notSocket(fd),

    /**
     * `sock_send`: a message to a socket.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket.
     *
     * Source: WASI snapshot preview1, `sock_send`.
     */
    sock_send: (fd: number, _iovecs: number, _count: number, _flags: number, _size: number) =>
      notSocket(fd),

    /**
     * `sock_shutdown`: ends one or both directions of a socket.
     *
     * - BADF: `fd` is not open. NOTSOCK: it is no socket.
     *
     * Source: WASI snapshot preview1, `sock_shutdown`.
     */
    sock_shutdown: (fd: number, _how: number) => notSocket(fd),
  };
}
