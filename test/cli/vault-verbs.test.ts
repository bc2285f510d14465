/** The commands that look after the vault, over jobs that really run. */
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { scratchDirectory } from '../host/scratch.ts';
import { type Cli, cliIn, ROOT } from './run-cli.ts';

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const cli = cliIn(home);
const queens = join(ROOT, 'guests/build/nqueens.wasm');

/** A job that was stopped after `count` checkpoints. */
async function makeJob(run: Cli, name: string, count: number): Promise<void> {
  const triggers = Array.from({ length: count }, (_, index) => [
    '--checkpoint-at-fuel',
    `${(index + 1) * 2000}${index === count - 1 ? ':stop' : ''}`,
  ]);
  const made = await run(['run', '--name', name, ...triggers.flat(), queens, '10']);
  expect(made.stderr).toContain('stopped after its checkpoint');
}

async function json(words: readonly string[], run = cli): Promise<Record<string, never>> {
  const { stdout, stderr, status } = await run([...words, '--json']);
  expect(stderr, words.join(' ')).toBe('');
  expect(status).toBe(0);
  return JSON.parse(stdout);
}

async function checkpoints(run = cli): Promise<{ id: string; sequence: number; name: string }[]> {
  return (await json(['checkpoints'], run))['checkpoints']!;
}

beforeAll(async () => {
  await makeJob(cli, 'first', 5);
  await makeJob(cli, 'second', 2);
});

