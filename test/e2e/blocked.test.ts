/**
 * A guest is captured within a bound whatever it is doing: computing, sleeping for an hour, waiting for
 * input from a pipe or a terminal. The bound here is one that no slow machine breaks; the architecture
 * notes say what is usual.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { killProcess } from '../../src/host/process-identity.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { feedInStep, GUEST_CASES } from './guest-cases.ts';
import { openState } from './open-state.ts';
import { COMMAND, ROOT, reported, stasisIn } from './stasis-command.ts';

const NS_PER_MS = 1e6;
const REACH_MS_MAX = 10_000;
const POLL_MS = 20;
const SLEEP_MS = 600;
const QUEENS = 12;
const HOUR_MS = 3_600_000;
/** Of the ten lines, given before the checkpoint. */
const LINES_BEFORE = 4;

const home = join(scratchDirectory(), 'home');
const stasis = stasisIn(home);
const lines = GUEST_CASES.find(({ name }) => name === 'blocked-stdin')!.lines!;

function built(name: string): string {
  return join(ROOT, 'guests', 'build', `${name}.wasm`);
}

/** Makes a checkpoint and says how long the guest took to get to a safepoint. */
async function capture(job: string, words: readonly string[] = []): Promise<void> {
  const { status, stdout, stderr } = await stasis(['checkpoint', '--json', ...words, job]);
  expect({ status, stderr: String(stderr) }).toEqual({ status: 0, stderr: '' });
  const { reachNs, pauseNs } = JSON.parse(String(stdout)) as Record<string, number>;
  const reachMs = reachNs! / NS_PER_MS;
  process.stdout.write(
    `${job}: reached in ${reachMs.toFixed(2)} ms, paused ${(pauseNs! / NS_PER_MS).toFixed(2)} ms\n`,
  );
  expect(reachMs).toBeLessThan(REACH_MS_MAX);
}

/** SIGKILL to host and cell. */
async function killBoth(job: string): Promise<void> {
  const state = await openState(home);
  const { run } = state.table.find(state.owner, job);
  await state.close();
  killProcess(run.host);
  killProcess(run.cell!);
}

async function logOf(job: string): Promise<string> {
  return String((await stasis(['logs', '--raw', job])).stdout);
}

/** Waits until the job has written so many lines. */
async function linesLogged(job: string, count: number): Promise<void> {
  while ((await logOf(job)).split('\n').length <= count) await sleep(POLL_MS);
}

test('a guest that computes goes on after both its processes were killed', async () => {
  await stasis(['run', '--detach', '--name', 'computing', built('nqueens'), String(QUEENS)]);
  await capture('computing');
  await killBoth('computing');
  expect((await stasis(['restore', 'computing'])).status).toBe(0);
  const written = (await logOf('computing')).split('\n');
  // A line for each column of the first queen, the sum, "ok nqueens", and nothing behind its end.
  expect(new Set(written).size).toBe(QUEENS + 3);
  expect(written).toHaveLength(QUEENS + 3);
  expect(written.slice(-3)).toEqual([`${QUEENS} queens: 14200 solutions`, 'ok nqueens', '']);
});

test('a guest that sleeps for an hour is captured at once, and again after a restore', async () => {
  await stasis(['run', '--detach', '--name', 'hour', built('sleeping-poll'), String(HOUR_MS)]);
  await capture('hour');
  await killBoth('hour');
  expect((await stasis(['restore', '--detach', 'hour'])).status).toBe(0);
  await capture('hour', ['--stop']);
});

test('a sleep goes on for what was left of it, by the clock of the guest', async () => {
  await stasis(['run', '--detach', '--name', 'nap', built('sleeping-poll'), String(SLEEP_MS)]);
  await capture('nap', ['--stop']);
  expect((await stasis(['restore', 'nap'])).status).toBe(0);
  const log = await logOf('nap');
  expect(log).not.toContain('differs');
  expect(log).toMatch(/ok sleeping-poll\n$/);
});

test('a guest that waits for a pipe gets the rest of its input after a restore', async () => {
  const module = built('blocked-stdin');
  const whole = { echoed: 0, taken: 0 };
  const reference = await stasis(['run', module], { talk: feedInStep(lines, whole) });
  const first = reported(
    stasis(['run', '--json', '--name', 'pipe', module], {
      // The pipe stays open: the guest waits for more.
      talk: feedInStep(lines.slice(0, LINES_BEFORE), { ...whole, open: true }),
    }),
  );
  while ((await stasis(['ps', '--json'])).stdout.indexOf('"job":"pipe"') < 0) await sleep(POLL_MS);
  await linesLogged('pipe', LINES_BEFORE);
  await capture('pipe');
  await killBoth('pipe');
  await expect(first).rejects.toThrow('no report');
  const so = { echoed: LINES_BEFORE, taken: LINES_BEFORE };
  const rest = await stasis(['restore', 'pipe'], { talk: feedInStep(lines, so) });
  expect({ status: rest.status, stderr: String(rest.stderr) }).toEqual({ status: 0, stderr: '' });
  expect(await logOf('pipe')).toBe(String(reference.stdout));
});

test('a guest that waits for a terminal is captured, and reads on when it has one again', async () => {
  const onTerminal = (words: string, input: string, more: boolean) => {
    const child = spawn(
      'script',
      ['-qec', `${process.execPath} ${COMMAND} ${words}`, '/dev/null'],
      {
        env: { PATH: process.env['PATH'], STASIS_HOME: home },
        stdio: ['pipe', 'ignore', 'inherit'],
      },
    );
    child.stdin.write(input);
    if (!more) child.stdin.end();
    return new Promise((resolve) => child.once('close', resolve));
  };
  const first = onTerminal(
    `run --name tty ${built('blocked-stdin')}`,
    lines.slice(0, LINES_BEFORE).join(''),
    true,
  );
  while ((await stasis(['ps', '--json'])).stdout.indexOf('"job":"tty"') < 0) await sleep(POLL_MS);
  await linesLogged('tty', LINES_BEFORE);
  await capture('tty', ['--stop']);
  await first;
  expect(await onTerminal('restore tty', lines.slice(LINES_BEFORE).join(''), false)).toBe(0);
  expect(await logOf('tty')).toMatch(/ 10 a line\nok blocked-stdin\n$/);
});
