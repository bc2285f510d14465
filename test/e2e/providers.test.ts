/**
 * Providers that misbehave, through the command: the guest goes on as before, or ends with a name and can
 * be restored from the checkpoint before; it is never restored by half.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { type CommandResult, ROOT, reported, type Stasis, stasisIn } from './stasis-command.ts';

const PROBE = join(ROOT, 'test', 'e2e', 'providers', 'probe.mjs');
const MODULE = join(ROOT, 'guests', 'build', 'provider-calls.wasm');
/** Calls of the guest in a round, without the one that waits; `round 0` is printed before. */
const CALLS_A_ROUND = 6;
const ROUNDS = 30;

const scratch = scratchDirectory();
let stasis: Stasis;
let jobs = 0;
const done = { refused: 0, ended: 0, restored: 0 };

beforeAll(() => {
  mkdirSync(scratch, { recursive: true });
  stasis = stasisIn(join(scratch, 'home'));
});
afterAll(() => {
  process.stdout.write(
    `providers: ${done.refused} checkpoints refused, ${done.ended} guests ended, ${done.restored} restored\n`,
  );
});

const errorOf = (result: CommandResult): string => String(result.stderr);

/** The probe with these options, as an option of the command. */
const probe = (...options: string[]): string[] => [
  '--provider',
  [`${PROBE}#probe`, ...options].join(','),
];

/** At the entry of host call `at`, counted from 0. */
const checkpointAt = (at: number): string[] => ['--checkpoint-at-call', String(at)];

function runJob(words: readonly string[]): Promise<CommandResult> & { readonly job: string } {
  jobs += 1;
  const job = `job${jobs}`;
  const result = stasis(['run', '--json', '--name', job, ...words, MODULE, String(ROUNDS)]);
  return Object.assign(result, { job });
}

async function checkpointsOf(job: string): Promise<number> {
  const { stdout } = await stasis(['checkpoints', job, '--json']);
  return (JSON.parse(String(stdout)) as { checkpoints: unknown[] }).checkpoints.length;
}

/** The rest of the output of a job that goes on from its last checkpoint. */
async function restoredOutput(job: string, words: readonly string[] = probe()): Promise<string> {
  const { status, stdout, stderr } = await stasis(['restore', job, ...words]);
  expect(String(stderr)).not.toContain('error:');
  expect(status).toBe(0);
  done.restored += 1;
  return String(stdout);
}

describe('a provider that fails before everything is let go', () => {
  test.each<[string, string, RegExp]>([
    ['prepare', 'throw', /failed while preparing for a checkpoint: the probe was told to/],
    ['prepare', 'reject', /failed while preparing for a checkpoint: the probe was told to/],
    ['prepare', 'hang', /preparing for a checkpoint, took longer than 1000 ms/],
    ['prepare', 'shape', /state of probe is malformed/],
    ['commit', 'throw', /failed while letting go: the probe was told to/],
    ['commit', 'hang', /letting go, took longer than 1000 ms/],
  ])('%s: %s. The guest goes on as before', async (phase, how, why) => {
    const made = runJob([...probe(`fail=${phase}`, `how=${how}`), ...checkpointAt(50)]);
    const { status, report, stdout } = await reported(made);
    expect(status).toBe(0);
    expect(report.checkpoints).toBe(0);
    expect(String(stdout)).toMatch(/^round 0\nround 10\nround 20\nsum \d+\nok provider-calls\n$/);
    const asked = await askOnce(made.job, probe(`fail=${phase}`, `how=${how}`, 'until=1'));
    expect(errorOf(asked)).toMatch(why);
    expect(errorOf(asked)).toContain('(ERR_NOT_CAPTURABLE)');
    done.refused += 1;
  });

  test('the third of five: the others are kept', async () => {
    const five = 'abcde'
      .split('')
      .flatMap((name) => [
        '--provider',
        `${PROBE}#${name}${name === 'c' ? ',fail=commit,until=1' : ''}`,
      ]);
    const asked = await askOnce('five', probe(), five);
    expect(errorOf(asked)).toMatch(/The provider c failed while letting go/);
    done.refused += 1;
  });
});

/**
 * Asks a guest that waits for an hour for a checkpoint, which is refused. It goes on: the next one is made,
 * and when it is restored from that it comes to its end, with all its sums right.
 */
async function askOnce(
  name: string,
  words: readonly string[],
  others: readonly string[] = [],
): Promise<CommandResult> {
  const job = `${name}-asked`;
  const run = ['run', '--detach', '--name', job, ...words, ...others];
  expect(errorOf(await stasis([...run, MODULE, '3', '3600000']))).toBe('');
  const asked = await stasis(['checkpoint', job]);
  expect(asked.status).toBe(125);
  expect(errorOf(await stasis(['checkpoint', '--stop', job]))).toBe('');
  const goesOn = await stasis(['restore', job, ...probe('hurry=yes'), ...others]);
  expect(String(goesOn.stdout)).toMatch(/ok provider-calls\n$/);
  done.restored += 1;
  return asked;
}

