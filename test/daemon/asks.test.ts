/** What a request may hold: every bound, and what comes of changed bytes. */
import { describe, expect, test } from 'vitest';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { FrameReader, frameMessage } from '../../src/cell/framing.ts';
import { ASK_LIMITS, type DoorAsk, frameAsk, readAsk } from '../../src/cli/door-protocol.ts';
import { HostError } from '../../src/fault/host-error.ts';
import type { RunRequest } from '../../src/host/run-request.ts';
import { seededRandom } from '../cbor/random-value.ts';
import { mutateBytes, pick } from '../fuzz/mutation.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const SEED = Number(process.env['STASIS_SEED'] ?? 1);
const INPUTS = NIGHTLY ? 2_000_000 : 20_000;

/** Every field that the wire has: one that is added is to be added here, says the compiler. */
const REQUEST: Required<Omit<RunRequest, 'runAs'>> = {
  modulePath: '/m.wasm',
  args: ['m.wasm', 'a'],
  env: ['A=b'],
  secrets: ['TOKEN'],
  preopens: [{ hostPath: '/data', guestPath: '/d', readOnly: true, policy: 'reopen' }],
  pools: [{ name: 'p', hostPath: '/p', pageBytes: 4096, frames: 64, pagesMax: 9, readOnly: false }],
  kv: [{ name: 'k', hostPath: '/k', readOnly: true }],
  providers: [{ file: '/p.mjs', export: 'default', options: { step: '2' } }],
  providerPaths: [{ hostPath: '/p', readOnly: true }],
  listen: [{ name: 'web', host: '127.0.0.1', port: 8080 }],
  fuel: '1000',
  memoryPages: 16,
  tableEntries: 10,
  carryBytesMax: 1,
  timeoutMs: 5,
  checkpointEveryMs: null,
  invoke: null,
  trapUnknownImports: false,
  wasi: 'stasis',
  osr: false,
  confine: 'auto',
  onLimit: 'end',
  keepLog: true,
  restart: false,
  removeAtEnd: false,
  outputBytes: null,
  handles: 20,
  files: 10,
  randomCallBytes: 1000,
  privateBytes: 2 ** 20,
  guestCheckpoints: 3,
  clock: 'fine',
};

const START: Extract<DoorAsk, { ask: 'start' }> = {
  ask: 'start',
  work: {
    kind: 'run',
    name: 'job',
    request: REQUEST,
  },
  secrets: [{ name: 'TOKEN', value: 'aGVsbG8=' }],
  triggers: [{ on: 'fuel', at: '7', stop: true }],
  digestMemory: false,
  detach: true,
};

const RESTORE: DoorAsk = {
  ask: 'tryRestore',
  work: {
    kind: 'restore',
    selector: { job: 'job', id: 'f'.repeat(32), at: '2026-11-23T09:30:00Z' },
    changes: { fuel: null, preopens: [] },
  },
  secrets: [],
};

/** `value` with what stands at `path` replaced. */
function changed(value: unknown, path: readonly string[], by: unknown): CborValue {
  const copy = structuredClone(value) as Record<string, unknown>;
  const last = path.at(-1)!;
  const holder = path.slice(0, -1).reduce((at, step) => at[step] as Record<string, unknown>, copy);
  holder[last] = by;
  return copy as CborValue;
}

