/**
 * A socket that listens, given to the guest when it was started.
 *
 * The host bound it: a cell can make no sockets. It is this process's like a granted directory, and stays
 * open through a checkpoint; a guest that closes its handle closes it for good.
 */
import { closeSync } from 'node:fs';
import { RIGHTS_OF_CONNECTIONS, RIGHTS_OF_LISTENERS } from '../abi/rights.ts';
import type { ListenerGrant } from './grants.ts';
import type { HandleFacts } from './handle-facts.ts';

export interface ListenerHandle extends HandleFacts {
  readonly kind: 'listener';
  readonly listener: Listener;
}

/** A granted socket: `hostFd` is -1 once it is closed. */
export interface Listener {
  readonly name: string;
  hostFd: number;
  /** A handle stands for it. */
  isHeld: boolean;
}

export function openListeners(grants: readonly ListenerGrant[]): readonly Listener[] {
  return grants.map(({ name, hostFd }) => ({ name, hostFd, isHeld: false }));
}

/** A new guest's handle. */
export function holdListener(listener: Listener): ListenerHandle {
  listener.isHeld = true;
  return {
    kind: 'listener',
    listener,
    flags: 0,
    rights: RIGHTS_OF_LISTENERS,
    rightsInheriting: RIGHTS_OF_CONNECTIONS,
  };
}

export function closeListener(listener: Listener): void {
  if (listener.hostFd < 0) return;
  closeSync(listener.hostFd);
  listener.hostFd = -1;
}