describe('a provider that does not take hold again', () => {
  test.each([
    ['throw', /failed while taking hold again/],
    ['spin', /took longer than 1000 ms to take hold again, and did not yield/],
  ])('%s after a checkpoint: the guest ends, and the checkpoint is whole', async (how, why) => {
    const made = runJob([...probe('fail=rebuild', `how=${how}`), ...checkpointAt(70)]);
    const { status, stdout, report } = await reported(made);
    expect(status).toBe(125);
    expect(report.ending).toMatchObject({ kind: 'failed', message: expect.stringMatching(why) });
    expect(String(stdout)).toBe('round 0\nround 10\n');
    done.ended += 1;
    if (how === 'spin') return;
    expect(await checkpointsOf(made.job)).toBe(1);
    expect(await restoredOutput(made.job)).toMatch(/^round 20\nsum \d+\nok provider-calls\n$/);
  });

  test.each([
    ['throw', 'ERR_PROVIDER', /failed while taking hold again/],
    ['hang', 'ERR_TIMEOUT', /taking hold again, took longer than 1000 ms/],
    ['spin', 'ERR_TIMEOUT', /to take hold again, and did not yield/],
  ])('%s at a restart: nothing is restored, and another attempt works', async (how, code, why) => {
    const made = runJob([...probe(), '--checkpoint-at-call', '70:stop']);
    expect((await made).status).toBe(0);
    const failed = await stasis(['restore', made.job, ...probe('fail=rebuild', `how=${how}`)]);
    expect(failed.status).toBe(125);
    expect(String(failed.stdout)).toBe('');
    expect(errorOf(failed)).toMatch(why);
    expect(errorOf(failed)).toContain(`(${code})`);
    done.ended += 1;
    expect(await restoredOutput(made.job)).toMatch(/^round 20\nsum \d+\nok provider-calls\n$/);
  });
});

describe('a provider that never yields', () => {
  test.each([
    ['prepare', /to prepare for a checkpoint, and did not yield/],
    ['commit', /to let go for a checkpoint, and did not yield/],
    ['add', /to answer a call of the guest, and did not yield/],
  ])('in %s: the cell ends, and the checkpoint before stands', async (phase, why) => {
    const fault = [`fail=${phase}`, 'how=spin', `from=${phase === 'add' ? 20 : 1}`];
    const words = [...probe(...fault), ...checkpointAt(40), ...checkpointAt(130)];
    const made = runJob(words);
    const { status, report } = await reported(made);
    expect(status).toBe(125);
    expect(report.ending).toMatchObject({
      code: 'ERR_TIMEOUT',
      message: expect.stringMatching(why),
    });
    expect(await checkpointsOf(made.job)).toBe(1);
    done.ended += 1;
    expect(await restoredOutput(made.job)).toMatch(/round 20\nsum \d+\nok provider-calls\n$/);
  });
});

describe('a function of a provider', () => {
  test.each<[string, RegExp]>([
    ['fail=half', /The function probe\.half failed: the probe was told to/],
    ['fail=type', /The function probe\.half gave something else than it has to/],
    ['fail=promise', /The function probe\.half gave something else than it has to/],
    ['fail=ask', /probe\.half gave way to a checkpoint that nobody asked for/],
  ])('%s: the guest ends with a name', async (fault, why) => {
    const { status, stdout, report } = await reported(runJob(probe(fault)));
    expect(status).toBe(125);
    expect(String(stdout)).toBe('round 0\n');
    expect(report.ending).toMatchObject({
      code: 'ERR_PROVIDER',
      message: expect.stringMatching(why),
    });
    done.ended += 1;
  });

  test('waits for an hour and is captured all the same', async () => {
    const words = ['--name', 'waits', ...probe(), MODULE, '1', '3600000'];
    expect((await stasis(['run', '--detach', ...words])).status).toBe(0);
    const asked = await stasis(['checkpoint', '--stop', 'waits']);
    expect(errorOf(asked)).toBe('');
    expect(asked.status).toBe(0);
  });
});

describe('at the end of the guest', () => {
  test('a provider puts away what it has', async () => {
    const closed = join(scratch, 'closed');
    const words = [...probe(`closed=${closed}`), '--provider-write', closed];
    const { status, stdout } = await reported(runJob(words));
    expect(status).toBe(0);
    expect(readFileSync(closed, 'utf8')).toBe(/sum (\d+\n)/.exec(String(stdout))![1]);
  });

  test('one that can not is told', async () => {
    const { status, stdout, report } = await reported(runJob(probe('fail=close')));
    expect(status).toBe(125);
    expect(String(stdout)).toMatch(/ok provider-calls\n$/);
    expect(report.ending).toMatchObject({ message: expect.stringMatching(/failed while closing/) });
  });

  test('one that writes where it may not is told', async () => {
    const closed = join(scratch, 'closed-not');
    const { status, report } = await reported(runJob(probe(`closed=${closed}`)));
    expect(status).toBe(125);
    expect(report.ending).toMatchObject({
      code: 'ERR_PROVIDER',
      hint: expect.stringContaining('--provider-write'),
    });
  });
});

