import { chmodSync, chownSync, mkdirSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { HostError } from '../../src/fault/host-error.ts';
import { checkAllowed, grantsBeyond } from '../../src/host/allowed-grants.ts';
import { type GrantBounds, NO_POLICY, policyFor } from '../../src/host/policy.ts';
import { readPolicy } from '../../src/host/policy-file.ts';
import type { RunRequest } from '../../src/host/run-request.ts';
import { plainRequest } from './plain-request.ts';
import { scratchDirectory } from './scratch.ts';

const scratch = scratchDirectory();
let files = 0;

function written(value: unknown, mode = 0o600): string {
  const path = join(scratch, `policy-${files++}.json`);
  writeFileSync(path, typeof value === 'string' ? value : JSON.stringify(value));
  chmodSync(path, mode);
  return path;
}

async function refusal(path: string): Promise<HostError> {
  const error = await readPolicy({ path, named: true }).then(
    () => expect.unreachable(),
    (failure: HostError) => failure,
  );
  expect(error.code).toBe('ERR_POLICY_FILE');
  expect(error.facts['file']).toBe(path);
  return error;
}

describe('the policy file', () => {
  test('an owner has the defaults, key by key replaced by the own entry', async () => {
    const policy = await readPolicy({
      path: written({
        version: 1,
        defaults: { caps: { jobs: 2, checkpoints: 9 }, grants: { env: ['A'], stdin: false } },
        owners: { 'uid:7': { caps: { jobs: null, vaultBytes: 5 }, grants: { env: true } } },
        software: { accept: { engine: ['v8 14.*'] } },
      }),
      named: true,
    });
    expect(policyFor(policy, 'uid:8')).toMatchObject({
      caps: { jobs: 2, memoryBytes: null, logBytes: null, vaultBytes: null, checkpoints: 9 },
      grants: { dirs: null, env: ['A'], stdin: false },
      accept: { engine: ['v8 14.*'], host: [], providers: [] },
    });
    expect(policyFor(policy, 'uid:7')).toMatchObject({
      caps: { jobs: null, memoryBytes: null, logBytes: null, vaultBytes: 5, checkpoints: 9 },
      grants: { env: null, stdin: false },
    });
  });

  test('without a file everything is allowed; one that was named has to be there', async () => {
    const path = join(scratch, 'none.json');
    expect(await readPolicy({ path, named: false })).toBe(NO_POLICY);
    expect((await refusal(path)).message).toContain('it is not there');
  });

  test('every mistake is told by its path', async () => {
    const { message, facts } = await refusal(
      written({
        version: 1,
        jobs: 1,
        defaults: {
          caps: { jbos: 1, jobs: -1 },
          grants: { dirs: [{ path: 'data', access: 'w' }], listen: ['x'], env: 3 },
        },
        owners: { bob: {}, 'uid:1': { cap: {} } },
        software: { accept: { engine: ['node 1'] } },
      }),
    );
    const told = [message, ...Object.values(facts)].join('\n');
    const paths = [
      'jobs is not known',
      'defaults.caps.jbos is not known',
      'defaults.caps.jobs',
      'defaults.grants.dirs.0.path',
      'defaults.grants.dirs.0.access',
      'defaults.grants.listen.0',
      'defaults.grants.env',
      'owners.bob',
      'owners.uid:1.cap is not known',
      'software.accept.engine.0',
    ];
    for (const path of paths) expect(told).toContain(path);
  });

  test.each([
    ['{', 'it is not JSON'],
    ['[]', 'version is missing'],
    ['null', 'the whole'],
    ['{"version":2}', 'version has to be 1'],
  ])('%s is refused', async (text, why) => {
    expect((await refusal(written(text))).message).toContain(why);
  });

  test('a file that others may write to, or somebody else owns, is refused', async () => {
    for (const mode of [0o620, 0o602, 0o666]) {
      const { message } = await refusal(written({ version: 1 }, mode));
      expect(message).toContain('other users may write to it');
    }
    expect((await refusal(scratch)).message).toContain('it is not a file');
    if (process.geteuid?.() !== 0) return;
    const path = written({ version: 1 });
    chownSync(path, 4711, 4711);
    expect((await refusal(path)).message).toContain('it belongs to another user');
  });
});

describe('what a policy allows', () => {
  const inside = join(scratch, 'inside');
  const outside = join(scratch, 'outside');
  mkdirSync(join(inside, 'deep'), { recursive: true });
  mkdirSync(outside);
  symlinkSync(outside, join(inside, 'link'));

  const all = policyFor(NO_POLICY, 'uid:1').grants;
  const beyond = (request: Partial<RunRequest>, bounds: Partial<GrantBounds>) =>
    grantsBeyond({ ...plainRequest, ...request }, { ...all, ...bounds });
  const dir = (hostPath: string, readOnly: boolean) => ({ hostPath, guestPath: '/d', readOnly });

  test('directories by their true names and their access', () => {
    const bounds = { dirs: [{ path: inside, access: 'ro' as const }] };
    expect(beyond({ preopens: [dir(inside, true)] }, bounds)).toEqual([]);
    expect(beyond({ preopens: [dir(join(inside, 'deep'), true)] }, bounds)).toEqual([]);
    expect(beyond({ preopens: [dir(inside, false)] }, bounds)).toEqual([
      `directory ${inside} for reading and writing`,
    ]);
    for (const path of [outside, scratch, `${inside}-not`, join(inside, 'link'), '/']) {
      expect(beyond({ preopens: [dir(path, true)] }, bounds), path).toHaveLength(1);
    }
    expect(beyond({ preopens: [dir('/', false)] }, {})).toEqual([]);
    expect(beyond({ preopens: [dir('/', true)] }, { dirs: [] })).toHaveLength(1);
    const paths = [{ hostPath: outside, readOnly: true }];
    expect(beyond({ providerPaths: paths }, bounds)).toHaveLength(1);
  });

  test('addresses as they are written', () => {
    const at = (host: string, port: number) => ({ listen: [{ name: 'n', host, port }] });
    const bounds = { listen: ['127.0.0.1:*', '*:80', '[::1]:9'] };
    for (const [host, port] of [
      ['127.0.0.1', 1],
      ['0.0.0.0', 80],
      ['::1', 9],
    ] as const) {
      expect(beyond(at(host, port), bounds), host).toEqual([]);
    }
    for (const [host, port] of [
      ['0.0.0.0', 81],
      ['::1', 10],
      ['127.0.0.11', 1],
    ] as const) {
      expect(beyond(at(host, port), bounds), host).toHaveLength(1);
    }
  });

  test('a refusal lists every grant that is not allowed', () => {
    const request: RunRequest = {
      ...plainRequest,
      env: ['A=1', 'B=2'],
      preopens: [dir(inside, false)],
      pools: [
        { name: 'p', hostPath: outside, pageBytes: 1, frames: 1, pagesMax: 1, readOnly: true },
      ],
      kv: [{ name: 'k', hostPath: outside, readOnly: true }],
      providers: [{ file: '/p.mjs', export: 'default', options: {} }],
      listen: [{ name: 'l', host: 'localhost', port: 0 }],
    };
    const none = {
      dirs: [],
      listen: [],
      pools: [],
      kv: [],
      providers: [],
      env: ['B'],
      stdin: true,
    };
    let refused: HostError | null = null;
    try {
      checkAllowed(request, none);
    } catch (error) {
      refused = error as HostError;
    }
    expect(refused?.code).toBe('ERR_NOT_ALLOWED');
    expect(Object.values(refused!.facts)).toEqual([
      `directory ${inside} for reading and writing`,
      `pool p in ${outside}`,
      `database k in ${outside}`,
      'provider /p.mjs',
      'listening at localhost:0',
      'variable A',
    ]);
    expect(() => checkAllowed(request, all)).not.toThrow();
  });
});
