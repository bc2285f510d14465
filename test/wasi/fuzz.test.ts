/**
 * Random calls with random arguments, from time to time captured and restored, while another process
 * swaps directories for links.
 *
 * Holds: every call answers with an errno or ends the guest, never with a failure of the host's; what
 * lies beside the granted directories is neither changed nor read; a directory granted read-only is not
 * changed; nothing stays open that the guest doesn't hold; a script gives the same when it is captured.
 *
 * `STASIS_SEED` repeats a run; `STASIS_NIGHTLY=1` goes on for ten minutes in all.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import * as fs from 'node:fs';
import { join } from 'node:path';
import { setImmediate as immediate } from 'node:timers/promises';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { HostError } from '../../src/fault/host-error.ts';
import type { CapturedResources, Grants } from '../../src/handle/grants.ts';
import { INTERRUPTED } from '../../src/resource/pause.ts';
import { GuestExit } from '../../src/wasi/environment.ts';
import { type Chance, chanceOf, newChance } from '../e2e/random-source.ts';
import { throughImage } from '../handle/through-image.ts';
import {
  createHost,
  type Guest,
  type Host,
  removeHost,
  restoredGuest,
  startGuest,
} from './harness.ts';
import { openBelow } from './open-below.ts';
import { CALLS, randomCall } from './random-calls.ts';

const SECRET = 'this-lies-outside-and-is-not-for-the-guest';
const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
/** How long one test goes on, and how many calls a round has. */
const LASTS_MS = NIGHTLY ? 200_000 : 3000;
const CALLS_A_ROUND = 400;

/** Rounds that found something once. */
const CASES: readonly number[] = [1, 2, 3];
/** The same for scripts: a guest that writes what a listing put into its memory. */
const SCRIPTS: readonly number[] = [3234042192];

let host: Host;
let swapper: ChildProcess | null = null;

beforeEach(() => {
  host = createHost();
});

afterEach(() => {
  swapper?.kill('SIGKILL');
  swapper = null;
  removeHost(host);
});

const grants = (): Partial<Grants> => ({
  preopens: [
    { hostPath: join(host.dir, 'in'), guestPath: '/', readOnly: false },
    { hostPath: join(host.dir, 'fixed'), guestPath: '/fixed', readOnly: true },
  ],
});

/** The granted directories, and beside them what nobody may touch. */
function layOut(): void {
  for (const name of fs.readdirSync(host.dir)) {
    fs.rmSync(join(host.dir, name), { recursive: true, force: true });
  }
  for (const name of ['in/dir', 'fixed/dir', 'out/deep']) {
    fs.mkdirSync(join(host.dir, name), { recursive: true });
  }
  for (const name of ['in/a', 'in/dir/a', 'fixed/a', 'fixed/dir/a']) {
    fs.writeFileSync(join(host.dir, name), 'what a guest may read');
  }
  fs.writeFileSync(join(host.dir, 'out/secret'), SECRET);
  fs.writeFileSync(join(host.dir, `out/${SECRET}`), '');
  fs.symlinkSync('../out', join(host.dir, 'in/up'));
  fs.symlinkSync(join(host.dir, 'out'), join(host.dir, 'in/abs'));
  fs.symlinkSync('loop', join(host.dir, 'in/loop'));
  fs.symlinkSync('../../out/secret', join(host.dir, 'fixed/dir/up'));
}

/** Everything below `name` that a guest could have changed. */
function picture(name: string): string[] {
  const lines: string[] = [];
  const look = (path: string): void => {
    const stats = fs.lstatSync(path, { bigint: true });
    const { mode, nlink, size, mtimeNs } = stats;
    lines.push(`${path} ${mode} ${nlink} ${size} ${mtimeNs}`);
    if (stats.isDirectory()) for (const entry of fs.readdirSync(path)) look(join(path, entry));
    else if (stats.isFile()) lines.push(fs.readFileSync(path, 'utf8'));
  };
  look(join(host.dir, name));
  return lines;
}

/** Waits end at once: time passes where there is a deadline, and a checkpoint is asked for elsewhere. */
function neverWait(): void {
  host.waits.length = 0;
  for (let times = 0; times < 8; times++) {
    host.waits.push((untilNs) => {
      if (untilNs === null) return 'interrupted';
      if (untilNs > host.clock.monotonicNs) host.clock.monotonicNs = untilNs;
      return 'timeout';
    });
  }
}