describe('a file that is no provider', () => {
  const file = (name: string, text: string): string => {
    const path = join(scratch, name);
    writeFileSync(path, text);
    return path;
  };

  test.each<[string, () => string, RegExp]>([
    ['is not there', () => join(scratch, 'none.mjs'), /There is no file .*none\.mjs to load/],
    ['is a directory', () => scratch, /There is no file .* to load a provider from/],
    [
      'has a syntax error',
      () => file('a.mjs', 'this is not'),
      /a syntax error: .*\n.*\n.*\ntry: node --check/,
    ],
    [
      'throws',
      () => file('b.mjs', 'throw new Error("no");'),
      /could not be loaded: no\. \(ERR_PROVIDER\)/,
    ],
    [
      'exports nothing',
      () => file('c.mjs', ''),
      /exports no default\..*\n.*\n.*\ntry: write: export default/,
    ],
    [
      'exports something else',
      () => `${PROBE}#number`,
      /exports something else than a provider as number/,
    ],
    [
      'never comes to its end',
      () => file('d.mjs', 'await new Promise(() => {});'),
      /ERR_TIMEOUT|ERR_PROVIDER/,
    ],
    [
      'imports what is not there',
      () => file('e.mjs', 'import "nowhere";'),
      /Cannot find package 'nowhere'/,
    ],
    [
      'reads what it may not',
      () => file('f.mjs', 'import { readFileSync } from "node:fs"; readFileSync("/etc/passwd");'),
      /try: .*--provider-read/,
    ],
    [
      'offers what is the host’s',
      () =>
        file(
          'g.mjs',
          `import { anyValue, defineProvider } from 'stasis/provider'; const f = () => null; export default defineProvider({ kind: 'g', version: 1, shape: anyValue, prepare: f, commit: f, abort: f, rebuild: f, imports: { stasis_kv: { f } } });`,
        ),
      /stasis_kv, whose name is kept for the host/,
    ],
  ])('%s: one sentence', async (_, path, why) => {
    const result = await stasis(['run', '--provider', path(), MODULE]);
    expect(result.status).toBe(125);
    expect(errorOf(result)).toMatch(/^error: [^\n]*\. \(ERR_[A-Z]+\)\n/);
    expect(errorOf(result)).toMatch(why);
    expect(String(result.stdout)).toBe('');
  });

  test.each([[''], ['#x'], ['x#'], ['x,y'], ['x,=y'], ['x,a=1,a=2']])(
    '--provider %j is refused',
    async (text) => {
      const result = await stasis(['run', '--provider', text, MODULE]);
      expect(result.status).toBe(125);
      expect(errorOf(result)).toContain('(ERR_USAGE)');
    },
  );
});

describe('a restore with other providers', () => {
  test('is refused by name, with a way on', async () => {
    const copy = join(scratch, 'probe.mjs');
    writeFileSync(copy, readFileSync(PROBE));
    const words = ['--provider', `${copy}#probe`];
    const made = runJob([...words, '--checkpoint-at-call', '70:stop']);
    expect((await made).status).toBe(0);
    const other = async (...others: string[]): Promise<string> => {
      const result = await stasis(['restore', made.job, ...others]);
      expect(result.status).toBe(125);
      expect(String(result.stdout)).toBe('');
      return errorOf(result);
    };
    expect(await other('--provider', `${copy}#a`)).toMatch(
      /the provider probe\.mjs#probe differs.*ERR_SOFTWARE/,
    );
    expect(await other(...words, '--provider', `${copy}#a`)).toContain(
      'the provider probe.mjs#a differs',
    );
    expect(await other('--provider', `${copy}#probe,version=2`)).toMatch(
      /probe in another version than this host can read/,
    );
    writeFileSync(copy, `${readFileSync(PROBE, 'utf8')}\n`);
    const changed = await other();
    expect(changed).toContain('the provider probe.mjs#probe differs');
    expect(changed).toMatch(/try: .*--provider files that it was made with/);
    writeFileSync(copy, readFileSync(PROBE));
    const receipt = await stasis(['restore', made.job, '--dry-run']);
    expect(String(receipt.stdout)).toMatch(/provider is probe\.mjs#probe [0-9a-f]{12}\n/);
    expect(await restoredOutput(made.job, [])).toMatch(/^round 20\nsum \d+\nok provider-calls\n$/);
  });
});

test('the calls of a round are as many as these tests count', async () => {
  const { report } = await reported(runJob(probe()));
  expect(Number(report.calls)).toBeGreaterThanOrEqual(ROUNDS * CALLS_A_ROUND);
});
