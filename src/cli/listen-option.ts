/** `--listen HOST:PORT[=NAME]`: a socket that the guest may accept connections on. */
import { isIP } from 'node:net';
import { HostError } from '../fault/host-error.ts';
import { type ListenRequest, showAddress } from '../host/listening-socket.ts';

const PORT_MAX = 65_535;
/** More than anybody needs; each is a descriptor of the cell from its start on. */
const LISTENERS_MAX = 64;
const NAME_LENGTH_MAX = 255;

/** `others`: the sockets named before, none of which has the same name. */
export function readListen(text: string, others: readonly ListenRequest[]): ListenRequest {
  const [, bracketed, plain, digits, given] =
    /^(?:\[([^\]]*)\]|([^:[\]=]*)):(\d{1,5})(?:=(.+))?$/.exec(text) ?? [];
  const host = bracketed ?? plain ?? '';
  const port = Number(digits);
  const isHost = bracketed === undefined ? /^[\w.-]+$/.test(host) : isIP(host) === 6;
  // A zone, as in fe80::1%eth0, is no part of an address.
  if (!isHost || host.includes('%') || !(port <= PORT_MAX)) {
    throw wrong(`${JSON.stringify(text)} is no address to listen at.`);
  }
  const name = given ?? showAddress(host, port);
  if (name.length > NAME_LENGTH_MAX) throw wrong('A name is 255 characters long at most.');
  if (others.length === LISTENERS_MAX) throw wrong(`A guest has ${LISTENERS_MAX} sockets at most.`);
  if (others.some((other) => other.name === name)) {
    throw wrong(`Two sockets have the name ${JSON.stringify(name)}.`);
  }
  return { name, host, port };
}

function wrong(message: string): HostError {
  return new HostError('ERR_USAGE', message, {
    facts: { option: '--listen' },
    hint: 'write --listen HOST:PORT or --listen HOST:PORT=NAME, such as 127.0.0.1:8080 or [::1]:0=web',
  });
}
