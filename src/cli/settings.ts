/**
 * What the command line takes from its surroundings: environment, user, terminal, engine. Read once,
 * here, and handed on; no other room looks.
 */
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { type Places, placesUnder } from '../host/places.ts';
import type { Requester } from '../vault/checkpoint-info.ts';

/** Plain data, so that it can be handed to a detached host. */
export interface Settings {
  readonly home: string;
  readonly shortSockets: string;
  /** `uid:N`, from the kernel. */
  readonly owner: string;
}

export function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const uid = process.getuid?.();
  if (uid === undefined) {
    throw new HostError('ERR_STATE_ACCESS', 'This system does not tell who the user is.');
  }
  const state = environment['XDG_STATE_HOME'];
  // Empty counts as unset: it would mean the working directory.
  const home =
    environment['STASIS_HOME'] ||
    join(state?.startsWith('/') ? state : join(homedir(), '.local', 'state'), 'stasis');
  return {
    home: resolve(home),
    shortSockets: join(tmpdir(), `stasis-${uid}`),
    owner: `uid:${uid}`,
  };
}

export function settingsPlaces(settings: Settings): Places {
  return placesUnder(settings.home, settings.shortSockets);
}

export function settingsRequester(settings: Settings): Requester {
  return { owner: settings.owner, entry: 'cli' };
}
