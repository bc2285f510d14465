/**
 * Does what one client asked for, in a process of its own, and tells the client.
 */
import type { Socket } from 'node:net';
import { FrameReader } from '../cell/framing.ts';
import { HostError } from '../fault/host-error.ts';
import type { GuestStdio } from '../host/guest-streams.ts';
import {
  ASK_LIMITS,
  type DoorAsk,
  type DoorTell,
  failedTell,
  frameTell,
  readAsk,
} from './door-protocol.ts';
import type { RestoreAsk } from './host.ts';
import { type HostedJob, hostJob } from './job-host.ts';
import type { JobWork, SecretOrder } from './job-order.ts';
import { localHost } from './local-host.ts';
import { errorObject } from './report-error.ts';
import type { Settings } from './settings.ts';

/** From the greeting to the whole of the first message. */
const ASK_WITHIN_MS = 10_000;

export interface AskTools {
  readonly settings: Settings;
  readonly socket: Socket;
  /** What came with the greeting. */
  readonly stdio: GuestStdio | null;
  /** Whether there is room for one more that stays: that hosts a job, or follows a log. */
  readonly maySettle: boolean;
  /** Before a guest is started. Throws what forbids it. */
  readonly onStart: () => void;
  /** A request that has been answered goes on for long, or a guest has started. */
  readonly onSettled: () => void;
  /** A guest is hosted here from now on. */
  readonly onJob: (job: HostedJob) => void;
}

/** Resolves when everything is said and done; whatever was wrong has been told. */
export async function serveAsk(tools: AskTools): Promise<void> {
  const { socket } = tools;
  const asks = readAsks(socket);
  try {
    const ask = await asks.first();
    if (ask.ask === 'start') await serveStart(tools, ask, asks);
    else await tell(socket, { tell: 'done', json: JSON.stringify(await answer(tools, ask)) });
  } catch (error) {
    if (!(error instanceof HostError)) throw error;
    await tell(socket, failedTell(error));
  } finally {
    socket.end();
  }
}

async function answer(
  { settings, socket, maySettle, onSettled }: AskTools,
  ask: Exclude<DoorAsk, { ask: 'start' }>,
): Promise<unknown> {
  const host = localHost(settings);
  switch (ask.ask) {
    case 'jobs':
      return host.jobs();
    case 'checkpoint':
      return host.checkpoint(ask.job, ask.stop);
    case 'checkpoints':
      return host.checkpoints(ask.job, ask.owner ?? null);
    case 'grant':
      await host.grant(ask.operator, ask.revoke);
      return null;
    case 'operators':
      return host.operators();
    case 'forget':
      await host.forget(ask.ids);
      return null;
    case 'audit':
      return host.audit(ask);
    case 'usage':
      return host.usage();
    case 'kill':
      return host.kill(ask.job, ask.signal);
    case 'remove':
      return host.remove(ask.job, ask.force);
    case 'tryRestore':
      return host.tryRestore(restoreAsk(ask.work, ask.secrets));
    case 'explain':
      return host.explain(restoreAsk(ask.work, []));
    case 'logs':
      if (ask.follow && !maySettle) throw noRoom();
      // The job may be silent for as long as it runs; nobody is to wait for it who has hung up.
      if (ask.follow) onSettled();
      socket.once('close', () => process.exit());
      for await (const piece of host.logs(ask.job, ask.follow)) {
        if (!(await tell(socket, { tell: 'piece', ...piece }))) return null;
      }
      return null;
    case 'signal':
      throw new HostError('ERR_PROTOCOL', 'The request is malformed: no guest runs for it.');
  }
}

function restoreAsk(work: RestoreAsk['work'], secrets: readonly SecretOrder[]): RestoreAsk {
  return { work, secrets, triggers: [], digestMemory: false, policy: null };
}