describe('a request', () => {
  test('that a client makes is taken as it is', () => {
    for (const ask of [START, RESTORE]) {
      const frames = new FrameReader(ASK_LIMITS).push(Buffer.concat(frameAsk(ask)));
      expect(frames.map(({ message }) => readAsk(message))).toEqual([ask]);
    }
  });

  test.each<[string, unknown]>([
    ['owner', 'uid:0'],
    ['settings', {}],
    ['policy', null],
    ['work.owner', 'uid:0'],
    ['work.name', 'n'.repeat(300)],
    ['work.name', 7],
    ['work.kind', 'steal'],
    ['work.request.runAs', { uid: 0, gid: 0 }],
    ['work.request.modulePath', 'relative.wasm'],
    ['work.request.modulePath', '/nul\0.wasm'],
    ['work.request.modulePath', `/${'x'.repeat(5000)}`],
    ['work.request.args', ['nul\0']],
    ['work.request.args', [7]],
    ['work.request.env', ['=b']],
    ['work.request.env', ['A']],
    ['work.request.env', ['A=\0']],
    ['work.request.preopens.0.hostPath', '/etc/*'],
    ['work.request.preopens.0.hostPath', '../etc'],
    ['work.request.preopens.0.guestPath', ''],
    ['work.request.preopens.0.policy', 'none'],
    ['work.request.preopens.0.readOnly', 0],
    ['work.request.pools.0.pageBytes', 1000],
    ['work.request.pools.0.frames', 2 ** 40],
    ['work.request.pools.0.name', '../p'],
    ['work.request.kv.0.hostPath', ''],
    ['work.request.providers.0.options', { step: 2 }],
    ['work.request.providers.0.file', 'counter.mjs'],
    ['work.request.listen.0.port', 65_536],
    ['work.request.listen.0.port', -1],
    ['work.request.listen.0.host', '127.0.0.1; reboot'],
    ['work.request.listen.0.lastPort', 22],
    ['work.request.fuel', '1e9'],
    ['work.request.fuel', '9'.repeat(40)],
    ['work.request.memoryPages', 65_537],
    ['work.request.memoryPages', 0.5],
    ['work.request.tableEntries', -1],
    ['work.request.carryBytesMax', 2 ** 40],
    ['work.request.timeoutMs', 2 ** 31],
    ['work.request.checkpointEveryMs', 0],
    ['work.request.wasi', 'native'],
    ['work.request.confine', 'none'],
    ['secrets.0.value', 'not base64!'],
    ['triggers.0.at', '-1'],
    ['triggers.0.on', 'always'],
    ['detach', 'yes'],
  ])('with %s = %j is refused', (path, value) => {
    const ask = changed(START, path.split('.'), value);
    expect(() => readAsk(ask)).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }));
  });

  test.each<[string, unknown]>([
    ['work.selector.id', 'F'.repeat(32)],
    ['work.selector.id', 'f'.repeat(31)],
    ['work.selector.at', 'yesterday'],
    ['work.changes.runAs', { uid: 0, gid: 0 }],
    ['work.changes.modulePath', '/other.wasm'],
    ['work.changes.memoryPages', 2 ** 20],
    ['work.kind', 'run'],
  ])('for a restore with %s = %j is refused', (path, value) => {
    const ask = changed(RESTORE, path.split('.'), value);
    expect(() => readAsk(ask)).toThrow(expect.objectContaining({ code: 'ERR_PROTOCOL' }));
  });
});

test(`${INPUTS} changed requests are refused by name, or hold nothing that was not checked`, () => {
  const random = seededRandom(SEED);
  const seeds = [START, RESTORE, { ask: 'jobs' }, { ask: 'kill', job: 'a', signal: 'SIGTERM' }].map(
    (ask) => Buffer.concat(frameMessage(ask as unknown as CborValue)),
  );
  const counts = { taken: 0, refused: 0, unfinished: 0 };
  for (let input = 0; input < INPUTS; input += 1) {
    const bytes = mutateBytes(random, pick(random, seeds), seeds);
    try {
      const frames = new FrameReader(ASK_LIMITS).push(bytes);
      const asks = frames.map(({ message }) => readAsk(message));
      if (asks.length === 0) counts.unfinished += 1;
      else counts.taken += 1;
      expect(JSON.stringify(asks)).not.toMatch(/"(runAs|owner|uid)":/);
    } catch (error) {
      expect(error).toBeInstanceOf(HostError);
      counts.refused += 1;
    }
  }
  console.log(`requests: seed ${SEED}, ${INPUTS} inputs, ${JSON.stringify(counts)}`);
  expect(counts.refused).toBeGreaterThan(INPUTS / 10);
});
