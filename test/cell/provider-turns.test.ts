import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { integer } from '../../src/cbor/shape.ts';
import { createTurns, openTurn, watchTurns } from '../../src/cell/provider-turns.ts';
import { createSharedControl, viewSharedControl } from '../../src/cell/shared-control.ts';
import type { HostError } from '../../src/fault/host-error.ts';
import type { GuestAccess, Provider } from '../../src/resource/provider.ts';
import { defineProvider } from '../../src/resource/provider.ts';
import { watchProvider } from '../../src/resource/turns.ts';

const newShared = () => viewSharedControl(createSharedControl());

describe('turns', () => {
  test('are open from begin to end, and a late end leaves the next one open', () => {
    const shared = newShared();
    const turns = createTurns(shared, 3);
    expect(openTurn(shared)).toBe(null);
    const endFirst = turns.begin('to prepare for a checkpoint', 500);
    expect(openTurn(shared)).toMatchObject({
      provider: 3,
      phase: 'to prepare for a checkpoint',
      deadlineMs: 500,
    });
    const endSecond = turns.begin('to close', 700);
    endFirst();
    expect(openTurn(shared)).toMatchObject({ phase: 'to close', deadlineMs: 700 });
    endSecond();
    expect(openTurn(shared)).toBe(null);
  });

  test('go on past the largest number', () => {
    const shared = newShared();
    Atomics.store(shared.words, 9, 0x7fff_fffe);
    const turns = createTurns(shared, 0);
    for (let turn = 0; turn < 3; turn++) {
      const end = turns.begin('to close', 1);
      expect(openTurn(shared)).not.toBe(null);
      end();
      expect(openTurn(shared)).toBe(null);
    }
  });

  test('that are late are told once, by name; others are not', async () => {
    const shared = newShared();
    let nowMs = 0;
    const told: HostError[] = [];
    const nameOf = (provider: number) => `number ${provider}`;
    watchTurns({ shared, nameOf, nowMs: () => nowMs, late: (error) => told.push(error) });
    const looks = () => sleep(450);
    createTurns(shared, 1).begin('to close', 100)();
    createTurns(shared, 2).begin('to close', 100);
    await looks();
    nowMs += 1000;
    await looks();
    expect(told).toEqual([]);
    nowMs += 200;
    await looks();
    await looks();
    expect(told.map(({ code, message }) => ({ code, message }))).toEqual([
      {
        code: 'ERR_TIMEOUT',
        message: 'The provider number 2 took longer than 100 ms to close, and did not yield.',
      },
    ]);
  });
});

describe('a watched provider', () => {
  function watched(log: string[], overrides: Partial<Provider<number>> = {}): Provider {
    const provider = defineProvider<number>({
      kind: 'x',
      version: 2,
      shape: integer(0),
      prepare: () => 5,
      commit: async () => undefined,
      abort: () => undefined,
      rebuild: () => undefined,
      ...overrides,
    });
    return watchProvider(provider, {
      begin: (phase) => {
        log.push(phase);
        return () => log.push(`end ${phase}`);
      },
    });
  }

  test('has a turn for everything that it is called for', async () => {
    const log: string[] = [];
    const provider = watched(log, { imports: { m: { f: (a) => a } } });
    expect(await provider.prepare()).toBe(5);
    await provider.commit();
    await provider.abort();
    await provider.rebuild(5, { reason: 'resumed', version: 1 });
    expect(provider.imports!['m']!['f']!(7n)).toBe(7n);
    provider.close!();
    const phases = [
      'to prepare for a checkpoint',
      'to let go for a checkpoint',
      'to go on without a checkpoint',
      'to take hold again',
      'to answer a call of the guest',
      'to close',
    ];
    expect(log).toEqual(phases.flatMap((phase) => [phase, `end ${phase}`]));
  });

  test('ends a turn that failed, and has none while it waits', async () => {
    const log: string[] = [];
    let guest: GuestAccess;
    const provider = watched(log, {
      attach: (access) => {
        guest = access;
      },
      prepare: () => {
        throw new Error('no');
      },
      imports: { m: { wait: () => (guest.pause.wait(1n, { stdin: false }) === 'ready' ? 1 : 0) } },
    });
    await expect(Promise.resolve().then(() => provider.prepare())).rejects.toThrow('no');
    expect(log.splice(0)).toHaveLength(2);
    provider.attach!({
      memory: new GuestMemory(() => ({ buffer: new ArrayBuffer(8) })),
      clock: { realtimeNs: () => 0n, monotonicNs: () => 0n, cpuNs: () => 0n, resolutionNs: 1n },
      pause: {
        wait: () => {
          log.push('waits');
          return 'ready';
        },
      },
    });
    log.splice(0);
    expect(provider.imports!['m']!['wait']!()).toBe(1);
    const call = 'to answer a call of the guest';
    expect(log).toEqual([call, `end ${call}`, 'waits', call, `end ${call}`]);
  });
});
