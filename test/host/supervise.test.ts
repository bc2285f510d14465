import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { EMPTY_START } from '../../src/cell/empty-start.ts';
import type { StartMessage } from '../../src/cell/protocol.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { type CellProgram, cellProgram } from '../../src/host/cell-command.ts';
import { isAlive } from '../../src/host/process-identity.ts';
import {
  type GuestRun,
  type PausedImage,
  type SealedImage,
  type SuperviseOptions,
  superviseGuest,
} from '../../src/host/supervise.ts';
import { UNATTENDED } from './unattended.ts';

const program: CellProgram = {
  ...cellProgram(process.execPath),
  entry: fileURLToPath(new URL('./scripted-cell.ts', import.meta.url)),
};
const codeDirectories = [...program.codeDirectories, fileURLToPath(new URL('.', import.meta.url))];

const start = (script: string): StartMessage => ({ ...EMPTY_START, args: [script] });

interface Watched {
  readonly run: GuestRun;
  readonly started: Promise<void>;
  readonly sealed: PausedImage[];
  readonly troubles: HostError[];
  readonly instrumented: number[];
}

async function watch(script: string, change: Partial<SuperviseOptions> = {}): Promise<Watched> {
  const sealed: PausedImage[] = [];
  const troubles: HostError[] = [];
  const instrumented: number[] = [];
  const started = Promise.withResolvers<void>();
  const run = await superviseGuest({
    ...UNATTENDED,
    program: { ...program, codeDirectories },
    start: start(script),
    attachments: [new Uint8Array(8)],
    seal: async (image): Promise<SealedImage> => {
      sealed.push(image);
      const sequence = sealed.length;
      return { id: `id${sequence}`, sequence, stamp: 's', imageBytes: 1, storedBytes: 1 };
    },
    onInstrumented: ({ bytes, plan }) => instrumented.push(bytes.length, plan.length),
    onStarted: () => started.resolve(),
    onTrouble: (error) => troubles.push(error),
    ...change,
  });
  return { run, started: started.promise, sealed, troubles, instrumented };
}

const diskFull = () => Promise.reject(new HostError('ERR_DISK_FULL', 'The disk is full.'));

describe('a guest that ends', () => {
  test('gives its own status and counters', async () => {
    const { run } = await watch('exit');
    expect(await run.ended).toEqual({
      ending: { kind: 'exit', code: 7 },
      fuel: '5',
      calls: '6',
      memoryDigest: null,
    });
  });

  test('by a trap has its message and the names of its functions shown escaped', async () => {
    const { run } = await watch('trap');
    expect((await run.ended).ending).toEqual({
      kind: 'trap',
      message: 'bad \\u{1b}[2Jthing',
      stack: {
        frames: [{ func: 1, name: `f\\u{a}\\u{202e}${'x'.repeat(197)}…`, offset: 9 }],
        more: 2,
        isCut: false,
      },
    });
  });

  test('before it started, for a reason of the cell, gives that reason escaped', async () => {
    const { run } = await watch('fail');
    expect((await run.ended).ending).toEqual({
      kind: 'failed',
      code: 'ERR_NO_ENTRY',
      message: 'No entry\\u{a}here.',
      hint: null,
      facts: { wanted: '_start\\u{7}', list: '…' },
    });
  });

  test('with a code that is not in the table is a fault of the protocol', async () => {
    const { run } = await watch('fail with a strange code');
    expect((await run.ended).ending).toMatchObject({ kind: 'failed', code: 'ERR_PROTOCOL' });
  });

  test.each([
    ['quit', { kind: 'failed', code: 'ERR_CELL_LOST', facts: { status: 3 } }],
    ['die', { kind: 'signal', signal: 'SIGKILL', by: 'outside' }],
  ])('without a word (%s) is told apart', async (script, ending) => {
    const { run } = await watch(script);
    expect((await run.ended).ending).toMatchObject(ending);
  });

  test('leaves no process behind', async () => {
    const { run } = await watch('exit');
    await run.ended;
    expect(isAlive({ pid: run.cellPid, stamp: null })).toBe(false);
  });
});

describe('a cell that breaks the protocol is ended', () => {
  test.each([
    'babble',
    'swell',
    'send an image nobody asked for',
    'trigger too often',
    'not wait',
    'instrument late',
    'instrument twice',
  ])('%s', async (script) => {
    const { run, sealed } = await watch(script);
    expect((await run.ended).ending).toMatchObject({ kind: 'failed', code: 'ERR_PROTOCOL' });
    expect(sealed).toEqual([]);
  });
});

