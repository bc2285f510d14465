/**
 * A script of calls, captured between any two of them and brought back in another process: the rest is
 * answered as in a run without. And calls with any arguments at all: an errno each, and nothing breaks.
 */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { poolCalls } from '../../src/pool/pool-calls.ts';
import type { PoolGrant } from '../../src/pool/pool-grant.ts';
import { type Chance, chanceOf, newChance } from '../e2e/random-source.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { grantOf, PAGE, PoolGuest, restarted, SLOTS_AT } from './pool-guest.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const SCRIPTS = NIGHTLY ? 20 : 2;
const CALLS = 40;
const SLOTS = 4;
const PAGES = 9;
const FUZZ_CALLS = NIGHTLY ? 1_000_000 : 20_000;
const scratch = scratchDirectory();
let files = 0;
const newFile = (): string => join(scratch, `pages-${files++}`);
const seed = newChance().seed;
const ways = poolCalls() === null ? ['copy'] : ['copy', 'window'];

type Step = (guest: PoolGuest) => unknown;

/** What a step answers, and every pinned page as the guest sees it then. */
function seen(guest: PoolGuest, answer: unknown): unknown {
  const pinned: unknown[] = [];
  for (let page = 0; page < PAGES; page++) {
    const twice = guest.tryPin(0, page, 2);
    if (twice !== 0) continue;
    const address = guest.memory.view.getUint32(512, true);
    const bytes = Buffer.from(guest.at(address));
    if (guest.facts(0).pinned > 0) pinned.push([page, bytes.toString('latin1', 0, 8)]);
    guest.unpin(0, page);
  }
  return [answer, pinned, guest.facts(0).pinned];
}

/** Steps that depend on nothing but those before them. */
function scriptOf(chance: Chance, way: string): Step[] {
  const steps: Step[] = [(guest) => guest.open('p', { window: way === 'window', slots: SLOTS })];
  const any = (limit: number) => chance.below(limit);
  for (let count = 0; count < CALLS; count++) {
    const page = any(PAGES);
    const byte = any(256);
    const kinds: Step[] = [
      (guest) => guest.tryPin(0, page, 2),
      (guest) => guest.tryPin(0, page, 3),
      (guest) => guest.tryPin(0, page, 3),
      (guest) => guest.unpin(0, page),
      (guest) => guest.unpin(0, page, true),
      (guest) => guest.unpin(0, page, true),
      (guest) => guest.flush(0),
      (guest) => guest.call('version', 0, page, 0) || guest.memory.view.getBigUint64(0, true),
      // Changed, published only if an earlier pin says so later.
      (guest) => {
        if (guest.tryPin(0, page, 3) !== 0) return 'not to be had';
        const at = guest.memory.view.getUint32(512, true);
        guest.at(at).fill(byte);
        guest.unpin(0, page);
        return 'changed';
      },
    ];
    steps.push(kinds[any(kinds.length)]!);
  }
  steps.push((guest) => guest.close(0));
  return steps;
}

describe.each(ways)('a script of calls, captured after each: %s', (way) => {
  test.each(Array.from({ length: SCRIPTS }, (_, at) => at))('script %i', async (at) => {
    const script = scriptOf(chanceOf(seed + at), way);
    const run = async (
      grants: PoolGrant[],
      captureAfter: number,
      reason: 'restarted' | 'resumed' = 'resumed',
    ): Promise<unknown[]> => {
      let guest = new PoolGuest({ grants });
      const told: unknown[] = [];
      for (const [index, step] of script.entries()) {
        const answer = step(guest);
        told.push(index === script.length - 1 ? answer : seen(guest, answer));
        if (index !== captureAfter) continue;
        if (reason === 'restarted') guest = await restarted(guest, grants);
        else await guest.goOn((await guest.capture()).states, reason);
      }
      guest.end();
      return told;
    };
    const grantsOf = () => [grantOf(newFile(), { frames: 8 })];
    const reference = await run(grantsOf(), -1);
    for (let after = 0; after < script.length; after++) {
      for (const reason of ['restarted', 'resumed'] as const) {
        const told = await run(grantsOf(), after, reason);
        expect(told, `${reason} after ${after}, seed ${seed}`).toEqual(reference);
      }
    }
    console.log(`pool ${way}: 2 × ${script.length} captures of a script, seed ${seed + at}`);
  });
});

test('calls with any arguments are answered, and the pool stays whole', async () => {
  const chance = chanceOf(seed);
  const grants = [grantOf(newFile(), { frames: 8 }), grantOf(newFile(), { name: 'q', frames: 8 })];
  const names = ['open', 'close', 'flush', 'pin', 'unpin', 'changed', 'version', 'facts'];
  const numbers = [0, 1, 2, 3, -1, 64, 512, PAGE, SLOTS_AT, SLOTS_AT - 1, 2 ** 31 - 1, -(2 ** 31)];
  let guest = new PoolGuest({ grants });
  const other = new PoolGuest({ grants });
  const its = other.opened('p');
  const answers = new Map<number, number>();
  guest.memory.bytes.set([112, 113], 64);
  for (let call = 0; call < FUZZ_CALLS; call++) {
    // Nothing waits for long: what would is asked for as if a checkpoint were.
    guest.isRequested = true;
    const name = names[chance.below(names.length)]!;
    const any = (): number =>
      chance.below(3) === 0 ? chance.below(12) : numbers[chance.below(numbers.length)]!;
    const args = Array.from({ length: 7 }, any);
    if (name === 'open' && chance.below(2) === 0) {
      const slots = 1 + chance.below(4);
      args.splice(
        0,
        7,
        64 + chance.below(2),
        1,
        PAGE,
        SLOTS_AT * (1 + chance.below(4)),
        slots,
        chance.below(2),
        512,
      );
    }
    // Flushing is what takes time.
    if (name === 'flush' && chance.below(20) > 0) continue;
    const answer = guest.call(name, ...args);
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    guest.memory.bytes.set([112, 113], 64);
    if (chance.below(2000) === 0) {
      guest.isRequested = false;
      guest = await restarted(guest, grants);
    }
  }
  guest.end();
  for (let page = 0; page < 12; page++) expect(other.tryPin(its, page)).toBeLessThanOrEqual(42);
  other.end();
  const kinds = [...answers]
    .sort((a, b) => b[1] - a[1])
    .map(([answer, count]) => `${answer}: ${count}`);
  console.log(
    `pool: ${FUZZ_CALLS} calls with any arguments, seed ${seed}; answers ${kinds.join(', ')}`,
  );
  expect(answers.get(0)).toBeGreaterThan(FUZZ_CALLS / 100);
}, 600_000);
