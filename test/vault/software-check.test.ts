import { describe, expect, test } from 'vitest';
import type {
  ProviderIdentity,
  SoftwareIdentity,
  SoftwareNow,
} from '../../src/vault/checkpoint-info.ts';
import { compareSoftware } from '../../src/vault/software-check.ts';

const own = (kind: string, version: number): ProviderIdentity => {
  return { kind, version, file: null, digest: null };
};
const sealedFile: ProviderIdentity = {
  kind: 'counter',
  version: 1,
  file: 'counter.mjs#default',
  digest: 'aa',
};
const todaysFile: ProviderIdentity = { ...sealedFile, kind: null, version: null };

const SEALED: SoftwareIdentity = {
  module: 'm',
  instrumented: 'i',
  instrumenter: '2',
  host: '0.1.0',
  imageFormat: 2,
  engine: 'v8 14.6.202.33-node.18',
  providers: [own('clock', 1), own('files', 1), sealedFile],
};
const NOW: SoftwareNow = {
  ...SEALED,
  providers: [own('clock', 1), own('files', 1), own('kv', 1), todaysFile],
};
const ALL = { engine: ['*'], host: ['*'], providers: ['files', 'counter'] };

/** Names of the fields with that verdict. */
function fields(verdict: string, sealed: Partial<SoftwareIdentity>, now: Partial<SoftwareNow>) {
  return compareSoftware({ ...SEALED, ...sealed }, { ...NOW, ...now })
    .filter((field) => field.verdict === verdict)
    .map(({ name }) => name);
}

test('the same software is the same in every field, one each', () => {
  const all = compareSoftware(SEALED, NOW);
  expect(all.map(({ name }) => name)).toEqual([
    'module',
    'instrumented module',
    'instrumenter',
    'host',
    'image format',
    'engine',
    'WASI layer',
    'provider clock',
    'provider files',
    'provider counter.mjs#default',
  ]);
  expect(all.every(({ verdict }) => verdict === 'same')).toBe(true);
});

// THREATS, case 10.
test.each<[string, Partial<SoftwareNow>]>([
  ['module', { module: 'x' }],
  ['instrumented module', { instrumented: 'x' }],
  ['instrumenter', { instrumenter: '3' }],
  ['host', { host: '0.1.1' }],
  ['image format', { imageFormat: 3 }],
  ['engine', { engine: 'v8 14.7.1' }],
  ['WASI layer', { wasi: 'x' }],
  ['provider clock', { providers: [own('clock', 2), own('files', 1), todaysFile] }],
  ['provider files', { providers: [own('clock', 1), todaysFile] }],
  ['provider counter.mjs#default', { providers: [own('clock', 1), own('files', 1)] }],
  [
    'provider counter.mjs#default',
    { providers: [own('clock', 1), own('files', 1), { ...todaysFile, digest: 'bb' }] },
  ],
  [
    'provider counter.mjs#default',
    { providers: [own('clock', 1), own('files', 1), { ...todaysFile, file: 'x' }] },
  ],
])('another %s alone differs', (name, change) => {
  expect(fields('differs', {}, change)).toEqual([name]);
});

test('an instrumented module that was not made yet is left to the cell', () => {
  expect(fields('differs', {}, { instrumented: null })).toEqual([]);
});

describe('what a policy accepts', () => {
  const engines = [
    ['v8 14.6.202.33-node.18', 'v8 14.6.202.34-node.1', 'v8 14.*', 'accepted'],
    ['v8 14.6.202.33-node.18', 'v8 14.10.1-node.2', 'v8 14.*', 'accepted'],
    ['v8 14.6.202.33-node.18', 'v8 15.1', '*', 'accepted'],
    ['v8 14.6.202.33-node.18', 'v8 15.1', 'v8 14.6.202.33-node.18', 'accepted'],
    // Older than what sealed it.
    ['v8 14.6.202.33-node.18', 'v8 14.6.202.33-node.17', '*', 'differs'],
    ['v8 14.6.202.33-node.18', 'v8 13.9', '*', 'differs'],
    // Not what the pattern names, or another engine altogether.
    ['v8 14.6.202.33-node.18', 'v8 15.1', 'v8 14.7*', 'differs'],
    ['v8 14.6.202.33-node.18', 'v8 15.1', 'v8 14.6', 'differs'],
    ['v8 14.6.202.33-node.18', 'jsc 99.1', '*', 'differs'],
  ] as const;
  test.each(engines)('engine %s on %s with %s: %s', (sealed, now, pattern, verdict) => {
    const accept = { ...ALL, engine: [pattern] };
    expect(fields(verdict, { engine: sealed }, { engine: now, accept })).toContain('engine');
  });

  test('a host that is newer', () => {
    expect(fields('accepted', {}, { host: '0.2.0', accept: ALL })).toEqual(['host']);
    expect(fields('differs', {}, { host: '0.0.9', accept: ALL })).toEqual(['host']);
    expect(fields('differs', {}, { host: '0.2.0', accept: { ...ALL, host: [] } })).toEqual([
      'host',
    ]);
  });

  test('a provider whose older state is read', () => {
    const providers = [own('clock', 1), own('files', 2), todaysFile];
    const reads = { files: [1] };
    expect(fields('accepted', {}, { providers, reads, accept: ALL })).toEqual(['provider files']);
    // It does not say that it reads it; the policy does not accept it; it is older.
    expect(fields('differs', {}, { providers, reads: { files: [] }, accept: ALL })).toHaveLength(1);
    expect(fields('differs', {}, { providers, accept: ALL })).toHaveLength(1);
    const none = { ...ALL, providers: [] };
    expect(fields('differs', {}, { providers, reads, accept: none })).toHaveLength(1);
    const sealed = { providers: [own('files', 3)] };
    expect(fields('differs', sealed, { providers: [own('files', 2)], reads, accept: ALL })).toEqual(
      ['provider files'],
    );
  });

  test("a changed file of the user's, whose cell says whether it reads the state", () => {
    const providers = [own('clock', 1), own('files', 1), { ...todaysFile, digest: 'bb' }];
    expect(fields('accepted', {}, { providers, accept: ALL })).toEqual([
      'provider counter.mjs#default',
    ]);
    const none = { ...ALL, providers: ['files'] };
    expect(fields('differs', {}, { providers, accept: none })).toHaveLength(1);
  });

  test('never another module, instrumenter, image format or layer', () => {
    const now = { module: 'x', instrumented: 'x', instrumenter: '9', imageFormat: 9, wasi: 'x' };
    expect(fields('differs', {}, { ...now, accept: ALL })).toHaveLength(5);
  });
});
