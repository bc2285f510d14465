import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import wabt from 'wabt';
import { scratchDirectory } from '../host/scratch.ts';
import { type Cli, cliIn } from './run-cli.ts';

const NQUEENS = 'guests/build/nqueens.wasm';

/** Computes for ever, so that no test depends on how fast it is. */
const endless = join(scratchDirectory(), 'endless.wasm');
const { parseWat } = await wabt();
const text =
  '(module (memory (export "memory") 1) (func (export "_start") (loop $again (br $again))))';
writeFileSync(endless, parseWat('endless.wat', text).toBinary({}).buffer);

/** How the lines begin that `nqueens 12` prints. */
const EXPECTED = [
  ...Array.from({ length: 12 }, (_, at) => `first queen in column ${at + 1}`),
  '12 queens',
  'ok nqueens',
];

function starts(output: string): string[] {
  return output
    .trimEnd()
    .split('\n')
    .map((line) => line.split(':')[0]!);
}

interface Listed {
  readonly job: string;
  readonly id: string;
  readonly state: string;
  readonly status: number | null;
  readonly run: number;
  readonly hostPid: number;
  readonly cellPid: number;
  readonly checkpoint: { readonly sequence: number } | null;
  readonly restorable: object | null;
}

async function listed(cli: Cli, name: string): Promise<Listed> {
  const { stdout } = await cli(['ps', '--all', '--json']);
  const { jobs } = JSON.parse(stdout) as { jobs: Listed[] };
  return jobs.find(({ job }) => job === name)!;
}

/** Asks again until the job is as wanted; the runner's own limit ends a wait for ever. */
async function until(cli: Cli, name: string, wanted: (job: Listed) => boolean): Promise<Listed> {
  for (;;) {
    const job = await listed(cli, name);
    if (wanted(job)) return job;
    await sleep(20);
  }
}

const captured = ({ checkpoint, state }: Listed) => {
  expect(state).toBe('running');
  return checkpoint !== null;
};

const startJob = (cli: Cli, name: string) =>
  cli(['run', '--detach', '--name', name, '--checkpoint-every', '100ms', endless]);

describe('a job whose host and cell are killed with SIGKILL', () => {
  const home = join(scratchDirectory(), 'home');
  const cli = cliIn(home);

  test('goes on from its last checkpoint, with every line once', async () => {
    const run = ['run', '--detach', '--name', 'job', '--checkpoint-every', '200ms', NQUEENS, '12'];
    expect(await cli(run)).toEqual({ status: 0, stdout: 'job\n', stderr: '' });
    const { hostPid, cellPid } = await until(cli, 'job', captured);
    process.kill(hostPid, 'SIGKILL');
    process.kill(cellPid, 'SIGKILL');
    const { restorable } = await until(cli, 'job', ({ state }) => state === 'restorable');
    const { checkpoints } = JSON.parse((await cli(['checkpoints', 'job', '--json'])).stdout);
    const { id, sequence, stamp } = checkpoints[0];
    expect(restorable).toEqual({ id, sequence, stamp });
    const { stdout: shown } = await cli(['ps']);
    expect(shown).toMatch(new RegExp(`\\njob +restorable +1 +- +- .* #${sequence} ${stamp} `));

    const dry = await cli(['restore', 'job', '--dry-run', '--json']);
    expect(dry.status).toBe(0);
    const receipt = JSON.parse(dry.stdout);
    expect(receipt).toMatchObject({ job: 'job', madeInRun: 1, cause: 'timer', moduleFile: 'same' });
    expect(receipt.checks).toContain('image is whole and authentic');

    const restored = await cli(['restore', 'job']);
    expect(restored).toMatchObject({ status: 0, stderr: '' });
    expect(restored.stdout.endsWith('ok nqueens\n')).toBe(true);
    const { stdout: log } = await cli(['logs', 'job']);
    expect(starts(log)).toEqual(EXPECTED);
    expect(log.endsWith(restored.stdout)).toBe(true);
    expect(await listed(cli, 'job')).toMatchObject({ state: 'exited', status: 0, run: 2 });
  });

  test('leaves nothing behind once it is removed', async () => {
    expect(await cli(['rm', 'job'])).toEqual({ status: 0, stdout: 'job\n', stderr: '' });
    expect(readdirSync(join(home, 'jobs'))).toEqual([]);
    expect(readdirSync(join(home, 'modules'))).toEqual([]);
    expect(readdirSync(join(home, 'run'))).toEqual([]);
    // What it had in the vault is trash until two later collections, or one that is told to empty it.
    expect((await cli(['vault', 'gc', '--empty-trash'])).status).toBe(0);
    expect(readdirSync(join(home, 'vault', 'packs'))).toEqual([]);
    const { stdout } = await cli(['checkpoints', '--json']);
    expect(JSON.parse(stdout)).toEqual({ checkpoints: [] });
    expect((await startJob(cli, 'job')).status).toBe(0);
    expect((await cli(['rm', '--force', 'job'])).status).toBe(0);
  });
});