describe('a checkpoint', () => {
  test('is sealed and acknowledged', async () => {
    const { run, started, sealed } = await watch('serve');
    await started;
    const done = await run.checkpoint(false);
    expect(done).toMatchObject({ id: 'id1', sequence: 1, reachNs: 10, pauseNs: 20 });
    expect(sealed[0]).toMatchObject({ cause: 'request' });
    expect(sealed[0]!.pages.length).toBe(65_536);
    run.kill('SIGTERM');
    expect((await run.ended).ending).toEqual({ kind: 'signal', signal: 'SIGTERM', by: 'host' });
  });

  test('of several askers at once answers them all', async () => {
    const { run, started, sealed } = await watch('serve');
    await started;
    await Promise.all([run.checkpoint(false), run.checkpoint(false), run.checkpoint(false)]);
    expect(sealed.length).toBe(3);
    run.kill('SIGTERM');
    await run.ended;
  });

  test('that can not be sealed is refused to the asker and to the cell', async () => {
    const { run, started } = await watch('serve', { seal: diskFull });
    await started;
    await expect(run.checkpoint(false)).rejects.toMatchObject({ code: 'ERR_DISK_FULL' });
    // The script ends with 9 when it is told of the failure.
    expect((await run.ended).ending).toEqual({ kind: 'exit', code: 9 });
  });

  test('that the guest can not give now is refused with the reason, escaped', async () => {
    const { run, started } = await watch('refuse');
    await started;
    await expect(run.checkpoint(false)).rejects.toMatchObject({
      code: 'ERR_NOT_CAPTURABLE',
      message: expect.stringContaining('busy\\u{7}'),
    });
    run.kill('SIGKILL');
    await run.ended;
  });

  test('of a guest that ends instead is refused', async () => {
    const { run, started } = await watch('end instead');
    await started;
    await expect(run.checkpoint(false)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_RUNNING' });
    await run.ended;
    await expect(run.checkpoint(false)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_RUNNING' });
  });

  test('of a guest that has not started is refused', async () => {
    const { run } = await watch('never start');
    await expect(run.checkpoint(false)).rejects.toMatchObject({ code: 'ERR_JOB_NOT_RUNNING' });
    run.kill('SIGKILL');
    await run.ended;
  });

  test('that the guest asked for is told to it, success and failure', async () => {
    const good = await watch('ask and wait');
    expect((await good.run.ended).ending).toEqual({ kind: 'exit', code: 0 });
    expect(good.sealed[0]).toMatchObject({ cause: 'guest' });
    const bad = await watch('ask and wait', { seal: diskFull });
    expect((await bad.run.ended).ending).toEqual({ kind: 'exit', code: 1 });
    expect(bad.troubles).toMatchObject([{ code: 'ERR_DISK_FULL' }]);
  });

  test('that is being sealed when the guest ends is finished first', async () => {
    let finished = false;
    const { run } = await watch('ask and end', {
      seal: async () => {
        await sleep(200);
        finished = true;
        return { id: 'x', sequence: 1, stamp: 's', imageBytes: 1, storedBytes: 1 };
      },
    });
    await run.ended;
    expect(finished).toBe(true);
  });

  test('by the timer is made one at a time', async () => {
    let busy = 0;
    let most = 0;
    let count = 0;
    const enough = Promise.withResolvers<void>();
    const { run } = await watch('serve', {
      checkpointEveryMs: 5,
      seal: async (image) => {
        expect(image.cause).toBe('timer');
        busy += 1;
        most = Math.max(most, busy);
        await sleep(30);
        busy -= 1;
        count += 1;
        if (count === 3) enough.resolve();
        return { id: 'x', sequence: count, stamp: 's', imageBytes: 1, storedBytes: 1 };
      },
    });
    await enough.promise;
    run.kill('SIGTERM');
    await run.ended;
    expect(most).toBe(1);
  });
});

test('a deadline ends a guest that says nothing', async () => {
  const { run } = await watch('never start', { timeoutMs: 300 });
  expect((await run.ended).ending).toEqual({ kind: 'deadline' });
});

test('an instrumented module is handed on', async () => {
  const { run, instrumented } = await watch('instrument');
  await run.ended;
  expect(instrumented).toEqual([2, 1]);
});
