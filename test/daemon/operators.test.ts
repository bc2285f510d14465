/** Operators through a daemon: another user restores what its owner granted, with no right but the own ones. */
import { chmodSync, chownSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { ALICE, BOB, DaemonUnderTest, IS_ROOT } from './daemon-under-test.ts';

const QUEENS = ['guests/build/nqueens.wasm', '8'];
const FILES = 'guests/build/open-files.wasm';
const daemon = new DaemonUnderTest();
const alice = `uid:${ALICE.uid}`;
const bob = IS_ROOT ? `uid:${BOB.uid}` : 'uid:4711';

beforeAll(() => daemon.start());

test('names of operators are kept, listed and taken back', async () => {
  expect(await daemon.ask(ALICE, ['grant', bob])).toMatchObject({ status: 0, stderr: '' });
  expect((await daemon.ask(ALICE, ['grants'])).stdout).toBe(`${bob}\n`);
  if (IS_ROOT) expect((await daemon.ask(BOB, ['grants'])).stdout).toBe('');
  expect((await daemon.ask(ALICE, ['grant', '--revoke', bob])).status).toBe(0);
  expect((await daemon.ask(ALICE, ['grants'])).stdout).toBe('');
});

test('an operator restores, and gives every right himself', async () => {
  if (!IS_ROOT) {
    const own = await daemon.ask(ALICE, ['checkpoints', '--owner', 'uid:4711', '--json']);
    expect(JSON.parse(own.stdout)).toEqual({ checkpoints: [] });
    return;
  }
  const private_ = join(daemon.state, '..', 'hers');
  mkdirSync(private_);
  chownSync(private_, ALICE.uid, ALICE.gid);
  chmodSync(private_, 0o700);
  const stopped = ['--checkpoint-at-fuel', '20000:stop', ...QUEENS];
  expect((await daemon.ask(ALICE, ['run', '--name', 'queens', ...stopped])).status).toBe(0);
  const holding = ['--dir', `${private_}::/data`, '--checkpoint-at-call', '40:stop', FILES];
  expect((await daemon.ask(ALICE, ['run', '--name', 'files', ...holding])).status).toBe(0);

  const restore = (job: string, ...words: string[]) =>
    daemon.ask(BOB, ['restore', '--owner', alice, job, ...words]);
  expect((await restore('queens')).stderr).toContain('ERR_NO_SUCH_JOB');
  expect((await daemon.ask(ALICE, ['grant', bob])).status).toBe(0);
  const listed = await daemon.ask(BOB, ['checkpoints', '--owner', alice, '--json']);
  expect(JSON.parse(listed.stdout).checkpoints).toHaveLength(2);

  // What is Alice's is not Bob's to give, and what she asked for does not count as asked by him.
  const missing = await restore('files');
  expect(missing.stderr).toContain('directory /data for reading and writing');
  expect(missing.stderr).toContain('(ERR_RESOURCE_NOT_GRANTED)');
  const hers = await restore('files', '--dir', `${private_}::/data`);
  expect(hers.status).toBe(125);
  expect(hers.stdout).toBe('');
  for (const word of ['--clone', '--again', '--rm']) {
    expect((await restore('queens', word)).stderr, word).toContain('(ERR_NOT_ALLOWED)');
  }
  const shared = join(daemon.scratch, 'shared');
  mkdirSync(shared);
  chmodSync(shared, 0o777);
  const kept = ['--dir', `${shared}::/data::rollback`];
  const back = [...kept, '--checkpoint-at-call', '40:stop', FILES];
  expect((await daemon.ask(ALICE, ['run', '--name', 'back', ...back])).status).toBe(0);
  const his = await restore('back', ...kept);
  expect(his.stderr).toContain('Only the user who ran the guest can bring back its files');
  expect(his.stderr).toContain('(ERR_NOT_ALLOWED)');
  const twin = await daemon.ask(ALICE, ['restore', '--clone', 'back']);
  expect(twin.stderr).toContain('A clone can not bring back files');
  // Nothing was begun that would stand in the way of who may.
  expect((await daemon.ask(ALICE, ['restore', 'back'])).status).toBe(0);
  const done = await restore('queens');
  expect(done.stderr).toBe('');
  expect(done.status).toBe(0);
  expect((await daemon.ask(BOB, ['ps', '--all', '--json'])).stdout).toContain('"jobs":[]');

  const { stdout } = await daemon.ask(ALICE, ['audit', '--json']);
  for (const event of [
    'operator granted',
    'operator listed',
    'operator opened',
    'claimed',
    'used',
  ]) {
    expect(stdout).toContain(`"${event}"`);
  }
  expect((await daemon.ask(ALICE, ['grant', '--revoke', bob])).status).toBe(0);
  expect((await restore('files')).stderr).toContain('ERR_NO_SUCH_JOB');
});