describe('a running job', () => {
  const home = join(scratchDirectory(), 'home');
  const cli = cliIn(home);

  test('can be neither restored nor removed nor doubled', async () => {
    await startJob(cli, 'busy');
    await until(cli, 'busy', captured);
    expect((await cli(['restore', 'busy'])).stderr).toContain('ERR_JOB_RUNNING');
    expect((await cli(['restore', 'busy', '--detach'])).stderr).toContain('ERR_JOB_RUNNING');
    expect((await cli(['rm', 'busy'])).stderr).toContain('ERR_JOB_RUNNING');
    expect((await startJob(cli, 'busy')).stderr).toContain('ERR_JOB_EXISTS');
  });

  test('is ended by kill, and says by which signal', async () => {
    expect(await cli(['kill', 'busy'])).toEqual({ status: 0, stdout: 'busy\n', stderr: '' });
    expect(await listed(cli, 'busy')).toMatchObject({ state: 'killed', status: 143 });
    const again = await cli(['kill', 'busy']);
    expect(again).toMatchObject({
      status: 125,
      stderr: expect.stringContaining('ERR_JOB_NOT_RUNNING'),
    });
  });

  test('goes on detached after a restore, once only when several restore it at once', async () => {
    const restores = await Promise.all([1, 2, 3].map(() => cli(['restore', 'busy', '--detach'])));
    expect(restores.map(({ status }) => status).sort()).toEqual([0, 125, 125]);
    for (const { status, stderr } of restores) {
      if (status !== 0) expect(stderr).toContain('ERR_JOB_RUNNING');
    }
    expect(await listed(cli, 'busy')).toMatchObject({ state: 'running', run: 2 });
    expect((await cli(['rm', '--force', 'busy'])).status).toBe(0);
  });

  test('takes its cell with it when its host is killed', async () => {
    await startJob(cli, 'half');
    const { hostPid, cellPid } = await until(cli, 'half', captured);
    process.kill(hostPid, 'SIGKILL');
    for (;;) {
      try {
        process.kill(cellPid, 0);
        // A zombie still has its number: nobody is left to ask how it ended but the system itself.
        if (isZombie(cellPid)) break;
      } catch {
        break;
      }
      await sleep(10);
    }
    const { id, state } = await listed(cli, 'half');
    expect(state).toBe('restorable');
    expect((await cli(['rm', 'half'])).status).toBe(0);
    expect(readdirSync(join(home, 'run'))).not.toContain(`${id}.sock`);
  });

  test('whose cell alone is killed is recorded as killed from outside', async () => {
    await startJob(cli, 'cell');
    const { cellPid } = await until(cli, 'cell', captured);
    process.kill(cellPid, 'SIGKILL');
    const job = await until(cli, 'cell', ({ state }) => state !== 'running');
    expect(job).toMatchObject({
      state: 'killed',
      status: 137,
      ending: { kind: 'signal', signal: 'SIGKILL', by: 'outside' },
    });
    expect((await cli(['restore', 'cell', '--detach'])).status).toBe(0);
    expect((await cli(['rm', '--force', 'cell'])).status).toBe(0);
  });
});

