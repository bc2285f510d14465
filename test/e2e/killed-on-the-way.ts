/**
 * A job in the background whose processes are killed with SIGKILL again and again, each time at a random
 * moment, and which is restored from its newest checkpoint each time, until it comes to its end.
 */
import assert from 'node:assert/strict';
import { setTimeout as sleep } from 'node:timers/promises';
import type { RunOutcome, RunRecord } from '../../src/host/job-records.ts';
import { isAlive, killProcess } from '../../src/host/process-identity.ts';
import { openState } from './open-state.ts';
import type { Chance } from './random-source.ts';
import type { Stasis } from './stasis-command.ts';

const POLL_MS = 10;
/** From the first checkpoint of a run until it is killed. */
const WRITING_MS_MAX = 600;
/** One in so many restores is killed at any moment from the start of its cell on. */
const ANYWHERE_IN = 4;
const EVERY = '50ms';

export interface KilledJob {
  readonly name: string;
  /** The words that start it: `run` or `restore`, and what belongs to it but the options below. */
  readonly words: readonly string[];
  readonly killsMax: number;
}

export interface Survived {
  readonly kills: number;
  /** Of the last run. */
  readonly outcome: RunOutcome;
}

const OPTIONS = ['--detach', '--memory-digest', '--checkpoint-every', EVERY];

export async function killOnTheWay(
  stasis: Stasis,
  chance: Chance,
  { name, words: [verb, ...rest], killsMax }: KilledJob,
): Promise<Survived> {
  const state = await openState(stasis.home);
  const run = (): RunRecord => state.table.find(state.owner, name).run;
  try {
    let words = [verb!, ...OPTIONS, ...rest];
    let kills = 0;
    for (;;) {
      const { status, stderr } = await stasis(words);
      assert.equal(status, 0, `${words.join(' ')}: ${stderr}`);
      const early = kills > 0 && chance.below(ANYWHERE_IN) === 0;
      while (!early && run().checkpoint === null && run().outcome === null) await sleep(POLL_MS);
      if (kills < killsMax) await sleep(chance.below(WRITING_MS_MAX));
      else while (run().outcome === null) await sleep(POLL_MS);
      if (run().outcome === null) await killBoth(run());
      const { outcome } = run();
      if (outcome !== null) return { kills, outcome };
      kills += 1;
      words = ['restore', ...OPTIONS, name];
    }
  } finally {
    await state.close();
  }
}

async function killBoth({ host, cell }: RunRecord): Promise<void> {
  killProcess(host);
  if (cell !== null) killProcess(cell);
  while (isAlive(host) || (cell !== null && isAlive(cell))) await sleep(POLL_MS);
}
