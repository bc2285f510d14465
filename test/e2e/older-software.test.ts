/**
 * A policy that accepts older software: a newer engine, and a provider's changed file that reads the older
 * state. Without it, and where the provider does not read it, the restore is refused.
 */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { openImage, planRestore } from '../../src/checkpoint/restore.ts';
import { NO_POLICY, policyFor } from '../../src/host/policy.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { openState } from './open-state.ts';
import { ROOT, stasisIn } from './stasis-command.ts';

const scratch = scratchDirectory();
const stasis = stasisIn(join(scratch, 'home'));
const NQUEENS = join(ROOT, 'guests', 'build', 'nqueens.wasm');
const CALLS = join(ROOT, 'guests', 'build', 'provider-calls.wasm');
const PROBE = readFileSync(join(ROOT, 'test', 'e2e', 'providers', 'probe.mjs'), 'utf8');

test('a newer engine is accepted by name, an older one never', async () => {
  await stasis(['run', '--name', 'engine', '--checkpoint-at-fuel', '20000:stop', NQUEENS, '8']);
  const state = await openState(stasis.home);
  const attempt = async (engine: string, patterns: readonly string[]) => {
    const policy = {
      ...policyFor(NO_POLICY, state.owner),
      accept: { engine: patterns, host: [], providers: [] },
    };
    const { places, table, vault, requester } = state;
    const tools = { places, table, vault, requester, policy, engine };
    try {
      const plan = await planRestore(tools, { job: 'engine', id: null, at: null }, {});
      await openImage(tools, plan);
      return 'opened';
    } catch (error) {
      return (error as { message: string }).message;
    }
  };
  const refused = 'The checkpoint belongs to other software: the engine differs.';
  const now = process.versions.v8;
  expect(await attempt(now, [])).toBe('opened');
  expect(await attempt(`9${now}`, [])).toBe(refused);
  expect(await attempt(`9${now}`, ['v8 0.*'])).toBe(refused);
  expect(await attempt(`9${now}`, ['v8 *'])).toBe('opened');
  expect(await attempt(`0.${now}`, ['v8 *'])).toBe(refused);
  await state.close();
});

test('a changed provider goes on from an older state that it reads, if the policy accepts it', async () => {
  const file = join(scratch, 'probe.mjs');
  const write = (version: number, reads: string): void => {
    const source = PROBE.replace(
      'version: Number(options.version ?? 1),',
      `version: ${version}, reads: ${reads},`,
    );
    expect(source).not.toBe(PROBE);
    writeFileSync(file, source);
  };
  const policy = join(scratch, 'policy.json');
  const software = { accept: { providers: ['probe'] } };
  writeFileSync(policy, JSON.stringify({ version: 1, software }), { mode: 0o600 });
  write(1, '[]');
  const words = ['--provider', `${file}#probe`, '--checkpoint-at-call', '70:stop'];
  expect((await stasis(['run', '--name', 'probe', ...words, CALLS, '30'])).status).toBe(0);

  write(2, '[1]');
  const plain = await stasis(['restore', 'probe']);
  expect(String(plain.stderr)).toContain('the provider probe.mjs#probe differs');
  const explained = await stasis(['restore', 'probe', '--explain', '--json']);
  const { restorable, fields } = JSON.parse(String(explained.stdout)) as {
    restorable: boolean;
    fields: { name: string; verdict: string }[];
  };
  expect([explained.status, restorable]).toEqual([125, false]);
  expect(fields.filter(({ verdict }) => verdict !== 'same').map(({ name }) => name)).toEqual([
    'provider probe.mjs#probe',
  ]);

  const accepting = ['--policy', policy];
  expect((await stasis(['restore', 'probe', '--explain', ...accepting])).status).toBe(0);
  write(2, '[]');
  const unread = await stasis(['restore', 'probe', ...accepting]);
  expect(String(unread.stderr)).toContain('probe in another version than this host can read');
  write(2, '[1]');
  const read = await stasis(['restore', 'probe', ...accepting]);
  expect(read.status, String(read.stderr)).toBe(0);
  expect(String(read.stdout)).toMatch(/ok provider-calls\n$/);
});
