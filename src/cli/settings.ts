/**
 * What the command line takes from its surroundings: environment, user, terminal, engine. Read once,
 * here, and handed on; no other room looks.
 */
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { HostError } from '../fault/host-error.ts';
import { type Places, placesUnder } from '../host/places.ts';
import type { PolicyPlace } from '../host/policy-file.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { Requester } from '../vault/checkpoint-info.ts';

/** Plain data, so that it can be handed to a detached host. */
export interface Settings {
  readonly home: string;
  readonly shortSockets: string;
  /** `uid:N`, from the kernel. */
  readonly owner: string;
  readonly policy: PolicyPlace;
  /** The user whom this process works for, when that is another one than its own. */
  readonly served: UserIds | null;
}

export function readSettings(environment: NodeJS.ProcessEnv): Settings {
  const uid = process.getuid?.();
  if (uid === undefined) {
    throw new HostError('ERR_STATE_ACCESS', 'This system does not tell who the user is.');
  }
  const state = environment['XDG_STATE_HOME'];
  // Empty counts as unset: it would mean the working directory.
  const home = resolve(
    environment['STASIS_HOME'] ||
      join(state?.startsWith('/') ? state : join(homedir(), '.local', 'state'), 'stasis'),
  );
  return {
    home,
    shortSockets: join(tmpdir(), `stasis-${uid}`),
    owner: `uid:${uid}`,
    policy: policyPlace(home, environment['STASIS_POLICY'] || null),
    served: null,
  };
}

/** The file that was named, else the one in the state directory, if there is one. */
export function policyPlace(home: string, named: string | null): PolicyPlace {
  return named === null
    ? { path: join(home, 'policy.json'), named: false }
    : { path: resolve(named), named: true };
}

export function settingsPlaces(settings: Settings): Places {
  const { home, shortSockets, owner, served } = settings;
  return placesUnder(home, shortSockets, served === null ? null : owner);
}

export function settingsRequester(settings: Settings): Requester {
  return { owner: settings.owner, entry: 'cli' };
}
