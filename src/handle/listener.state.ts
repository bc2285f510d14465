/**
 * How a listening socket goes through a checkpoint: by its name. What stands for that name is today's
 * `--listen`; an address in an image grants nothing, so there is none.
 */
import { FDFLAGS_ALL } from '../abi/flags.ts';
import { RIGHTS_ALL, RIGHTS_OF_CONNECTIONS, RIGHTS_OF_LISTENERS } from '../abi/rights.ts';
import { integer, mapOf, type ShapeOf, text } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import { showGuestText } from './guest-text.ts';
import type { Listener, ListenerHandle } from './listener.ts';

const NAME_LENGTH_MAX = 1024;

export const listenerShape = mapOf({
  name: text(NAME_LENGTH_MAX),
  flags: integer(0, FDFLAGS_ALL),
  rights: integer(0, RIGHTS_ALL),
  rightsInheriting: integer(0, RIGHTS_ALL),
});

export type ListenerState = ShapeOf<typeof listenerShape>;

export function captureListener(handle: ListenerHandle): ListenerState {
  const { listener, flags, rights, rightsInheriting } = handle;
  return { name: listener.name, flags, rights, rightsInheriting };
}

/** Throws HostError ERR_RESOURCE_NOT_GRANTED. */
export function rebuildListener(
  state: ListenerState,
  listeners: readonly Listener[],
): ListenerHandle {
  const listener = listeners.find(
    ({ name, hostFd, isHeld }) => name === state.name && hostFd >= 0 && !isHeld,
  );
  if (listener === undefined) {
    const shown = showGuestText(state.name);
    throw new HostError(
      'ERR_RESOURCE_NOT_GRANTED',
      `The guest listens at ${shown}, which is not granted now.`,
      { facts: { listener: shown }, hint: `grant it with --listen ADDRESS=${state.name}` },
    );
  }
  listener.isHeld = true;
  return {
    kind: 'listener',
    listener,
    flags: state.flags,
    rights: state.rights & RIGHTS_OF_LISTENERS,
    rightsInheriting: state.rightsInheriting & RIGHTS_OF_CONNECTIONS,
  };
}
