/**
 * What `stasis daemon` does, from its start to its end.
 */
import { existsSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { HostError } from '../fault/host-error.ts';
import { visibleText } from '../fault/visible-text.ts';
import { type DoorPlace, openDoorSocket } from '../host/door-socket.ts';
import { DOOR_LIMITS, type Doorkeeper, keepDoor } from '../host/doorkeeper.ts';
import { JobTable } from '../host/job-table.ts';
import { preparePlaces } from '../host/places.ts';
import { type PolicyPlace, readPolicy } from '../host/policy-file.ts';
import { jobsToRestart, stopJobs } from '../host/standing-jobs.ts';
import { notifySupervisor } from '../native/notify.ts';
import { overflowUid, peerReader } from '../native/peer.ts';
import type { UserIds } from '../native/user-rights.ts';
import { lockWholeFile } from '../native/whole-file-lock.ts';
import type { AttendantOrder } from './attendant-order.ts';
import type { CommandContext } from './command-context.ts';
import type { DaemonOptions } from './daemon.ts';
import { failedTell, frameTell } from './door-protocol.ts';
import type { JobAsk } from './host.ts';
import { policyPlace, type Settings, settingsPlaces } from './settings.ts';

const ROOT = 0;
const ROOT_STATE = '/var/lib/stasis';
const ROOT_SOCKET = '/run/stasis/stasis.sock';
const ROOT_POLICY = '/etc/stasis/policy.json';
/** The first descriptor that systemd hands over. */
const HANDED_FD = 3;
const STOP_WITHIN_MS = 60_000;
/** How long a stop waits for requests that are being served. */
const SERVED_WITHIN_MS = 5000;

/** Resolves never: the process ends with 0 when it was told to stop. */
export async function serveDaemon(context: CommandContext, options: DaemonOptions): Promise<void> {
  const { err, environment } = context;
  const say = (text: string): void => void err.write(`stasis: ${visibleText(text)}\n`);
  const self: UserIds = { uid: process.getuid?.() ?? -1, gid: process.getgid?.() ?? -1 };
  const peerOf = peerReader();
  if (peerOf === null) {
    throw new HostError('ERR_USAGE', 'This system does not tell who is at the end of a socket.', {
      facts: { system: `${process.platform} ${process.arch}` },
      hint: 'run it on Linux; elsewhere every command is its own host',
    });
  }
  const settings = daemonSettings(context, options, self);
  // Told now rather than to the first user.
  await readPolicy(settings.policy);
  const places = settingsPlaces({ ...settings, served: self.uid === ROOT ? self : null });
  preparePlaces(places);
  claimState(settings.home);
  const table = new JobTable(places.jobsDatabase);
  const place = doorPlace(environment, options, settings, self);
  const server = await openDoorSocket(place);
  const door = keepDoor({
    server,
    peerOf,
    node: process.execPath,
    attendant: attendantEntry(),
    limits: DOOR_LIMITS,
    refusalOf: refusalFor(self),
    orderFor: (user): Omit<AttendantOrder, 'work' | 'maySettle'> => ({
      settings: settingsFor(settings, self, user),
    }),
    frameRefusal: (error) => frameTell(failedTell(error)),
    onWorkFailed: (why) => say(`a job could not be restored: ${visibleText(why)}`),
  });
  restart(door, table, self, say);
  say(
    place.kind === 'path'
      ? `listening at unix:${place.path}`
      : 'listening at the socket of systemd',
  );
  const supervisor = environment['NOTIFY_SOCKET'];
  notifySupervisor(supervisor, 'READY=1');
  const signal = await firstSignal();
  say(`stopping, since there was ${signal}`);
  notifySupervisor(supervisor, 'STOPPING=1');
  await door.close(SERVED_WITHIN_MS);
  const left = await stopJobs(table, options.stopWithin ?? STOP_WITHIN_MS);
  for (const { job, why } of left) say(`job ${job} was killed: ${visibleText(why)}`);
  table.close();
  // An attendant that is still busy must not keep this process.
  process.exit(0);
}

function daemonSettings(
  { settings, environment }: CommandContext,
  { state, policy }: DaemonOptions,
  { uid }: UserIds,
): Settings {
  if (settings.key?.kind === 'descriptor') {
    throw new HostError('ERR_USAGE', 'A daemon can not take its key from a descriptor.', {
      hint: 'name a file, or let systemd hand it over with LoadCredential=stasis.key:FILE',
    });
  }
  const given =
    state ?? environment['STASIS_HOME'] ?? environment['STATE_DIRECTORY']?.split(':')[0];
  const home = given ? resolve(given) : uid === ROOT ? ROOT_STATE : settings.home;
  const named = policy ?? (environment['STASIS_POLICY'] || null);
  const usual: PolicyPlace =
    named === null && uid === ROOT && existsSync(ROOT_POLICY)
      ? { path: ROOT_POLICY, named: true }
      : policyPlace(home, named);
  return { ...settings, home, policy: usual };
}

function settingsFor(settings: Settings, self: UserIds, user: UserIds): Settings {
  return {
    ...settings,
    owner: `uid:${user.uid}`,
    served: user.uid === self.uid ? null : { uid: user.uid, gid: user.gid },
  };
}

/** One daemon a state directory, for as long as it lives. */
function claimState(home: string): void {
  if (lockWholeFile(join(home, 'daemon.lock')) === 'locked') return;
  throw new HostError('ERR_HOST_RUNNING', 'Another daemon has this state directory.', {
    facts: { directory: home },
    hint: 'stop that one, or name another directory with --state',
  });
}

function doorPlace(
  environment: NodeJS.ProcessEnv,
  { socket }: DaemonOptions,
  { home }: Settings,
  { uid }: UserIds,
): DoorPlace {
  const count = environment['LISTEN_FDS'];
  if (count !== undefined && socket === undefined) {
    if (environment['LISTEN_PID'] === String(process.pid) && count === '1') {
      return { kind: 'descriptor', fd: HANDED_FD };
    }
    throw new HostError(
      'ERR_USAGE',
      'The socket that systemd made is not for this process alone.',
      {
        facts: { listenPid: environment['LISTEN_PID'] ?? null, pid: process.pid, sockets: count },
        hint: 'let the unit start node with bin/stasis.mjs itself, with one socket: docs/systemd/',
      },
    );
  }
  const usual = uid === ROOT ? ROOT_SOCKET : join(home, 'run', 'daemon.sock');
  return { kind: 'path', path: resolve(socket ?? usual), forEverybody: uid === ROOT };
}

function refusalFor(self: UserIds): (user: UserIds) => HostError | null {
  const nobody = overflowUid();
  return ({ uid }) => {
    if (uid === nobody && uid !== self.uid) {
      return new HostError('ERR_NOT_SERVED', 'This system has no user id of its own for you.', {
        facts: { user: uid },
        hint: 'ask from outside of the container',
      });
    }
    if (self.uid === ROOT || uid === self.uid) return null;
    return new HostError('ERR_NOT_SERVED', 'This host serves the user alone that it runs as.', {
      facts: { user: uid },
      hint: 'ask a host that root runs, or leave out --host and STASIS_HOST',
    });
  };
}

function restart(
  door: Doorkeeper,
  table: JobTable,
  self: UserIds,
  say: (text: string) => void,
): void {
  for (const { job, run } of jobsToRestart(table)) {
    const user = run.request.runAs ?? (job.owner === `uid:${self.uid}` ? self : null);
    // Somebody else's, from when root served this directory.
    if (user === null || (self.uid !== ROOT && user.uid !== self.uid)) continue;
    const ask: JobAsk = {
      work: {
        kind: 'restore',
        selector: {
          job: job.id,
          id: null,
          at: null,
          // An operator ran it, who may still.
          ...(job.owner === `uid:${user.uid}` ? {} : { owner: job.owner }),
        },
        changes: {},
      },
      triggers: [],
      digestMemory: false,
      policy: null,
    };
    say(`restoring job ${job.name} of ${job.owner}`);
    door.give(user, ask);
  }
}

/** As source or as built, whichever this is. */
function attendantEntry(): string {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return fileURLToPath(new URL(`../cli/attendant.${extension}`, import.meta.url));
}

function firstSignal(): Promise<string> {
  return new Promise((resolve) => {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.once(signal, resolve);
  });
}
