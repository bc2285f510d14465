/**
 * Invariant 2: an acknowledged checkpoint survives any crash; an unacknowledged one is absent or whole.
 *
 * Two jobs at a time, in one state directory, make checkpoints as fast as they can. Host, cell or both
 * are killed with SIGKILL at random moments; after each kill every checkpoint that is offered is opened,
 * the one acknowledged last is among them, and the job goes on from the newest. A job that got to its
 * end must have written every line once; then it is removed and the next one begins.
 */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import type { RunRecord } from '../../src/host/job-records.ts';
import { isAlive, killProcess } from '../../src/host/process-identity.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { type OpenState, openState } from './open-state.ts';
import { newChance } from './random-source.ts';
import { type ReportedRun, ROOT, reported, stasisIn } from './stasis-command.ts';

const KILLS = 200;
const LANES = 2;
const EVERY = '20ms';
/** From the first checkpoint of a run until it is killed. */
const WRITING_MS_MAX = 120;
/** Some are killed anywhere from the start of the cell on, while a restore is made, too. */
const ANYWHERE_IN = 4;
const ANYWHERE_MS_MAX = 400;
const POLL_MS = 5;
/** A heap of 3 MiB that changes all the time, for a second or two. */
const MODULE = join(ROOT, 'guests', 'build', 'heap.wasm');
const ARGS = ['3', '100000'];

const home = join(scratchDirectory(), 'home');
const stasis = stasisIn(home);
const chance = newChance();
const done = { kills: 0, early: 0, opened: 0, ended: 0 };

/** Runs the command until it ends or is killed at a random moment. */
async function runUntilKilled(
  state: OpenState,
  name: string,
  words: readonly string[],
): Promise<void> {
  const victims = (['host', 'cell', 'both'] as const)[chance.below(3)]!;
  const anywhere = chance.below(ANYWHERE_IN) === 0;
  const delayMs = chance.below(anywhere ? ANYWHERE_MS_MAX : WRITING_MS_MAX);
  const before = newestRun(state, name)?.number ?? 0;
  let host = 0;
  let over = false;
  const ending = stasis(words, {
    talk: (child) => {
      host = child.pid!;
      child.stdin.end();
    },
  }).finally(() => {
    over = true;
  });

  /** Waits for the new run to have something; null when the command ended first. */
  async function when<T>(what: (run: RunRecord) => T | null): Promise<T | null> {
    for (;;) {
      const run = newestRun(state, name);
      const found = run !== null && run.number > before ? what(run) : null;
      if (found !== null || over) return found;
      await sleep(POLL_MS);
    }
  }

  const cell = await when((run) => run.cell);
  if (!anywhere) await when((run) => run.checkpoint);
  await sleep(delayMs);
  if (!over && done.kills < KILLS) {
    done.kills += 1;
    if (victims !== 'host' && cell !== null) killProcess(cell);
    if (victims !== 'cell') killProcess({ pid: host, stamp: null });
  }
  await ending;
  // A cell whose host is gone ends by itself.
  while (cell !== null && isAlive(cell)) await sleep(POLL_MS);
}

function newestRun({ table, owner }: OpenState, name: string): RunRecord | null {
  return table.list(owner).find(({ job }) => job.name === name)?.run ?? null;
}

/** Opens what is offered and was not opened before. */
async function checkOffered(state: OpenState, name: string, seen: Set<string>): Promise<void> {
  const offered = await state.checkpoints(name);
  const acknowledged = newestRun(state, name)!.checkpoint?.sequence;
  if (acknowledged !== undefined) {
    expect(offered.map(({ sequence }) => sequence)).toContain(acknowledged);
  }
  const ids = offered.map(({ id }) => id);
  for (const id of seen) expect(ids).toContain(id);
  for (const id of ids.filter((id) => !seen.has(id))) {
    const { opened } = await state.open(id);
    expect(opened.pages.length % 65_536).toBe(0);
    seen.add(id);
    done.opened += 1;
  }
}

/** One job, from its first run to its end; killed on the way as long as there are kills left. */
async function runJob(state: OpenState, name: string, reference: ReportedRun): Promise<void> {
  const options = ['--json', '--memory-digest', '--checkpoint-every', EVERY];
  const seen = new Set<string>();
  let words = ['run', '--name', name, ...options, MODULE, ...ARGS];
  for (;;) {
    await runUntilKilled(state, name, words);
    const run = newestRun(state, name);
    // What was written down of its end; the host may have been killed before it told it.
    const outcome = run?.outcome ?? null;
    if (outcome?.ending.kind === 'exit') {
      expect(outcome.memoryDigest).toBe(reference.report.memoryDigest);
      expect(outcome.fuel).toBe(reference.report.fuel);
      break;
    }
    if (run === null) continue;
    await checkOffered(state, name, seen);
    if (seen.size > 0) words = ['restore', name, ...options];
    else {
      done.early += 1;
      expect(String((await stasis(['restore', name])).stderr)).toContain('ERR_NO_SUCH_CHECKPOINT');
      await stasis(['rm', name]);
    }
  }
  const { stdout, stderr } = await stasis(['logs', '--raw', name]);
  expect(String(stderr)).toBe('');
  expect(String(stdout)).toBe(String(reference.stdout));
  expect((await stasis(['rm', name])).status).toBe(0);
  done.ended += 1;
}

test(`${KILLS} kills lose nothing that was acknowledged and offer nothing that is not whole`, async () => {
  const reference = await reported(stasis(['run', '--json', '--memory-digest', MODULE, ...ARGS]));
  expect(reference.status).toBe(0);
  const state = await openState(home);
  try {
    await Promise.all(
      Array.from({ length: LANES }, async (_, lane) => {
        for (let job = 0; done.kills < KILLS; job++) {
          await runJob(state, `lane-${lane}-job-${job}`, reference);
        }
      }),
    );
    await state.vault.verifyLedger();
  } finally {
    await state.close();
  }
  expect(JSON.parse(String((await stasis(['ps', '--all', '--json'])).stdout))).toEqual({
    jobs: [],
  });
  expect(JSON.parse(String((await stasis(['checkpoints', '--json'])).stdout))).toEqual({
    checkpoints: [],
  });
  expect(readdirSync(join(home, 'jobs'))).toEqual([]);
  expect(readdirSync(join(home, 'run'))).toEqual([]);
});

afterAll(() => {
  process.stdout.write(
    `kill: ${done.kills} kills, ${done.early} of them before a first checkpoint, ` +
      `${done.opened} checkpoints opened, ${done.ended} jobs came to their end, seed ${chance.seed}\n`,
  );
});
