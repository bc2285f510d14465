/**
 * A guest that appends records, and never looks how many there are already, is killed again and again. In a
 * directory that is rolled back each record is there once at the end; in one that is not, it isn't.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, expect, test } from 'vitest';
import { killProcess } from '../../src/host/process-identity.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { openState } from './open-state.ts';
import { newChance } from './random-source.ts';
import { ROOT, stasisIn } from './stasis-command.ts';

const KILLS = process.env['STASIS_NIGHTLY'] === undefined ? 12 : 300;
const WRITING_MS_MAX = 150;
const POLL_MS = 5;
const RECORDS = 4_000;
const MODULE = join(ROOT, 'guests', 'build', 'append-records.wasm');

const scratch = scratchDirectory();
const chance = newChance();
const done = { kills: 0, restores: 0, jobs: 0, doubled: 0 };

/** Runs one job, killed up to `kills` times; what the guest printed at last, and its exit status. */
async function killedJob(name: string, policy: string, kills: number) {
  const data = join(scratch, `${name}-data`);
  mkdirSync(data);
  if (policy === 'private') writeFileSync(join(data, 'theirs'), 'theirs');
  const stasis = stasisIn(join(scratch, 'home'));
  // Makes the home.
  await stasis(['run', '--dir', `${data}::/data::private`, MODULE, '1']);
  const state = await openState(stasis.home);
  const every = ['--checkpoint-every', '25ms'];
  const dir = ['--dir', `${data}::/data::${policy}`];
  let words = ['run', '--name', name, ...dir, ...every, MODULE, `${RECORDS}`];
  try {
    for (let killed = 0; ; ) {
      let over = false;
      let host = 0;
      const ending = stasis(words, {
        talk: (child) => {
          host = child.pid!;
          child.stdin.end();
        },
      }).finally(() => {
        over = true;
      });
      const before = state.table.list(state.owner).find(({ job }) => job.name === name)?.run.number;
      const runNow = () => {
        const found = state.table.list(state.owner).find(({ job }) => job.name === name)?.run;
        return found !== undefined && found.number > (before ?? 0) ? found : null;
      };
      // A run is killed only when there is something to go back to.
      const hasBegun = () => runNow()?.cell !== null && (before !== undefined || checkpointed());
      const checkpointed = () => runNow()?.checkpoint !== null && runNow() !== null;
      while (!over && !hasBegun()) await sleep(POLL_MS);
      await sleep(chance.below(WRITING_MS_MAX));
      if (!over && killed < kills) {
        const cell = runNow()?.cell ?? null;
        const victims = chance.below(3);
        if (victims !== 0 && cell !== null) killProcess(cell);
        if (victims !== 1) killProcess({ pid: host, stamp: null });
        killed++;
        done.kills++;
      }
      const { status, stdout, stderr } = await ending;
      const run = state.table.list(state.owner).find(({ job }) => job.name === name)?.run;
      if (run?.outcome?.ending.kind === 'exit') {
        done.jobs++;
        return { status, text: String(stdout), data };
      }
      // What it had open may be gone, where that is not brought back.
      if (policy === 'reopen' && String(stderr).includes('ERR_RESOURCE_CHANGED')) {
        return { status, text: '', data };
      }
      expect(String(stderr)).not.toMatch(/ERR_(RESOURCE|IO|MALFORMED|CELL)/);
      words = ['restore', name, ...every];
      done.restores++;
    }
  } finally {
    await state.close();
  }
}

test(`each record is there once, whatever is killed ${KILLS} times`, async () => {
  for (let job = 0; done.kills < KILLS; job++) {
    const { status, text, data } = await killedJob(`job-${job}`, 'rollback', KILLS - done.kills);
    expect(text).toContain('ok append-records');
    expect(status).toBe(0);
    const lines = readFileSync(join(data, 'log'), 'latin1').trimEnd().split('\n');
    expect(lines).toEqual(
      Array.from({ length: RECORDS }, (_, n) => `record ${String(n).padStart(16, '0')}`),
    );
    expect(readFileSync(join(data, 'status'), 'latin1')).toBe(`${RECORDS} records\n`);
    expect(readdirSync(data).sort()).toEqual(['log', 'status', 'sum']);
  }
});

test('in a private view the same holds, and the directory stays as it is', async () => {
  const { status, text, data } = await killedJob('private', 'private', 4);
  expect(text).toContain('ok append-records');
  expect(status).toBe(0);
  expect(readdirSync(data)).toEqual(['theirs']);
  expect(readFileSync(join(data, 'theirs'), 'latin1')).toBe('theirs');
  const [job] = readdirSync(join(scratch, 'home', 'jobs')).filter((id) =>
    existsSync(join(scratch, 'home', 'jobs', id, 'files', 'private-0')),
  );
  expect(job).toBeUndefined();
});

test('without it, a run that was killed leaves records behind that are written again', async () => {
  // A kill may by chance come right after a checkpoint; not five times in a row.
  for (let job = 0; job < 5 && done.doubled === 0; job++) {
    const { status } = await killedJob(`plain-${job}`, 'reopen', 5);
    if (status !== 0) done.doubled++;
  }
  expect(done.doubled).toBe(1);
});

afterAll(() => {
  process.stdout.write(`rollback: ${JSON.stringify(done)}, seed ${chance.seed}\n`);
});
