/**
 * What the command line takes from its surroundings: environment, user, terminal, engine. Read once,
 * here, and handed on; no other room looks.
 */
import { existsSync } from 'node:fs';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import type { RestoreSelector } from '../checkpoint/restore.ts';
import { HostError } from '../fault/host-error.ts';
import { type Places, placesUnder } from '../host/places.ts';
import type { PolicyPlace } from '../host/policy-file.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { Requester } from '../vault/checkpoint-info.ts';
import type { KeyPlace } from '../vault/master-key.ts';

/** Plain data, so that it can be handed to a detached host. */
export interface Settings {
  readonly home: string;
  readonly shortSockets: string;
  /** `uid:N`, from the kernel. */
  readonly owner: string;
  readonly policy: PolicyPlace;
  /** The user whom this process works for, when that is another one than its own. */
  readonly served: UserIds | null;
  /** Where the vault's key is, when it is not in the state directory. */
  readonly key: KeyPlace | null;
  /** The vault's witness, if it has one. */
  readonly witness: string | null;
}

/** What the vault's options say; each over the environment. */
export interface VaultOptionTexts {
  readonly keyFile?: string;
  readonly keyFd?: string;
  readonly witness?: string;
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
      join(state?.startsWith('/') ? state : join(homeDirectory(uid), '.local', 'state'), 'stasis'),
  );
  return {
    home,
    shortSockets: join(tmpdir(), `stasis-${uid}`),
    owner: `uid:${uid}`,
    policy: policyPlace(home, environment['STASIS_POLICY'] || null),
    served: null,
    key: keyFromEnvironment(environment),
    witness: witnessPath(environment['STASIS_WITNESS']),
  };
}

/** A file that was named, a descriptor, or what the service manager hands over, in this order. */
function keyFromEnvironment(environment: NodeJS.ProcessEnv): KeyPlace | null {
  const file = environment['STASIS_KEY_FILE'];
  if (file) return { kind: 'file', path: resolve(file) };
  const fd = environment['STASIS_KEY_FD'];
  if (fd) return { kind: 'descriptor', fd: parseDescriptor(fd) };
  const credentials = environment['CREDENTIALS_DIRECTORY'];
  if (!credentials) return null;
  const path = join(credentials, 'stasis.key');
  return existsSync(path) ? { kind: 'credential', path } : null;
}

function witnessPath(text: string | undefined): string | null {
  return text ? resolve(text) : null;
}

/** Throws ERR_USAGE. The standard descriptors are the guest's. */
export function parseDescriptor(text: string): number {
  if (/^[0-9]{1,4}$/.test(text) && Number(text) > 2) return Number(text);
  throw new HostError('ERR_USAGE', `${JSON.stringify(text)} is no descriptor for a key.`, {
    hint: 'write a number from 3 on, such as --key-fd 3, and 3<key.file behind the command',
  });
}

/** The settings as the command line's own options change them. Throws ERR_USAGE. */
export function withVaultOptions(
  settings: Settings,
  { keyFile, keyFd, witness }: VaultOptionTexts,
): Settings {
  if (keyFile !== undefined && keyFd !== undefined) {
    throw new HostError(
      'ERR_USAGE',
      'The key comes from a file or from a descriptor, not from both.',
    );
  }
  const key: KeyPlace | null =
    keyFile !== undefined
      ? { kind: 'file', path: resolve(keyFile) }
      : keyFd !== undefined
        ? { kind: 'descriptor', fd: parseDescriptor(keyFd) }
        : settings.key;
  return { ...settings, key, witness: witnessPath(witness) ?? settings.witness };
}

/**
 * A user whom the system has no entry for has no home; nor needs one to ask a host behind a socket. The name
 * is the one that such users get: a directory that nobody can make.
 */
function homeDirectory(uid: number): string {
  try {
    return homedir();
  } catch (cause) {
    if (uid !== 0) return '/nonexistent';
    throw new HostError('ERR_STATE_ACCESS', 'This system does not tell where your home is.', {
      hint: 'set STASIS_HOME',
      cause,
    });
  }
}

/** The file that was named, else the one in the state directory, if there is one. */
export function policyPlace(home: string, named: string | null): PolicyPlace {
  return named === null
    ? { path: join(home, 'policy.json'), named: false }
    : { path: resolve(named), named: true };
}

export function settingsPlaces(settings: Settings): Places {
  const { home, shortSockets, owner, served, key, witness } = settings;
  const places = placesUnder(home, shortSockets, served === null ? null : owner);
  return { ...places, vaultKey: key ?? places.vaultKey, witness };
}

export function settingsRequester(settings: Settings): Requester {
  return { owner: settings.owner, entry: 'cli' };
}

/** Whose checkpoints, and who asks. */
export function requesterOf(
  settings: Settings,
  { owner }: Pick<RestoreSelector, 'owner'>,
): Requester {
  const own = settingsRequester(settings);
  if (owner === undefined || owner === own.owner) return own;
  return { ...own, owner, operator: own.owner };
}