describe('looking', () => {
  test('stat tells owners and jobs, with plain bars in a pipe', async () => {
    const { stdout } = await cli(['vault', 'stat']);
    expect(stdout).toMatch(/OWNER +JOB +CHECKPOINTS +IMAGES +STORED/);
    expect(stdout).toMatch(/\n +first +5 .* #+\.*\n +second +2 .* #+\.+\n/);
    expect(stdout).not.toContain('\u001b');
    const { owners } = await json(['vault', 'stat']);
    expect(owners![0]).toMatchObject({ checkpoints: 7 });
  });

  test('verify finds nothing, at each depth', async () => {
    for (const depth of [[], ['--read-data'], ['--restore']]) {
      const verified = await json(['vault', 'verify', ...depth]);
      expect(verified).toMatchObject({ checkpoints: 7, findings: [] });
      expect(verified['images']).toBe(depth[0] === '--restore' ? 7 : 0);
    }
  });

  test('verify tells damage, and exits with 125', async () => {
    const packs = join(home, 'vault', 'packs');
    const path = join(packs, readdirSync(packs)[0]!);
    const whole = readFileSync(path);
    const changed = Buffer.from(whole);
    changed[40]! ^= 1;
    writeFileSync(path, changed);
    const found = await cli(['vault', 'verify', '--read-data']);
    expect(found.status).toBe(125);
    expect(found.stdout).toMatch(/^uid:\d+ .* is not as it was written/);
    expect(found.stderr).toContain('ERR_VAULT_DAMAGED');
    writeFileSync(path, whole);
  });

  test('audit tells what happened, by job, event and time', async () => {
    const { stdout } = await cli(['audit', '--all']);
    expect(stdout).toMatch(/1 +\d{4}-\S+ +vault created/);
    expect(stdout).toMatch(/9 entries in all, head [0-9a-f]{64}\n$/);
    const ofJob = await json(['audit', 'second', '--event', 'sealed']);
    expect(ofJob['entries']).toHaveLength(2);
    const later = await json(['audit', '--since', '2126-01-01']);
    expect(later).toMatchObject({ entries: [], head: { entries: 9 } });
    expect((await cli(['audit', '--all', 'first'])).stderr).toContain('ERR_USAGE');
  });
});

describe('forgetting', () => {
  test('without a rule drops nothing, and a dry run neither', async () => {
    expect((await cli(['forget'])).stderr).toMatch(/No rule says what to keep.*ERR_USAGE/);
    const planned = await json(['forget', 'first', '--keep-last', '2', '--dry-run']);
    expect(planned['kept']).toHaveLength(2);
    expect(planned['dropped']).toHaveLength(3);
    expect(await checkpoints()).toHaveLength(7);
  });

  test('goes job by job, and by id', async () => {
    const before = await checkpoints();
    await json(['forget', '--keep-last', '2']);
    const left = await checkpoints();
    expect(left.map(({ name }) => name)).toEqual(['second', 'second', 'first', 'first']);
    expect(left.map(({ sequence }) => sequence)).toEqual([7, 6, 5, 4]);
    const [, older] = left;
    await json(['forget', '--id', older!.id]);
    expect(await checkpoints()).toHaveLength(3);
    const gone = await cli(['forget', '--id', before.at(-1)!.id]);
    expect(gone.stderr).toContain('ERR_NO_SUCH_CHECKPOINT');
  });

  test('keeps what a stopped job would go on from, unless told otherwise', async () => {
    const [newest] = await checkpoints();
    const kept = await cli(['forget', 'second', '--id', newest!.id]);
    expect(kept.stdout).toMatch(/keep .* its job is stopped/);
    expect(await checkpoints()).toHaveLength(3);
    await json(['forget', 'second', '--id', newest!.id, '--even-last']);
    expect(await checkpoints()).toHaveLength(2);
  });
});

test('gc empties the trash after two collections, or at once', async () => {
  const packs = (): number => readdirSync(join(home, 'vault', 'packs')).length;
  const planned = await json(['vault', 'gc', '--dry-run', '--max-unused', '100%']);
  expect(planned).toMatchObject({ dryRun: true, repackedPacks: 0 });
  const before = packs();
  await json(['vault', 'gc', '--max-unused', '0%']);
  await json(['vault', 'gc', '--empty-trash']);
  expect(packs()).toBeLessThan(before);
  expect((await cli(['vault', 'gc', '--max-unused', '101%'])).stderr).toContain('ERR_USAGE');
  expect(await json(['vault', 'verify', '--restore'])).toMatchObject({ findings: [] });
});

test('a backup put back on another machine goes on with the job', async () => {
  const backup = join(scratch, 'backup');
  expect(await json(['vault', 'backup', backup])).toMatchObject({ modules: 1 });
  const again = await json(['vault', 'backup', backup]);
  expect(again).toMatchObject({ copiedPacks: 0 });
  expect(await json(['vault', 'verify', '--vault', join(backup, 'vault')])).toMatchObject({
    findings: [],
  });
  expect((await cli(['vault', 'restore', backup])).stderr).toContain('ERR_STATE_ACCESS');

  const elsewhere = join(scratch, 'elsewhere');
  const other = cliIn(elsewhere);
  const keyless = await other(['vault', 'restore', backup]);
  expect(keyless.stderr).toContain('ERR_VAULT_KEY');
  mkdirSync(join(elsewhere, 'keys'), { recursive: true, mode: 0o700 });
  writeFileSync(
    join(elsewhere, 'keys', 'master.key'),
    readFileSync(join(home, 'keys', 'master.key')),
    { mode: 0o600 },
  );
  await json(['vault', 'restore', backup], other);
  const went = await other(['restore', 'first']);
  expect(went.stdout).toContain('10 queens: 724 solutions');
  expect(went.status).toBe(0);
});

test('the key changes under a job, which goes on, and restores afterwards', async () => {
  const key = readFileSync(join(home, 'keys', 'master.key'));
  expect(await json(['vault', 'rotate-key', '--reencrypt'])).toMatchObject({ reencrypted: 1 });
  expect(readFileSync(join(home, 'keys', 'master.key'))).not.toEqual(key);
  expect(await json(['vault', 'rotate-key', '--resume'])).toMatchObject({ reencrypted: 0 });
  const went = await cli(['restore', 'first']);
  expect(went.stdout).toContain('10 queens: 724 solutions');
});

test('a witness refuses a vault that was put back, until that is accepted', async () => {
  const where = join(scratch, 'witnessed');
  const witness = join(scratch, 'witness');
  const run = cliIn(where);
  const watched: Cli = (words, options) =>
    run(words, { ...options, env: { STASIS_WITNESS: witness } });
  await makeJob(watched, 'a', 1);
  const before = new Map(
    readdirSync(join(where, 'vault'), { recursive: true, withFileTypes: true })
      .filter((entry) => entry.isFile())
      .map((entry) => [join(entry.parentPath, entry.name), null] as const)
      .map(([path]) => [path, readFileSync(path)]),
  );
  await makeJob(watched, 'b', 1);
  rmSync(join(where, 'vault'), { recursive: true });
  for (const [path, content] of before) {
    mkdirSync(join(path, '..'), { recursive: true, mode: 0o700 });
    writeFileSync(path, content, { mode: 0o600 });
  }
  mkdirSync(join(where, 'vault', 'writers'), { recursive: true, mode: 0o700 });
  expect((await watched(['checkpoints'])).stderr).toContain('ERR_VAULT_ROLLED_BACK');
  expect((await run(['checkpoints'])).stderr).toBe('');
  expect((await run(['vault', 'accept-rollback'])).stderr).toContain('ERR_USAGE');
  expect((await watched(['vault', 'accept-rollback'])).stdout).toContain('Accepted');
  expect((await watched(['checkpoints'])).stderr).toBe('');
  expect((await run(['audit', '--all', '--event', 'rollback accepted'])).stdout).toMatch(
    /rollback accepted +seenHead [0-9a-f]{64}, seenNumber 4/,
  );
});

test('a quota refuses a checkpoint by name, and the guest goes on to its end', async () => {
  const where = join(scratch, 'capped');
  const policy = join(scratch, 'policy.json');
  writeFileSync(policy, JSON.stringify({ version: 1, defaults: { caps: { checkpoints: 2 } } }), {
    mode: 0o600,
  });
  const triggers = [2000, 4000, 6000, 8000].flatMap((fuel) => ['--checkpoint-at-fuel', `${fuel}`]);
  const run = cliIn(where);
  const done = await run(['run', '--policy', policy, '--name', 'job', ...triggers, queens, '10']);
  expect(done.stdout).toContain('10 queens: 724 solutions');
  expect(done.status).toBe(0);
  expect(done.stderr).toContain('ERR_QUOTA');
  expect(await checkpoints(run)).toHaveLength(2);
});

test('an owner who is shredded has nothing any more', async () => {
  const where = join(scratch, 'shredded');
  const run = cliIn(where);
  await makeJob(run, 'a', 2);
  const owner = `uid:${process.getuid?.()}`;
  expect((await run(['vault', 'shred-owner', owner])).stderr).toContain('--yes');
  expect(await checkpoints(run)).toHaveLength(2);
  const done = await json(['vault', 'shred-owner', owner, '--yes'], run);
  expect(done).toEqual({ found: true, checkpoints: 2, packs: 2, scrubbed: true });
  expect(await checkpoints(run)).toEqual([]);
  expect((await run(['restore', 'a'])).stderr).toContain('ERR_NO_SUCH_CHECKPOINT');
});
