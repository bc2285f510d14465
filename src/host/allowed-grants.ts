/**
 * Holds what a request would give to a guest against what the owner's policy allows. Asked before anything
 * is opened, at a start and at a restore alike: what was allowed yesterday counts for nothing.
 */
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import { withUserRights } from '../native/user-rights.ts';
import type { DirectoryBound, GrantBounds } from './policy.ts';
import type { RunRequest } from './run-request.ts';
import { truePath } from './true-path.ts';

/** Each thing that is asked for and not allowed, in words. */
export function grantsBeyond(request: RunRequest, bounds: GrantBounds): string[] {
  const { pools = [], kv = [], providers = [], providerPaths = [], listen = [] } = request;
  return [
    ...request.preopens
      .filter(({ hostPath, readOnly }) => !holdsDirectory(bounds.dirs, hostPath, readOnly))
      .map(({ hostPath, readOnly }) => directoryWords(hostPath, readOnly)),
    ...providerPaths
      .filter(({ hostPath, readOnly }) => !holdsDirectory(bounds.dirs, hostPath, readOnly))
      .map(({ hostPath, readOnly }) => `${directoryWords(hostPath, readOnly)}, for providers`),
    ...pools
      .filter(({ hostPath }) => !holdsPath(bounds.pools, hostPath))
      .map(({ name, hostPath }) => `pool ${name} in ${hostPath}`),
    ...kv
      .filter(({ hostPath }) => !holdsPath(bounds.kv, hostPath))
      .map(({ name, hostPath }) => `database ${name} in ${hostPath}`),
    ...providers
      .filter(({ file }) => !holdsPath(bounds.providers, file))
      .map(({ file }) => `provider ${file}`),
    ...listen
      .filter(({ host, port }) => !holdsAddress(bounds.listen, host, port))
      .map(({ host, port }) => `listening at ${host}:${port}`),
    ...variableNames(request)
      .filter((name) => bounds.env !== null && !bounds.env.includes(name))
      .map((name) => `variable ${name}`),
  ].map((words) => visibleText(words, WORDS_MAX));
}

const WORDS_MAX = 4096;

/** Throws ERR_NOT_ALLOWED, which lists everything that is not. */
export function checkAllowed(request: RunRequest, bounds: GrantBounds): void {
  const beyond = grantsBeyond(request, bounds);
  if (beyond.length === 0) return;
  throw new HostError(
    'ERR_NOT_ALLOWED',
    beyond.length === 1
      ? `Today's policy does not allow this: ${beyond[0]}.`
      : `Today's policy does not allow ${beyond.length} things that were asked for.`,
    { facts: listed('not allowed', beyond), hint: 'leave it out, or ask whoever keeps the policy' },
  );
}

/** Facts `WORDS 1`, `WORDS 2` and so on: every one of a list by its name. */
export function listed(words: string, all: readonly string[]): Record<string, string> {
  return Object.fromEntries(all.map((one, index) => [`${words} ${index + 1}`, one]));
}

function directoryWords(path: string, readOnly: boolean): string {
  return `directory ${path} for ${readOnly ? 'reading' : 'reading and writing'}`;
}

function variableNames({ env, secrets = [] }: RunRequest): string[] {
  return [...env.map((entry) => entry.slice(0, entry.indexOf('='))), ...secrets];
}

function holdsDirectory(
  bounds: readonly DirectoryBound[] | null,
  path: string,
  readOnly: boolean,
): boolean {
  if (bounds === null) return true;
  const fitting = bounds.filter(({ access }) => readOnly || access === 'rw');
  return holdsPath(
    fitting.map((bound) => bound.path),
    path,
  );
}

/** By the true names of both: a link that leads out of a directory is not in it. */
function holdsPath(bounds: readonly string[] | null, path: string): boolean {
  if (bounds === null) return true;
  const wanted = withUserRights(() => truePath(path));
  return bounds.some((bound) => {
    const above = truePath(bound);
    return wanted === above || wanted.startsWith(above.endsWith('/') ? above : `${above}/`);
  });
}

function holdsAddress(bounds: readonly string[] | null, host: string, port: number): boolean {
  if (bounds === null) return true;
  return bounds.some((bound) => {
    const at = bound.lastIndexOf(':');
    const [hosts, ports] = [bound.slice(0, at).replace(/^\[|\]$/g, ''), bound.slice(at + 1)];
    const isHost = hosts === '*' || hosts.toLowerCase() === host.toLowerCase();
    return isHost && (ports === '*' || Number(ports) === port);
  });
}
