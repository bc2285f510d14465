/** Runs `pool-btree` by the command, and tells what it prints while it runs. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { type CommandResult, ROOT, type Stasis } from '../e2e/stasis-command.ts';

export const MODULE = join(ROOT, 'guests', 'build', 'pools', 'pool-btree.wasm');
const POLL_MS = 5;

export interface PoolJob {
  readonly ended: Promise<CommandResult>;
  /** The host's process. */
  pid(): number;
  isOver(): boolean;
  /** How far it says that it got, in keys. */
  keys(): number;
  stdout(): string;
  /** Waits until `what` is true or the job is over; says which. */
  until(what: () => boolean): Promise<boolean>;
}

export function startJob(stasis: Stasis, words: readonly string[]): PoolJob {
  let pid = 0;
  let over = false;
  let text = '';
  const ended = stasis(words, {
    talk: (child) => {
      pid = child.pid!;
      child.stdout.on('data', (part: Buffer) => {
        text += part.toString('utf8');
      });
      child.stdin.end();
    },
  }).finally(() => {
    over = true;
  });
  const job: PoolJob = {
    ended,
    pid: () => pid,
    isOver: () => over,
    keys: () => Number([...text.matchAll(/^(\d+) keys$/gm)].at(-1)?.[1] ?? 0),
    stdout: () => text,
    until: async (what) => {
      while (!what() && !over) await sleep(POLL_MS);
      return what();
    },
  };
  return job;
}