async function serveStart(
  { settings, socket, stdio, maySettle, onStart, onSettled, onJob }: AskTools,
  { work, triggers, digestMemory, secrets, detach }: Extract<DoorAsk, { ask: 'start' }>,
  asks: Asks,
): Promise<void> {
  if (!detach && stdio === null) {
    throw new HostError('ERR_PROTOCOL', 'The request is malformed: the guest has no streams.');
  }
  if (!maySettle) throw noRoom();
  onStart();
  if (settings.served !== null) refuseUnconfined(work);
  const job = await hostJob(
    { settings, work, triggers, digestMemory, secrets },
    {
      stdio: detach ? null : stdio,
      onStarted: (started) => {
        onSettled();
        const json = JSON.stringify(started);
        if (!detach) void tell(socket, { tell: 'started', json });
        else void tell(socket, { tell: 'done', json }).then(() => socket.end());
      },
      onTrouble: (error) => {
        if (!detach)
          void tell(socket, { tell: 'trouble', json: JSON.stringify(errorObject(error)) });
      },
    },
  );
  onJob(job);
  if (!detach) {
    socket.once('close', () => job.kill('SIGHUP'));
    asks.onSignal((signal) => job.kill(signal));
  }
  const report = await job.ended;
  if (!detach) await tell(socket, { tell: 'done', json: JSON.stringify(report) });
  // Of a guest that started it was told then, and this finds nobody.
  else if (report.ending.kind === 'failed') {
    await tell(socket, { tell: 'failed', json: JSON.stringify(report.ending) });
  } else {
    await tell(
      socket,
      failedTell(new HostError('ERR_CELL_LOST', 'The guest ended before it had started.')),
    );
  }
}

/** A guest's process that others may look into would show what its image held. */
function refuseUnconfined(work: JobWork): void {
  const { confine } = work.kind === 'run' ? work.request : work.changes;
  if (confine !== 'off') return;
  throw new HostError('ERR_NOT_ALLOWED', 'A host of several users confines every guest.', {
    hint: 'leave out --confine off',
  });
}

function noRoom(): HostError {
  return new HostError('ERR_BUSY', 'This host serves as many jobs and logs of yours as it can.', {
    hint: 'end some of them: stasis ps, stasis kill',
  });
}

interface Asks {
  /** Rejects with ERR_PROTOCOL, ERR_TIMEOUT. */
  first(): Promise<DoorAsk>;
  /** From now on; a message that is not one ends the connection. */
  onSignal(hear: (signal: string) => void): void;
}

function readAsks(socket: Socket): Asks {
  const reader = new FrameReader(ASK_LIMITS);
  let hear: (ask: DoorAsk) => void = () => {};
  let fail: (error: HostError) => void = () => {};
  const first = new Promise<DoorAsk>((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new HostError('ERR_TIMEOUT', 'The request did not come in time.'));
    }, ASK_WITHIN_MS);
    hear = (ask) => {
      clearTimeout(timer);
      resolve(ask);
    };
    fail = (error) => {
      clearTimeout(timer);
      reject(error);
    };
    socket.once('close', () => {
      fail(new HostError('ERR_PROTOCOL', 'The client hung up before it had asked.'));
    });
  });
  socket.on('data', (chunk: Uint8Array) => {
    try {
      for (const { message } of reader.push(chunk)) hear(readAsk(message));
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      fail(error);
      // What follows can't be understood any more.
      socket.removeAllListeners('data');
      socket.resume();
    }
  });
  return {
    first: () => first,
    onSignal: (listen) => {
      hear = (ask) => {
        if (ask.ask === 'signal') listen(ask.signal);
        else socket.destroy();
      };
      fail = () => socket.destroy();
    },
  };
}

/** Resolves when the client has taken it, with whether there still is one. */
function tell(socket: Socket, told: DoorTell): Promise<boolean> {
  return new Promise((resolve) => {
    if (socket.destroyed || socket.writableEnded) {
      resolve(false);
      return;
    }
    const parts = frameTell(told);
    const gone = (): void => resolve(false);
    socket.once('close', gone);
    socket.cork();
    parts.forEach((part, at) => {
      socket.write(part, (error) => {
        if (at < parts.length - 1) return;
        socket.off('close', gone);
        resolve(!error);
      });
    });
    socket.uncork();
  });
}
