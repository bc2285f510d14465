/**
 * Tells the supervisor how far a service is (sd_notify): a datagram to the socket that NOTIFY_SOCKET names.
 *
 * struct sockaddr_un: family u16, then the path; one that begins with `@` is in the abstract namespace, where a
 * NUL stands in the place of the `@`.
 */
import { closeSync } from 'node:fs';
import { ERRNO } from '../abi/errno.ts';
import { openNativeLibrary } from './library.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
const SOCK_CLOEXEC = 0x8_0000;
const MSG_NOSIGNAL = 0x4000;
const PATH_BYTES_MAX = 107;

const SIGNATURES = {
  socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  sendto: {
    arguments: ['int32', 'buffer', 'uint64', 'int32', 'buffer', 'uint32'],
    return: 'int64',
  },
} as const;

/** Says whether it was sent: nobody needs to be there. `socketPath`: NOTIFY_SOCKET, if it is set. */
export function notifySupervisor(socketPath: string | undefined, state: string): boolean {
  const path = Buffer.from(socketPath ?? '', 'utf8');
  if (path.length === 0 || path.length > PATH_BYTES_MAX) return false;
  const library = openNativeLibrary(
    SIGNATURES,
    ({ functions, errno }) =>
      functions.socket(-1, SOCK_DGRAM, 0) === -1 && errno() === ERRNO.AFNOSUPPORT,
  );
  if (library === null) return false;
  const { socket, sendto } = library.functions;
  const fd = Number(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (fd < 0) return false;
  const address = new Uint8Array(2 + path.length);
  address.set(path, 2);
  new DataView(address.buffer).setUint16(0, AF_UNIX, true);
  if (address[2] === '@'.charCodeAt(0)) address[2] = 0;
  const text = Uint8Array.from(Buffer.from(state, 'utf8'));
  const sent = sendto(fd, text, BigInt(text.length), MSG_NOSIGNAL, address, address.length);
  closeSync(fd);
  return Number(sent) === text.length;
}
