/**
 * What is secret is in no checkpoint and in no file, comes back when it is given again, and a restore
 * without it is refused.
 */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { cliIn } from '../cli/run-cli.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { openState } from './open-state.ts';

const MODULE = 'guests/build/examples/secrets.wasm';
const TOKEN = 'swordfish-4711-correct-horse';
const OTHER = 'tuna';
const scratch = scratchDirectory();
const home = join(scratch, 'home');
const cli = cliIn(home);
const given = { env: { TOKEN } };

/** The bytes of an image, head and pages. */
async function imagesOf(name: string): Promise<{ id: string; bytes: Buffer }[]> {
  const state = await openState(home);
  const images: { id: string; bytes: Buffer }[] = [];
  for (const { id } of await state.checkpoints(name)) {
    const { opened } = await state.open(id, ['TOKEN']);
    images.push({ id, bytes: Buffer.concat([opened.head, opened.pages]) });
  }
  await state.close();
  return images;
}

test('a guest is stopped at many calls, and its secrets are in none of the images', async () => {
  const triggers = Array.from({ length: 12 }, (_, at) => ['--checkpoint-at-call', `${3 + 5 * at}`]);
  const words = ['run', '--name', 'job', '--env-secret', 'TOKEN', ...triggers.flat(), MODULE];
  const run = await cli(words, given);
  expect(run).toMatchObject({ status: 0, stdout: expect.stringContaining('ok secrets') });

  const images = await imagesOf('job');
  expect(images.length).toBeGreaterThan(8);
  for (const { bytes } of images) expect(bytes.includes(TOKEN)).toBe(false);

  // Nor in anything else that is kept: process table, log, cache, vault.
  let files = 0;
  for (const entry of readdirSync(home, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    expect(readFileSync(join(entry.parentPath, entry.name)).includes(TOKEN), entry.name).toBe(
      false,
    );
    files++;
  }
  expect(files).toBeGreaterThan(5);
  console.log(`secrets: ${images.length} images and ${files} files without the token`);

  // An ordinary variable is in the image: so the search above would have found it.
  const open = ['run', '--name', 'open', '--env', `TOKEN=${TOKEN}`, '--checkpoint-at-call', '8'];
  await cli([...open, MODULE]);
  const [image] = await imagesOf('open');
  expect(image?.bytes.includes(TOKEN)).toBe(true);
});

test('a restore needs the secret, and the guest goes on with that of today', async () => {
  const images = await imagesOf('job');
  const newest = images.at(-1);
  for (const words of [
    ['restore', '--id', newest!.id],
    ['restore', '--id', newest!.id, '--dry-run'],
  ]) {
    const refused = await cli(words);
    expect(refused).toMatchObject({ status: 125, stdout: '' });
    expect(refused.stderr).toContain('(ERR_RESOURCE_NOT_GRANTED)');
    expect(refused.stderr).toContain('secret TOKEN');
  }
  const file = join(scratch, 'token');
  writeFileSync(file, `${OTHER}\n`, { mode: 0o600 });
  let restored = 0;
  for (const { id } of images.slice(0, 3)) {
    const again = await cli(['restore', '--id', id, '--env-secret', `TOKEN=${file}`]);
    expect(again, again.stderr).toMatchObject({
      status: 0,
      stdout: expect.stringContaining('ok secrets'),
    });
    restored++;
  }
  expect(restored).toBe(3);
  const longer = join(scratch, 'longer');
  writeFileSync(longer, 'x'.repeat(1000));
  const refused = await cli(['restore', '--id', newest!.id, '--env-secret', `TOKEN=${longer}`]);
  expect(refused.status).toBe(125);
  expect(refused.stderr).toContain("Today's secret TOKEN is longer than the guest's place for it.");
});

test('everything that is missing is listed at once', async () => {
  const data = join(scratch, 'data');
  mkdirSync(data);
  const words = ['run', '--name', 'much', '--env-secret', 'TOKEN', '--dir', `${data}::/data`];
  const more = ['--listen', '127.0.0.1:0=door', '--checkpoint-at-call', '20:stop', MODULE];
  expect((await cli([...words, ...more], given)).status).toBe(0);
  const other = [
    `--dir`,
    `${data}::/other`,
    '--listen',
    '127.0.0.1:0=gate',
    '--max-memory',
    '64KiB',
  ];
  const refused = await cli(['restore', 'much', ...other, '--json']);
  const { error } = JSON.parse(refused.stderr) as {
    error: { code: string; facts: Record<string, string>; hint: string };
  };
  expect(error.code).toBe('ERR_RESOURCE_NOT_GRANTED');
  expect(Object.values(error.facts)).toEqual([
    'directory /data for reading and writing',
    'listener door',
    'secret TOKEN',
    expect.stringMatching(/^[\d.]+ MiB of memory, granted 0\.0625 MiB$/),
  ]);
  for (const option of ['--dir', '--listen', '--env-secret', '--max-memory']) {
    expect(error.hint).toContain(option);
  }
  const less = await cli(['restore', 'much', '--dir-ro', `${data}::/data`], given);
  expect(less.stderr).toContain(
    'directory /data for reading and writing, granted for reading only',
  );
  const again = await cli(['restore', 'much', '--env-secret', 'TOKEN'], given);
  expect(again, again.stderr).toMatchObject({ status: 0 });
});

test('a policy names the secrets that may be given', async () => {
  const policy = join(scratch, 'policy.json');
  writeFileSync(policy, JSON.stringify({ version: 1, defaults: { grants: { env: ['OTHER'] } } }));
  const run = await cli(['run', '--policy', policy, '--env-secret', 'TOKEN', MODULE], given);
  expect(run.status).toBe(125);
  expect(run.stderr).toContain('variable TOKEN');
  expect(run.stderr).toContain('(ERR_NOT_ALLOWED)');
});

test.each([
  [['--env-secret', 'TOKEN=/nowhere'], "can't be read: ENOENT"],
  [['--env-secret', 'TOKEN', '--env-secret', 'TOKEN'], 'given twice'],
  [['--env-secret', 'TOKEN', '--env', 'TOKEN=x'], 'given twice'],
  [['--env-secret', 'NOTHING'], 'is not set here'],
  [['--env-secret', '1=2'], 'names no variable'],
  [['--env-secret', 'TOKEN=/'], 'is a directory'],
  [['--env-secret', 'TOKEN=/dev/null'], 'is empty'],
  [['--env-secret', 'TOKEN', '--wasi', 'wasmer'], 'is part of every image'],
])('%j is refused, and no value is shown', async (options, why) => {
  const run = await cli(['run', ...options, MODULE], given);
  expect(run).toMatchObject({ status: 125, stdout: '' });
  expect(run.stderr).toContain(why);
  expect(run.stderr).not.toContain(TOKEN);
});