/** Makes the call; its errno, INTERRUPTED, or the exit code as text. */
function make(guest: Guest, name: string, args: readonly (number | bigint)[]): number | string {
  neverWait();
  try {
    const result = guest.calls[name]!(...args);
    guest.environment.progress = null;
    return result;
  } catch (error) {
    if (error instanceof GuestExit) return `exit ${error.code}`;
    throw error;
  }
}

/** As it comes out of an image. */
/** The guest in fresh resources; the same guest when it can't be captured now. */
async function restored(guest: Guest): Promise<Guest> {
  let captured: CapturedResources;
  try {
    captured = await guest.resources.quiesce();
  } catch (error) {
    if (error instanceof HostError) return guest;
    throw error;
  }
  guest.resources.close();
  const next = await restoredGuest(host, throughImage(captured), grants());
  next.memory.bytes.set(guest.memory.bytes);
  return next;
}

interface Tally {
  calls: number;
  succeeded: number;
  captures: number;
}

/** One round, and what must hold in and after it. */
async function playRound(chance: Chance, tally: Tally, swapped: boolean): Promise<void> {
  if (!swapped) layOut();
  const untouched = [picture('out'), picture('fixed')];
  let guest = startGuest(host, grants());
  host.stdin.push(Buffer.from('some input'));
  try {
    for (let step = 0; step < CALLS_A_ROUND; step++) {
      const { name, args } = randomCall(chance, guest, CALLS);
      const result = make(guest, name, args);
      const shown = `seed ${chance.seed}, step ${step}: ${name}(${args.join(', ')}) gave ${result}`;
      tally.calls += 1;
      if (result === 0) tally.succeeded += 1;
      if (typeof result === 'number') {
        expect(result === INTERRUPTED || (result >= 0 && result <= ERRNO.NOTCAPABLE), shown).toBe(
          true,
        );
        // No call of these fails on a healthy disk; a failure of our own would show as this.
        expect(result, shown).not.toBe(ERRNO.IO);
      }
      const { bytes } = guest.memory;
      const seen = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).indexOf(SECRET);
      expect(seen, `${shown}, and what lies outside was read`).toBe(-1);
      if (!swapped && chance.below(60) === 0) {
        const next = await restored(guest);
        if (next !== guest) tally.captures += 1;
        guest = next;
      }
    }
    const held = guest.resources.handles.entries();
    const onHost = held.filter(([, { kind }]) => kind === 'file' || kind === 'directory');
    // The two grants are open beside the guest's own handles.
    expect(openBelow(host.dir).length, `seed ${chance.seed}`).toBeLessThanOrEqual(
      onHost.length + 2,
    );
  } finally {
    guest.resources.close();
  }
  expect([picture('out'), picture('fixed')], `seed ${chance.seed}`).toEqual(untouched);
}

/** Until time is up, each round by a seed of its own. */
async function playRounds(title: string, round: (chance: Chance) => Promise<void>): Promise<void> {
  const { seed } = newChance();
  console.log(`${title}: the first round's seed is ${seed}`);
  const until = Date.now() + LASTS_MS;
  let rounds = 0;
  do {
    await round(chanceOf(seed + rounds));
    rounds += 1;
  } while (Date.now() < until && process.env['STASIS_SEED'] === undefined);
  console.log(`${title}: ${rounds} rounds`);
}

const TIMEOUT = { timeout: LASTS_MS + 60_000 };

test('random calls with random arguments', TIMEOUT, async () => {
  const tally = { calls: 0, succeeded: 0, captures: 0 };
  for (const seed of CASES) await playRound(chanceOf(seed), tally, false);
  await playRounds('random calls', (chance) => playRound(chance, tally, false));
  console.log(`random calls: ${JSON.stringify(tally)}`);
  expect(tally.succeeded).toBeGreaterThan(tally.calls / 20);
  expect(tally.captures).toBeGreaterThan(0);
});

/**
 * Swaps directories for links, and writes a byte for every tenth link that it got into place, the first
 * among them. Any of its steps may fail: the guest renames and removes the same names meanwhile.
 */
const SWAP = `
  const fs = require('node:fs');
  const dir = process.argv[1];
  const succeeds = (step) => { try { step(); return true; } catch { return false; } };
  let swaps = 0;
  for (let turn = 0; ; turn++) {
    for (const name of ['dir', 'b', 'c']) {
      succeeds(() => fs.renameSync(dir + name, dir + '.aside-' + name));
      const swapped = succeeds(() => fs.symlinkSync(turn % 2 ? '../out' : 'out', dir + name));
      succeeds(() => fs.renameSync(dir + '.aside-' + name, dir + '.other-' + name));
      succeeds(() => fs.unlinkSync(dir + name));
      succeeds(() => fs.renameSync(dir + '.other-' + name, dir + name));
      if (swapped && swaps++ % 10 === 0) fs.writeSync(1, 'x');
    }
  }`;

