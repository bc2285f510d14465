/**
 * The sockets that `--listen` grants, bound by the host: a cell has no way to make one.
 *
 * Node's own servers accept connections as soon as they listen. These must wait for the guest, so they are
 * made by the C library (`native/library.ts`); where there is none, listening is refused by name.
 *
 * Addresses, big-endian port and address: sockaddr_in 16 bytes (family u16 host order 0, port u16 2,
 * address 4), sockaddr_in6 28 bytes (family 0, port 2, address 8, 16 bytes long).
 */
import { closeSync } from 'node:fs';
import { isIP } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { ERRNO, type Errno } from '../abi/errno.ts';
import { HostError } from '../fault/host-error.ts';
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';
import { withUserRights } from '../native/user-rights.ts';
import { ipv6Bytes } from './ipv6-bytes.ts';

/** As a user asked for it. */
export interface ListenRequest {
  /** By which the guest's images know the socket. */
  readonly name: string;
  /** A name or an address, without brackets. */
  readonly host: string;
  /** 0: any that is free. */
  readonly port: number;
  /** The port that was found free for the run before; taken again if it is free now. */
  readonly lastPort?: number;
}

export interface BoundSocket {
  readonly request: ListenRequest;
  /** `HOST:PORT`, with the port that it is. */
  readonly address: string;
  readonly port: number;
  readonly hostFd: number;
}

const AF_INET = 2;
const AF_INET6 = 10;
const SOCK_STREAM = 1;
const SOCK_NONBLOCK = 0x800;
const SOCK_CLOEXEC = 0x8_0000;
const SOL_SOCKET = 1;
const SO_REUSEADDR = 2;
const BACKLOG = 511;
const ADDRESS_BYTES = 28;
/** A cell that was killed just now lets go of its port when the system has cleaned up after it. */
const AGAIN_MS = 50;
const AGAIN_TIMES = 20;

const SIGNATURES = {
  socket: { arguments: ['int32', 'int32', 'int32'], return: 'int32' },
  setsockopt: { arguments: ['int32', 'int32', 'int32', 'buffer', 'uint32'], return: 'int32' },
  bind: { arguments: ['int32', 'buffer', 'uint32'], return: 'int32' },
  listen: { arguments: ['int32', 'int32'], return: 'int32' },
  getsockname: { arguments: ['int32', 'buffer', 'buffer'], return: 'int32' },
} as const;

type Library = NativeLibrary<typeof SIGNATURES>;

/** Binds them all or none. Throws HostError ERR_CANNOT_LISTEN. */
export async function bindSockets(
  requests: readonly ListenRequest[],
): Promise<readonly BoundSocket[]> {
  if (requests.length === 0) return [];
  const library = openNativeLibrary(
    SIGNATURES,
    ({ functions, errno }) => functions.listen(-1, 1) === -1 && errno() === ERRNO.BADF,
  );
  if (library === null) {
    throw new HostError('ERR_CANNOT_LISTEN', 'A guest can not listen on this system.', {
      facts: { system: `${process.platform} ${process.arch}` },
      hint: 'run it on Linux, without --listen elsewhere',
    });
  }
  const bound: BoundSocket[] = [];
  try {
    for (const request of requests) bound.push(await bindSocket(library, request));
    return bound;
  } catch (error) {
    closeSockets(bound);
    throw error;
  }
}

/** Lets go of this process's descriptors, when the cell has its own. */
export function closeSockets(sockets: readonly BoundSocket[]): void {
  for (const { hostFd } of sockets) closeSync(hostFd);
}

async function bindSocket(library: Library, request: ListenRequest): Promise<BoundSocket> {
  const ip = await addressOf(request);
  const { lastPort } = request;
  if (request.port === 0 && lastPort !== undefined) {
    const hostFd = withUserRights(() => tryBind(library, ip, lastPort));
    if (hostFd >= 0) return boundAs(library, request, ip, hostFd);
  }
  for (let turn = 0; ; turn += 1) {
    const hostFd = withUserRights(() => tryBind(library, ip, request.port));
    if (hostFd >= 0) return boundAs(library, request, ip, hostFd);
    if (hostFd !== -ERRNO.ADDRINUSE || turn === AGAIN_TIMES) throw notBound(request, -hostFd);
    await sleep(AGAIN_MS);
  }
}

