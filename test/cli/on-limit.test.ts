/** Guests whose fuel or time is used up, and that go on later with more. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { cliIn, ROOT } from './run-cli.ts';

const cli = cliIn(join(scratchDirectory(), 'home'));
const guest = (name: string): string => join(ROOT, 'guests', 'build', `${name}.wasm`);
const FUEL_ENDING = { kind: 'limit', limit: 'fuel' };
const DEADLINE_ENDING = { kind: 'deadline' };

interface Report {
  readonly status: number;
  readonly checkpoints: number;
  readonly ending: unknown;
}

async function run(words: readonly string[]): Promise<Report> {
  const { stderr } = await cli(words);
  return JSON.parse(stderr.trimEnd().split('\n').at(-1)!) as Report;
}

async function causes(job: string): Promise<string[]> {
  const { stdout } = await cli(['checkpoints', job, '--json']);
  const { checkpoints } = JSON.parse(stdout) as { checkpoints: { readonly cause: string }[] };
  return checkpoints.map(({ cause }) => cause);
}

describe('a guest whose fuel is used up', () => {
  const words = [guest('nqueens'), '8'];

  test('goes on from there with more, and its output is that of one run', async () => {
    const whole = await cli(['run', '--json', ...words]);
    const { fuel } = JSON.parse(whole.stderr) as { readonly fuel: string };
    const half = String(BigInt(fuel) / 2n);
    const first = await run([
      'run',
      '--name',
      'fuel',
      '--on-limit',
      'checkpoint',
      '--fuel',
      half,
      '--json',
      ...words,
    ]);
    expect(first).toMatchObject({ ending: FUEL_ENDING, checkpoints: 1 });
    expect(await causes('fuel')).toEqual(['limit']);

    // Without more it stands where it stood, and can still be restored.
    expect(await run(['restore', 'fuel', '--json'])).toMatchObject({
      ending: FUEL_ENDING,
      checkpoints: 1,
    });
    const last = await run(['restore', 'fuel', '--fuel', fuel, '--json']);
    expect(last).toMatchObject({ status: 0, ending: { kind: 'exit', code: 0 }, fuel });
    expect((await cli(['logs', 'fuel'])).stdout).toBe(whole.stdout);
  });

  test('ends there without the option, and says so with a way on', async () => {
    const ended = await cli(['run', '--fuel', '10000', ...words]);
    expect(ended.stderr).toContain('the guest used up its fuel');
    expect(ended.stderr).toContain('try: run it with a larger --fuel');
    const kept = await cli([
      'run',
      '--name',
      'told',
      '--on-limit',
      'checkpoint',
      '--fuel',
      '10000',
      ...words,
    ]);
    expect(kept.status).toBe(ended.status);
    expect(kept.stderr).toContain('try: stasis restore told with a larger --fuel');
  });
});

describe('a guest whose time is up', () => {
  test.each([
    ['computes', 'nqueens', ['12']],
    ['sleeps', 'sleeping-poll', ['800']],
  ])('while it %s goes on from there', async (_, name, args) => {
    const whole = await cli(['run', guest(name), ...args]);
    expect(whole.status).toBe(0);
    const timed = (ms: number) => [`--timeout=${ms}ms`, '--on-limit', 'checkpoint', '--json'];
    // Time passes while the process starts, too: given too little, the guest has not begun.
    let ms = 250;
    let report = await run(['run', '--name', name, ...timed(ms), guest(name), ...args]);
    while (report.checkpoints === 0 && report.status !== 0) {
      await cli(['rm', name]);
      ms *= 2;
      report = await run(['run', '--name', name, ...timed(ms), guest(name), ...args]);
    }
    let pieces = 1;
    while (report.status !== 0) {
      expect(report.ending).toEqual(DEADLINE_ENDING);
      pieces += 1;
      report = await run(['restore', name, ...timed(pieces < 3 ? ms : 600_000)]);
    }
    console.log(`on-limit: ${name} in ${pieces} pieces`);
    expect(pieces).toBeGreaterThan(1);
    expect(report).toMatchObject({ status: 0, ending: { kind: 'exit', code: 0 } });
    expect(await causes(name)).toEqual(expect.arrayContaining(['limit']));
    expect((await cli(['logs', name])).stdout).toBe(whole.stdout);
  });
});
