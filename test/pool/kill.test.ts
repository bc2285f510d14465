/**
 * Writers of one pool are killed with SIGKILL at random moments: one, while the other goes on, or both.
 *
 * After each kill: every step that was flushed is there; every page is whole; the pages are what they were
 * at some moment. As long as one writer lives, what the killed one had published lives too.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import { newChance } from '../e2e/random-source.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { grantOf, PoolGuest } from './pool-guest.ts';
import { HEAD, RING, readWord, SHARED, WRITER_PAGES } from './writer-pages.ts';

const KILLS = process.env['STASIS_NIGHTLY'] === '1' ? 1000 : 12;
const RUNNING_MS_MAX = 60;
const CHILD = fileURLToPath(new URL('writer-child.ts', import.meta.url));
const chance = newChance();
const scratch = scratchDirectory();

interface Writer {
  readonly number: number;
  /** The last step that it said was flushed. */
  flushed: number;
  kill(): Promise<void>;
}

/** Starts a writer, and waits until it flushed something. */
async function startWriter(
  file: string,
  number: number,
  way: string,
  flushed: number,
): Promise<Writer> {
  const child = spawn(
    process.execPath,
    ['--disable-warning=ExperimentalWarning', CHILD, file, `${number}`, way],
    {
      stdio: ['ignore', 'pipe', 'inherit'],
    },
  );
  let text = '';
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once('close', (_, signal) => resolve(signal));
  });
  const writer: Writer = {
    number,
    flushed,
    kill: async () => {
      child.kill('SIGKILL');
      expect(await ended, 'the writer lived until it was killed').toBe('SIGKILL');
      writer.flushed = Math.max(flushed, ...text.split('\n').slice(0, -1).map(Number));
    },
  };
  child.stdout.on('data', (part: Buffer) => {
    text += part.toString('latin1');
  });
  while (!text.includes('\n') && child.exitCode === null) await sleep(2);
  return writer;
}

/** Checks the pages of a writer that is not running; returns how far it got. */
function checkWriter(guest: PoolGuest, pool: number, { number, flushed }: Writer): number {
  const first = WRITER_PAGES * (number + 1);
  const wordOf = (page: number): number => {
    const word = readWord(guest.pin(pool, page).slice());
    expect(guest.unpin(pool, page)).toBe(0);
    return word;
  };
  const head = wordOf(first + HEAD);
  expect(head, 'what was flushed is there').toBeGreaterThanOrEqual(flushed);
  for (let step = Math.max(1, head - RING + 1); step <= head; step++) {
    const found = wordOf(first + 1 + (step % RING));
    // The step after the head may have begun.
    expect([step, step + RING], `step ${step} of head ${head}`).toContain(found);
    if (found !== step) expect(found).toBe(head + 1);
  }
  return head;
}

test('killed writers lose nothing that was flushed, and leave no page half changed', async () => {
  const file = join(scratch, 'pages');
  const grants = [grantOf(file, { frames: 8 })];
  const wayOf = () => (poolCalls() !== null && chance.below(2) === 0 ? 'window' : 'copy');
  const writers = [await startWriter(file, 0, wayOf(), 0), await startWriter(file, 1, wayOf(), 0)];
  const done = { kills: 0, both: 0, steps: 0 };
  while (done.kills < KILLS) {
    await sleep(chance.below(RUNNING_MS_MAX));
    // The first time in any case, so that no run goes without.
    const both = done.kills === 0 || chance.below(3) === 0;
    const victims = both ? writers : [writers[chance.below(2)]!];
    await Promise.all(victims.map((writer) => writer.kill()));
    done.kills += victims.length;
    if (both) done.both++;
    const guest = new PoolGuest({ grants });
    const pool = guest.opened('p');
    const heads = victims.map((writer) => checkWriter(guest, pool, writer));
    if (both) {
      const shared = readWord(guest.pin(pool, SHARED).slice());
      const steps = heads[0]! + heads[1]!;
      // One that was killed between counting and its head counts that step again.
      expect(shared, 'no count was lost').toBeGreaterThanOrEqual(steps);
      expect(shared).toBeLessThanOrEqual(steps + done.kills);
      done.steps = steps;
    }
    guest.end();
    for (const { number, flushed } of victims) {
      writers[number] = await startWriter(file, number, wayOf(), flushed);
    }
  }
  await Promise.all(writers.map((writer) => writer.kill()));
  console.log(
    `pool: ${done.kills} kills, ${done.both} times both; ${done.steps} steps; seed ${chance.seed}`,
  );
  expect(done.both).toBeGreaterThan(0);
});
