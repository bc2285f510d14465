/**
 * How a connection goes through a checkpoint: it stays in the process that has it and is gone in any
 * other. The serial number in an image means nothing there: numbers are looked up only on the way back
 * from a capture in the same process.
 */
import { FDFLAGS_ALL } from '../abi/flags.ts';
import { RIGHTS_ALL, RIGHTS_OF_CONNECTIONS } from '../abi/rights.ts';
import { integer, mapOf, type ShapeOf } from '../cbor/shape.ts';
import type { Reason } from '../resource/provider.ts';
import type { ConnectionHandle, Connections } from './connection.ts';

export const connectionShape = mapOf({
  serial: integer(0),
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
});

export type ConnectionState = ShapeOf<typeof connectionShape>;

export function captureConnection({ serial, flags, rights }: ConnectionHandle): ConnectionState {
  return { serial, flags, rights };
}

export function rebuildConnection(
  { serial, flags, rights }: ConnectionState,
  connections: Connections,
  reason: Reason,
): ConnectionHandle {
  const isHere = reason === 'resumed' || reason === 'aborted';
  const hostFd = isHere ? connections.hostFd(serial) : undefined;
  return {
    kind: 'connection',
    hostFd: hostFd ?? -1,
    serial: hostFd === undefined ? 0 : serial,
    flags,
    rights: rights & RIGHTS_OF_CONNECTIONS,
    rightsInheriting: 0,
  };
}
