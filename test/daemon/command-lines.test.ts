/** What everybody may read of a process, in `/proc`: nothing there tells what a user gave to a guest. */
import { chmodSync, copyFileSync, mkdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { ALICE, DaemonUnderTest, IS_ROOT } from './daemon-under-test.ts';

const MARK = 'seen-by-nobody';
const daemon = new DaemonUnderTest();
const place = join(daemon.homeOf(ALICE), MARK);
const module = join(place, 'sleeper.wasm');

beforeAll(async () => {
  mkdirSync(place);
  chmodSync(place, 0o777);
  copyFileSync('guests/build/sleeping-poll.wasm', module);
  await daemon.start();
});

interface Shown {
  readonly job: string;
  readonly hostPid: number;
  readonly cellPid: number;
}

/** `--confine off` as well, where a host takes it: it is no reason to show more. */
describe.each([
  ['behind a daemon', true, []],
  ['of a host of its own', false, []],
  ['of a host of its own, unconfined', false, ['--confine', 'off']],
] as const)('a job %s', (_, isBehind, further) => {
  const env: Record<string, string> = isBehind ? {} : { STASIS_HOST: '' };
  env[MARK.replaceAll('-', '_')] = MARK;

  test('has processes whose command lines and environments name no grant', async () => {
    const name = `job-${isBehind}-${further.length}`;
    const words = [
      ...['run', '--detach', '--name', name, ...further],
      ...['--dir', `${place}::/work`, '--env', `NAME=${MARK}`],
      ...['--env-secret', MARK.replaceAll('-', '_'), '--pool', `tree=${join(place, 'tree')}`],
      ...[module, '100000', MARK],
    ];
    expect(await daemon.ask(ALICE, words, { env })).toMatchObject({ status: 0 });
    const { stdout } = await daemon.ask(ALICE, ['ps', '--json'], { env });
    const { hostPid, cellPid } = (JSON.parse(stdout).jobs as Shown[]).find(
      ({ job }) => job === name,
    )!;
    let read = 0;
    for (const pid of [hostPid, cellPid]) {
      for (const file of IS_ROOT ? ['cmdline', 'environ'] : ['cmdline']) {
        const text = readFileSync(`/proc/${pid}/${file}`, 'latin1');
        if (file === 'cmdline') expect(text).toContain('node');
        expect(text).not.toContain(MARK);
        // Nor the job's own directory.
        expect(text).not.toContain('/files/');
        read += text.length;
      }
    }
    const removed = await daemon.ask(ALICE, ['rm', '--force', name], { env });
    expect(removed).toMatchObject({ status: 0 });
    console.log(`${name}: ${read} characters read`);
  });
});
