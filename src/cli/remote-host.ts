/**
 * A host behind a socket. Each question is a connection of its own.
 */
import type { Explanation } from '../checkpoint/explain.ts';
import type { ListedCheckpoint } from '../checkpoint/list-checkpoints.ts';
import type { Receipt } from '../checkpoint/receipt.ts';
import { HostError } from '../fault/host-error.ts';
import type { PolicyPlace } from '../host/policy-file.ts';
import type { Audit } from '../vault/audit.ts';
import type { VaultUsage } from '../vault/vault-usage.ts';
import { type DoorConnection, openDoor, socketPath, unreachable } from './door-client.ts';
import type { DoorAsk, DoorTell } from './door-protocol.ts';
import type { CheckpointMade, Host, JobAsk, JobSight } from './host.ts';
import type { HostedJob, JobHooks, JobReport, JobStarted } from './job-host.ts';
import { type ErrorObject, errorFromObject } from './report-error.ts';

const STDIO = [0, 1, 2];

export function remoteHost(address: string): Host {
  /** Asks, and gives what is told until the last word; `hear` is given everything before it. */
  async function conclude(
    door: DoorConnection,
    hear: (tell: DoorTell) => void = () => {},
  ): Promise<unknown> {
    try {
      for await (const tell of door.tells) {
        if (tell.tell === 'done') return JSON.parse(tell.json);
        if (tell.tell === 'failed') throw errorFromObject(JSON.parse(tell.json) as ErrorObject);
        hear(tell);
      }
    } finally {
      door.close();
    }
    throw unreachable(socketPath(address), 'it hung up');
  }

  async function ask<T>(asked: DoorAsk): Promise<T> {
    const door = await openDoor(address, []);
    door.say(asked);
    return (await conclude(door)) as T;
  }

  return {
    jobs: () => ask<readonly JobSight[]>({ ask: 'jobs' }),
    logs: async function* (job, follow) {
      const door = await openDoor(address, []);
      door.say({ ask: 'logs', job, follow });
      try {
        for await (const tell of door.tells) {
          if (tell.tell === 'done') return;
          if (tell.tell === 'failed') throw errorFromObject(JSON.parse(tell.json) as ErrorObject);
          if (tell.tell === 'piece') yield tell;
        }
      } finally {
        door.close();
      }
      throw unreachable(socketPath(address), 'it hung up');
    },
    checkpoint: (job, stop) => ask<CheckpointMade>({ ask: 'checkpoint', job, stop }),
    checkpoints: (job, owner) =>
      ask<readonly ListedCheckpoint[]>({
        ask: 'checkpoints',
        job,
        ...(owner === null ? {} : { owner }),
      }),
    grant: (operator, revoke) => ask<void>({ ask: 'grant', operator, revoke }),
    operators: () => ask<readonly string[]>({ ask: 'operators' }),
    kill: (job, signal) => ask<string>({ ask: 'kill', job, signal }),
    remove: (job, force) => ask<string>({ ask: 'remove', job, force }),
    forget: (ids) => ask<void>({ ask: 'forget', ids }),
    audit: (filter) => ask<Audit>({ ask: 'audit', ...filter }),
    usage: () => ask<VaultUsage>({ ask: 'usage' }),
    tryRestore: async ({ work, policy, secrets }) => {
      refusePolicy(policy);
      return ask<Receipt>({ ask: 'tryRestore', work, secrets: secrets ?? [] });
    },
    explain: async ({ work, policy }) => {
      refusePolicy(policy);
      return ask<Explanation>({ ask: 'explain', work });
    },
    run: async (order, hooks) => {
      const asked = startAsk(order, false);
      const door = await openDoor(address, STDIO);
      door.say(asked);
      const report = conclude(door, (tell) => passOn(tell, hooks)) as Promise<JobReport>;
      return {
        kill: (signal) => door.say({ ask: 'signal', signal }),
        ended: report,
      } satisfies HostedJob;
    },
    start: (order) => ask<JobStarted>(startAsk(order, true)),
  };
}

function startAsk({ policy, work, ...order }: JobAsk, detach: boolean): DoorAsk {
  refusePolicy(policy);
  // The wire has every field, also those that a command may leave out.
  const whole = work.kind === 'run' ? { ...work, request: { secrets: [], ...work.request } } : work;
  return { ask: 'start', secrets: [], ...order, work: whole, detach } as DoorAsk;
}

/** What is allowed there is for whoever keeps that host to say. */
function refusePolicy(policy: PolicyPlace | null): void {
  if (policy === null) return;
  throw new HostError('ERR_USAGE', 'A host behind a socket has a policy of its own.', {
    hint: 'leave out --policy',
  });
}

function passOn(tell: DoorTell, hooks: Omit<JobHooks, 'stdio'>): void {
  if (tell.tell === 'started') hooks.onStarted(JSON.parse(tell.json) as JobStarted);
  if (tell.tell === 'trouble') {
    hooks.onTrouble(errorFromObject(JSON.parse(tell.json) as ErrorObject));
  }
}
