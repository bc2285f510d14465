/** What users of a daemon learn of the vault, and can do to it: their own part, and not how much others have. */
import { beforeAll, expect, test } from 'vitest';
import { ALICE, BOB, DaemonUnderTest, IS_ROOT, type User } from './daemon-under-test.ts';

const QUEENS = 'guests/build/nqueens.wasm';
const daemon = new DaemonUnderTest();

beforeAll(() => daemon.start());

async function json(user: User, words: readonly string[]): Promise<Record<string, never[]>> {
  const { stdout, stderr } = await daemon.ask(user, [...words, '--json']);
  expect(stderr, words.join(' ')).toBe('');
  return JSON.parse(stdout);
}

async function makeJob(user: User, name: string): Promise<string[]> {
  const triggers = ['2000', '4000', '6000:stop'].flatMap((at) => ['--checkpoint-at-fuel', at]);
  await daemon.ask(user, ['run', '--name', name, ...triggers, QUEENS, '10']);
  const { checkpoints } = await json(user, ['checkpoints', name]);
  return checkpoints!.map(({ id }) => id);
}

test('each sees, forgets and measures what is theirs', async () => {
  const hers = await makeJob(ALICE, 'hers');
  const his = await makeJob(BOB, 'his');
  expect([hers.length, his.length]).toEqual([3, 3]);

  const seen = (await json(BOB, ['audit'])) as unknown as {
    entries: { number: number; facts: { owner: string } }[];
    head: { entries: number };
  };
  const own = IS_ROOT ? seen.entries : seen.entries.filter((_, index) => index > 3);
  expect(new Set(own.map(({ facts }) => facts.owner))).toEqual(new Set([`uid:${BOB.uid}`]));
  if (IS_ROOT) {
    // Counted as if there were nobody else.
    expect(seen.entries.map(({ number }) => number)).toEqual([1, 2, 3, 4]);
    expect(seen.head.entries).toBe(4);
    const { owners, trash } = await json(BOB, ['vault', 'stat']);
    expect(owners!.map(({ owner }) => owner)).toEqual([`uid:${BOB.uid}`]);
    expect(trash).toBeNull();
    const foreign = await daemon.ask(BOB, ['forget', '--id', hers[2]!]);
    const none = await daemon.ask(BOB, ['forget', '--id', '0'.repeat(32)]);
    expect(foreign.stderr).toBe(none.stderr.replace('0'.repeat(32), hers[2]!));
    expect(foreign.stderr).toContain('ERR_NO_SUCH_CHECKPOINT');
  }
  const { dropped } = await json(BOB, ['forget', 'his', '--keep-last', '1']);
  expect(dropped!.map(({ id }) => id)).toEqual(his.slice(1));
  expect((await json(BOB, ['checkpoints', 'his']))['checkpoints']).toHaveLength(1);
  expect((await json(ALICE, ['checkpoints', 'hers']))['checkpoints']).toHaveLength(3);
});

test.each([
  ['vault', 'gc'],
  ['vault', 'verify'],
  ['vault', 'rotate-key'],
  ['vault', 'backup', '/tmp/nowhere'],
  ['vault', 'restore', '/tmp/nowhere'],
  ['vault', 'shred-owner', `uid:${ALICE.uid}`, '--yes'],
  ['audit', '--all'],
  ['audit', '--owner', `uid:${ALICE.uid}`],
])('%s %s is not offered behind the socket', async (...words) => {
  const { status, stderr } = await daemon.ask(BOB, words);
  expect([status, stderr]).toEqual([125, expect.stringContaining('ERR_USAGE')]);
});
