/** A guest in the foreground is the same with a daemon and without: streams, status, signals. */
import type { ChildProcess } from 'node:child_process';
import { closeSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { ALICE, DaemonUnderTest } from './daemon-under-test.ts';

const daemon = new DaemonUnderTest();
const AGAIN_MS = 50;
/** Every byte there is, and more than any pipe holds. */
const BINARY = Uint8Array.from({ length: 300_000 }, (_, at) => (at * 7 + (at >> 8)) & 0xff);

beforeAll(() => daemon.start());

describe('the same with a daemon and without', () => {
  test.each<[string, string[], (string | Uint8Array)?]>([
    ['a computation', ['guests/build/nqueens.wasm', '6']],
    ['streams that are copied', ['guests/build/copy-stream.wasm', '3'], BINARY],
    ['no input', ['guests/build/copy-stream.wasm', '3'], ''],
    ['heap', ['guests/build/heap.wasm']],
    ['recursion', ['guests/build/recursion.wasm', '50']],
    ['floats', ['guests/build/floats.wasm']],
    ['strings', ['guests/build/strings.wasm']],
    ['a checkpoint of its own', ['guests/build/self-checkpoint.wasm']],
    ['a status of its own', ['guests/build/open-files.wasm']],
    ['an end by fuel', ['--fuel', '1000', 'guests/build/nqueens.wasm', '10']],
    ['an end by memory', ['--max-memory', '64KiB', 'guests/build/heap.wasm']],
    ['a missing module', ['guests/build/no-such.wasm']],
    ['text as a module', ['README.md']],
    ['a missing export', ['--invoke', 'none', 'guests/build/nqueens.wasm']],
  ])('%s', async (_, words, input = '') => {
    const [behind, here] = await Promise.all([
      daemon.ask(ALICE, ['run', ...words], { input }),
      daemon.ask(ALICE, ['run', ...words], { input, env: { STASIS_HOST: '' } }),
    ]);
    expect(behind).toEqual(here);
    expect(behind.stdout.length + behind.stderr.length).toBeGreaterThan(0);
  });

  test('a report as JSON, save its names', async () => {
    const words = ['run', '--json', 'guests/build/nqueens.wasm', '5'];
    const [behind, here] = await Promise.all([
      daemon.ask(ALICE, words),
      daemon.ask(ALICE, words, { env: { STASIS_HOST: '' } }),
    ]);
    const plain = ({ stderr }: { stderr: string }) => ({ ...JSON.parse(stderr), job: '', id: '' });
    expect(plain(behind)).toEqual(plain(here));
  });

  test('a file as output, which goes on where it was', async () => {
    const path = join(daemon.homeOf(ALICE), 'output');
    const fd = openSync(path, 'a');
    const words = ['run', 'guests/build/nqueens.wasm', '4'];
    for (let turn = 0; turn < 2; turn += 1) {
      expect((await daemon.ask(ALICE, words, { stdout: fd })).status).toBe(0);
    }
    closeSync(fd);
    const lines = readFileSync(path, 'utf8').trimEnd().split('\n');
    expect(lines.filter((line) => line === 'ok nqueens')).toHaveLength(2);
  });
});

describe('a guest in the foreground', () => {
  async function sleeper(name: string, act: (child: ChildProcess) => void) {
    let client: ChildProcess | undefined;
    const over = daemon.ask(
      ALICE,
      ['run', '--name', name, 'guests/build/sleeping-poll.wasm', '100000'],
      { onStart: (child) => (client = child) },
    );
    await until(name, (job) => typeof job?.['cellPid'] === 'number');
    act(client!);
    return over;
  }

  async function until(name: string, right: (job?: Record<string, unknown>) => boolean) {
    for (;;) {
      const { stdout } = await daemon.ask(ALICE, ['ps', '--all', '--json']);
      const job = JSON.parse(stdout).jobs.find(({ job }: { job: string }) => job === name);
      if (right(job)) return job;
      await sleep(AGAIN_MS);
    }
  }

  test('is ended by a signal to its client', async () => {
    const { status, stderr } = await sleeper('interrupted', (child) => child.kill('SIGINT'));
    expect(status).toBe(130);
    expect(stderr).toContain('ended by SIGINT');
  });

  test('is ended when its client is killed, as by a terminal that is closed', async () => {
    await sleeper('hung-up', (child) => child.kill('SIGKILL'));
    const job = await until('hung-up', (one) => one?.['state'] === 'killed');
    expect(job.ending).toMatchObject({ kind: 'signal', signal: 'SIGHUP' });
  });

  test('can be captured from elsewhere, and go on in the background', async () => {
    const { status } = await sleeper('moved', () => {
      void daemon.ask(ALICE, ['checkpoint', '--stop', 'moved']);
    });
    expect(status).toBe(0);
    const restored = await daemon.ask(ALICE, ['restore', '--detach', 'moved']);
    expect(restored).toMatchObject({ status: 0, stdout: 'moved\n', stderr: '' });
    const again = await daemon.ask(ALICE, ['run', '--name', 'moved', 'guests/build/heap.wasm']);
    expect(again.stderr).toContain('ERR_JOB_EXISTS');
    expect((await daemon.ask(ALICE, ['rm', '--force', 'moved'])).status).toBe(0);
  });
});

/** Processes that the daemon started and that are there. */
function attendants(): number {
  return readdirSync('/proc').filter((name) => {
    if (!/^\d+$/.test(name)) return false;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'latin1');
      return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1] === String(daemon.pid);
    } catch {
      return false;
    }
  }).length;
}

test('who follows a silent log and hangs up leaves nothing behind', async () => {
  const run = ['run', '--detach', '--name', 'silent', 'guests/build/sleeping-poll.wasm', '100000'];
  expect((await daemon.ask(ALICE, run)).status).toBe(0);
  while (attendants() > 1) await sleep(AGAIN_MS);
  let client: ChildProcess | undefined;
  const followed = daemon.ask(ALICE, ['logs', '--follow', 'silent'], {
    onStart: (child) => (client = child),
  });
  while (attendants() < 2) await sleep(AGAIN_MS);
  client!.kill('SIGKILL');
  await followed;
  while (attendants() > 1) await sleep(AGAIN_MS);
  expect((await daemon.ask(ALICE, ['rm', '--force', 'silent'])).status).toBe(0);
  while (attendants() > 0) await sleep(AGAIN_MS);
});

test('a log is followed to its end', async () => {
  const run = ['run', '--detach', '--name', 'logged', 'guests/build/nqueens.wasm', '8'];
  expect((await daemon.ask(ALICE, run)).status).toBe(0);
  const { status, stdout } = await daemon.ask(ALICE, ['logs', '--follow', 'logged']);
  expect(status).toBe(0);
  expect(stdout).toMatch(/^first queen in column 1:[\s\S]*ok nqueens\n$/);
});
