/** What is asked for when a job is started, as plain data that a detached host is handed. */
import type { Trigger } from '../cell/protocol.ts';
import type { RestoreChanges, RestoreSelector } from '../checkpoint/restore.ts';
import type { RunRequest } from '../host/run-request.ts';
import type { Secret } from '../resource/secrets.ts';
import type { Settings } from './settings.ts';

/** JSON carries it to a detached host, so fuel and call numbers are decimal text. */
export interface TriggerOrder {
  readonly on: 'fuel' | 'call';
  readonly at: string;
  readonly stop: boolean;
}

export type JobWork =
  | { readonly kind: 'run'; readonly name: string | null; readonly request: RunRequest }
  | {
      readonly kind: 'restore';
      readonly selector: RestoreSelector;
      readonly changes: RestoreChanges;
      /** A twin beside whatever else goes on from the checkpoint, as a new job; absent: none. */
      readonly clone?: { readonly name: string | null };
      /** Although a run from it ended well, or made a newer one. */
      readonly again?: boolean;
    };

export interface JobOrder {
  readonly settings: Settings;
  readonly work: JobWork;
  readonly triggers: readonly TriggerOrder[];
  readonly digestMemory: boolean;
  /** Of the request's secrets; absent: none. */
  readonly secrets?: readonly SecretOrder[];
}

/** JSON carries it to a detached host; it is written nowhere. */
export interface SecretOrder {
  readonly name: string;
  /** Base64. */
  readonly value: string;
}

export type RestoreOrder = JobOrder & { readonly work: Extract<JobWork, { kind: 'restore' }> };

export function readTrigger({ on, at, stop }: TriggerOrder): Trigger {
  return on === 'fuel' ? { fuel: BigInt(at), stop } : { call: BigInt(at), stop };
}

export function readSecret({ name, value }: SecretOrder): Secret {
  return { name, value: Buffer.from(value, 'base64') };
}

export function secretNames({ secrets = [] }: JobOrder): string[] {
  return secrets.map(({ name }) => name);
}