describe('checkpoint on request', () => {
  const cli = cliIn(join(scratchDirectory(), 'home'));

  test('prints what was sealed; with --stop the job ends and can go on', async () => {
    await cli(['run', '-d', '--name', 'job', endless]);
    const first = await cli(['checkpoint', 'job', '--json']);
    expect(first.status).toBe(0);
    const done = JSON.parse(first.stdout);
    expect(done).toMatchObject({
      job: 'job',
      sequence: 1,
      id: expect.stringMatching(/^[0-9a-f]{32}$/),
    });
    for (const name of ['reachNs', 'pauseNs', 'imageBytes', 'storedBytes']) {
      expect(done[name], name).toBeGreaterThan(0);
    }
    const second = await cli(['checkpoint', 'job', '--stop']);
    expect(second.stdout).toMatch(/^#2 {2}\d{4}-/);
    const job = await until(cli, 'job', ({ state }) => state !== 'running');
    expect(job).toMatchObject({ state: 'stopped', status: 0 });
    expect((await cli(['checkpoint', 'job'])).stderr).toContain('ERR_JOB_NOT_RUNNING');
    const restored = await cli(['restore', 'job', '--detach', '--json']);
    expect(JSON.parse(restored.stdout)).toMatchObject({
      job: 'job',
      run: 2,
      receipt: { sequence: 2, cause: 'request' },
    });
    expect((await cli(['kill', '--signal', 'INT', 'job'])).status).toBe(0);
    expect(await listed(cli, 'job')).toMatchObject({ state: 'killed', status: 130 });
  });

  test('by the guest itself is one more cause', async () => {
    const { status } = await cli(['run', '--name', 'own', 'guests/build/self-checkpoint.wasm']);
    expect(status).toBe(0);
    const { stdout } = await cli(['checkpoints', 'own', '--json']);
    const { checkpoints } = JSON.parse(stdout) as {
      checkpoints: { id: string; stamp: string; cause: string; run: number }[];
    };
    expect(checkpoints.length).toBeGreaterThan(5);
    expect(new Set(checkpoints.map(({ cause }) => cause))).toEqual(new Set(['guest']));
    expect(checkpoints.map(({ stamp }) => stamp)).toEqual(
      checkpoints
        .map(({ stamp }) => stamp)
        .sort()
        .reverse(),
    );
    const early = checkpoints.at(-2)!;
    for (const words of [
      ['restore', '--id', early.id],
      ['restore', 'own', '--at', early.stamp, '--again'],
      ['restore', 'own'],
      ['restore', '--again'],
    ]) {
      const { status: again, stdout: rest } = await cli(words);
      expect(again, words.join(' ')).toBe(0);
      expect(rest).toContain('ok self-checkpoint');
      const { stdout: log } = await cli(['logs', 'own']);
      expect(log.match(/^round \d+$/gm)).toEqual(['round 0', 'round 1', 'round 2']);
    }
    const none = await cli(['restore', 'own', '--at', '2000-01-01']);
    expect(none.stderr).toContain('ERR_NO_SUCH_CHECKPOINT');
  });

  test('of a guest that waits for input loses and doubles no byte of it', async () => {
    const lines = Array.from({ length: 10 }, (_, at) => `${at + 1} line\n`);
    let stopped: Promise<unknown> = Promise.resolve();
    const run = await cli(['run', '--name', 'input', 'guests/build/blocked-stdin.wasm'], {
      keepInputOpen: true,
      input: lines.slice(0, 4).join(''),
      onStart: () => {
        stopped = (async () => {
          // All four lines are read and answered, so the guest waits for the fifth.
          while (starts((await cli(['logs', 'input'])).stdout).length < 4) await sleep(20);
          return cli(['checkpoint', 'input', '--stop']);
        })();
      },
    });
    expect(await stopped).toMatchObject({ status: 0 });
    expect(run).toMatchObject({ status: 0, stderr: expect.stringContaining('stopped after') });
    const restored = await cli(['restore', 'input'], { input: lines.slice(4).join('') });
    expect(restored).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('ok blocked-stdin'),
    });
    const { stdout: log } = await cli(['logs', 'input']);
    expect(log.match(/\d+ line/g)).toEqual(lines.map((line) => line.trimEnd()));
  });
});

function isZombie(pid: number): boolean {
  return statSync(`/proc/${pid}/exe`, { throwIfNoEntry: false }) === undefined;
}