/** A descriptor that listens, or minus an errno. */
function tryBind({ functions, errno }: Library, ip: string, port: number): number {
  const family = isIP(ip) === 6 ? AF_INET6 : AF_INET;
  const hostFd = Number(functions.socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
  if (hostFd < 0) return -errno();
  const address = socketAddress(ip, port);
  const yes = new Uint8Array(new Int32Array([1]).buffer);
  functions.setsockopt(hostFd, SOL_SOCKET, SO_REUSEADDR, yes, yes.length);
  if (
    functions.bind(hostFd, address, address.length) === 0 &&
    functions.listen(hostFd, BACKLOG) === 0
  ) {
    return hostFd;
  }
  const failure = errno();
  closeSync(hostFd);
  return -failure;
}

function boundAs(
  { functions }: Library,
  request: ListenRequest,
  ip: string,
  hostFd: number,
): BoundSocket {
  const address = new Uint8Array(ADDRESS_BYTES);
  const size = new Uint8Array(new Uint32Array([ADDRESS_BYTES]).buffer);
  functions.getsockname(hostFd, address, size);
  const port = new DataView(address.buffer).getUint16(2);
  return { request, address: showAddress(ip, port), port, hostFd };
}

/** `HOST:PORT`, with brackets around an address of IPv6. */
export function showAddress(host: string, port: number): string {
  return `${host.includes(':') ? `[${host}]` : host}:${port}`;
}

function socketAddress(ip: string, port: number): Uint8Array {
  const isV6 = isIP(ip) === 6;
  const bytes = new Uint8Array(isV6 ? ADDRESS_BYTES : 16);
  const view = new DataView(bytes.buffer);
  view.setUint16(0, isV6 ? AF_INET6 : AF_INET, true);
  view.setUint16(2, port);
  if (isV6) bytes.set(ipv6Bytes(ip), 8);
  else bytes.set(ip.split('.').map(Number), 4);
  return bytes;
}

async function addressOf(request: ListenRequest): Promise<string> {
  if (isIP(request.host) !== 0) return request.host;
  try {
    const { lookup } = await import('node:dns/promises');
    return (await lookup(request.host)).address;
  } catch (cause) {
    throw new HostError('ERR_CANNOT_LISTEN', `There is no host ${JSON.stringify(request.host)}.`, {
      cause,
      facts: { listen: showAddress(request.host, request.port) },
      hint: 'write an address of this machine, such as 127.0.0.1 or [::1]',
    });
  }
}

const REASONS: Partial<Record<Errno, readonly [why: string, hint: string]>> = {
  [ERRNO.ADDRINUSE]: [
    'it is taken',
    'stop who listens there, or name another port; 0 takes any that is free',
  ],
  [ERRNO.ADDRNOTAVAIL]: ['it is no address of this machine', 'name one of this machine'],
  [ERRNO.ACCES]: ['that port needs privileges', 'name a port from 1024 on'],
  [ERRNO.AFNOSUPPORT]: ['this system has no such network', 'name an address of the other family'],
};

function notBound(request: ListenRequest, errno: number): HostError {
  const { name, host, port } = request;
  const shown = showAddress(host, port);
  const [why, hint] = REASONS[errno as Errno] ?? ['the system refuses', 'name another address'];
  return new HostError('ERR_CANNOT_LISTEN', `The guest can not listen at ${shown}: ${why}.`, {
    facts: { listen: shown, errno },
    // A guest that is restored knows the socket by its name, wherever it is.
    hint: `${hint}; a restore takes --listen OTHER=${name}`,
  });
}