test('random calls while directories are swapped for links', TIMEOUT, async () => {
  const tally = { calls: 0, succeeded: 0, captures: 0 };
  let tens = 0;
  await playRounds('swapped', async (chance) => {
    layOut();
    const args = ['-e', SWAP, `${join(host.dir, 'in')}/`];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'ignore'] });
    swapper = child;
    child.stdout.on('data', (bytes: Buffer) => {
      tens += bytes.length;
    });
    // Without a first link in place this waits until the test's time is over.
    await once(child.stdout, 'data');
    const before = tens;
    // On a machine that is busy the swapper may get no turn for long: calls go on until it had one.
    do {
      await playRound(chance, tally, true);
      await immediate();
      expect(child.exitCode, `seed ${chance.seed}: the swapper lives`).toBeNull();
    } while (tens === before);
    child.kill('SIGKILL');
    await once(child, 'close');
  });
  const { calls, succeeded } = tally;
  console.log(`swapped: ${JSON.stringify({ calls, succeeded, tens })}`);
  expect(tally.succeeded).toBeGreaterThan(tally.calls / 20);
});

/** Calls whose answers depend on nothing but what was called before. */
const REPEATABLE = CALLS.filter((name) => !/^(clock|random|proc|poll|sock)/.test(name));

/** Takes out what is another number in another run: inode numbers and times. */
function wipe(guest: Guest, name: string, args: readonly (number | bigint)[]): void {
  const { bytes } = guest.memory;
  const clear = (at: number, length: number, end: number): void => {
    bytes.fill(0, at, Math.min(at + length, end, bytes.length));
  };
  if (name.endsWith('filestat_get')) clear(Number(args.at(-1)) >>> 0, 64, bytes.length);
  if (name !== 'fd_readdir') return;
  const end = Number(args[1]) + guest.u32(Number(args[4]));
  for (let at = Number(args[1]); at < end; ) {
    const length = at + 20 <= end ? guest.u32(at + 16) : 0;
    clear(at + 8, 8, end);
    at += 24 + length;
  }
}

/** What a script of random calls gives, captured before each call for which `when` says so. */
async function playScript(seed: number, when: (step: number) => boolean) {
  layOut();
  host.stdin.length = 0;
  host.stdin.push(Buffer.from('0123456789'.repeat(20)), 'end');
  const chance = chanceOf(seed);
  let guest = startGuest(host, grants());
  const results: string[] = [];
  let captures = 0;
  for (let step = 0; step < 40; step++) {
    const { name, args } = randomCall(chance, guest, REPEATABLE);
    if (when(step)) {
      const next = await restored(guest);
      if (next !== guest) captures += 1;
      guest = next;
    }
    const result = make(guest, name, args);
    if (result === 0) wipe(guest, name, args);
    results.push(`${name}(${args.join(', ')}) ${result}`);
  }
  const numbers = guest.resources.handles.entries().map(([fd, { kind, flags, rights }]) => {
    const handle = guest.resources.handles.get(fd)!;
    const offset = handle.kind === 'file' ? handle.offsetBytes : 0;
    return `${fd} ${kind} ${flags} ${rights} ${offset}`;
  });
  const unread = guest.resources.handles.entries().map(([, handle]) => {
    return handle.kind === 'stdin' ? Buffer.from(handle.unread).toString() : '';
  });
  guest.resources.close();
  const tree = picture('in').map((line) => line.replace(/ \d+$/, ''));
  return { captures, outcome: { results, numbers, unread, tree, written: { ...host.written } } };
}

test('a random script gives the same, captured between any of its calls', TIMEOUT, async () => {
  let captures = 0;
  const round = async ({ seed, below }: Chance): Promise<void> => {
    Object.assign(host.written, { stdout: '', stderr: '' });
    const whole = await playScript(seed, () => false);
    Object.assign(host.written, { stdout: '', stderr: '' });
    const chosen = new Set(Array.from({ length: 6 }, () => below(40)));
    const every = below(4) === 0;
    const played = await playScript(seed, (step) => every || chosen.has(step));
    captures += played.captures;
    expect(played.outcome, `seed ${seed}`).toEqual(whole.outcome);
  };
  for (const seed of SCRIPTS) await round(chanceOf(seed));
  await playRounds('captured scripts', round);
  console.log(`captured scripts: ${captures} captures`);
  expect(captures).toBeGreaterThan(0);
});
