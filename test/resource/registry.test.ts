import { describe, expect, test } from 'vitest';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import type { CborValue } from '../../src/cbor/cbor.ts';
import { integer } from '../../src/cbor/shape.ts';
import { HostError } from '../../src/fault/host-error.ts';
import { defineProvider, type Provider } from '../../src/resource/provider.ts';
import { ProviderRegistry } from '../../src/resource/registry.ts';

/** A provider that writes down what it is called for; `overrides` misbehave. */
function recorder(
  log: string[],
  kind: string,
  overrides: Partial<Provider<number>> = {},
): Provider {
  const step = (name: string) => () => void log.push(`${name} ${kind}`);
  return defineProvider<number>({
    kind,
    version: 1,
    deadlineMs: 200,
    shape: integer(0, 100),
    prepare: () => {
      log.push(`prepare ${kind}`);
      return kind.length;
    },
    commit: step('commit'),
    abort: step('abort'),
    rebuild: (state, { reason }) => void log.push(`rebuild ${kind} ${state} ${reason}`),
    ...overrides,
  });
}

function registryOf(...providers: readonly Provider[]): ProviderRegistry {
  const registry = new ProviderRegistry();
  for (const provider of providers) registry.register(provider);
  return registry;
}

/** Five, of which the third misbehaves. */
function five(log: string[], overrides: Partial<Provider<number>>): ProviderRegistry {
  return registryOf(
    ...['a', 'b', 'c', 'd', 'e'].map((kind) => recorder(log, kind, kind === 'c' ? overrides : {})),
  );
}

describe('the order of calls', () => {
  test('last registered first at a checkpoint, first registered first afterwards', async () => {
    const log: string[] = [];
    const registry = registryOf(recorder(log, 'one'), recorder(log, 'three'));
    const states = await registry.quiesce();
    expect(states).toEqual([
      { kind: 'one', version: 1, state: 3 },
      { kind: 'three', version: 1, state: 5 },
    ]);
    await registry.rebuild(states, 'resumed');
    expect(log).toEqual([
      'prepare three',
      'prepare one',
      'commit three',
      'commit one',
      'rebuild one 3 resumed',
      'rebuild three 5 resumed',
    ]);
  });

  test('a restart rebuilds what is freshly registered', async () => {
    const log: string[] = [];
    const registry = registryOf(recorder(log, 'one'));
    await registry.rebuild([{ kind: 'one', version: 1, state: 9 }], 'cloned');
    expect(log).toEqual(['rebuild one 9 cloned']);
  });
});

describe('what a provider offers to the guest', () => {
  const answer = () => 42;

  test('is found by import module and name', () => {
    const first = recorder([], 'one', { imports: { one: { answer }, both: { left: answer } } });
    const second = recorder([], 'two', { imports: { both: { right: answer } } });
    const imports = registryOf(first, second).imports();
    expect([...imports.keys()]).toEqual(['one', 'both']);
    expect([...imports.get('both')!.keys()]).toEqual(['left', 'right']);
    expect(imports.get('one')!.get('answer')).toBe(answer);
  });

  test.each([['wasi_snapshot_preview1'], ['wasi_unstable'], ['stasis']])(
    'is refused in the host module %s',
    (module) => {
      const registry = registryOf(recorder([], 'one', { imports: { [module]: { answer } } }));
      expect(() => registry.imports()).toThrow(
        expect.objectContaining({
          code: 'ERR_PROVIDER',
          facts: { provider: 'one', import: module },
        }),
      );
    },
  );

  test('is refused when another offers it', () => {
    const imports = { both: { answer } };
    const registry = registryOf(recorder([], 'one', { imports }), recorder([], 'two', { imports }));
    expect(() => registry.imports()).toThrow('The provider two offers both.answer');
  });
});

test('attached first registered first, closed last registered first', () => {
  const log: string[] = [];
  const overrides = (kind: string): Partial<Provider<number>> => ({
    attach: ({ clock }) => void log.push(`attach ${kind} ${clock.monotonicNs()}`),
    close: () => void log.push(`close ${kind}`),
  });
  const registry = registryOf(
    recorder(log, 'one', overrides('one')),
    recorder(log, 'none'),
    recorder(log, 'two', overrides('two')),
  );
  const clock = { realtimeNs: () => 0n, monotonicNs: () => 7n, cpuNs: () => 0n, resolutionNs: 1n };
  registry.attach({
    memory: new GuestMemory(() => ({ buffer: new ArrayBuffer(8) })),
    pause: { wait: () => 'timeout' },
    clock,
  });
  expect(registry.close()).toBe(null);
  expect(log).toEqual(['attach one 7', 'attach two 7', 'close two', 'close one']);
});

describe('failures', () => {
  const fail = () => {
    throw new HostError('ERR_NOT_CAPTURABLE', 'No.');
  };

  test.each<[string, Partial<Provider<number>>, string]>([
    ['throws', { prepare: fail }, 'No.'],
    ['rejects', { prepare: async () => fail() }, 'No.'],
    [
      'throws something',
      {
        prepare: () => {
          throw new TypeError('odd');
        },
      },
      'The provider c failed while preparing for a checkpoint: odd.',
    ],
    [
      'throws nothing',
      {
        prepare: () => {
          throw '';
        },
      },
      'no reason given',
    ],
    ['hangs', { prepare: () => new Promise(() => undefined) }, 'The provider c, preparing'],
    ['gives what it would refuse', { prepare: () => 101 }, 'state of c'],
  ])('a prepare that %s leaves everything held', async (_, overrides, why) => {
    const log: string[] = [];
    const registry = five(log, overrides);
    await expect(registry.quiesce()).rejects.toThrow(why);
    expect(log).toEqual(['prepare e', 'prepare d', 'abort c', 'abort d', 'abort e']);
    expect(registry.isLost).toBe(false);
  });

  test('a commit that throws gives back what was let go', async () => {
    const log: string[] = [];
    const registry = five(log, { commit: fail });
    await expect(registry.quiesce()).rejects.toThrow('No.');
    expect(log.slice(-5)).toEqual([
      'abort a',
      'abort b',
      'rebuild c 1 aborted',
      'rebuild d 1 aborted',
      'rebuild e 1 aborted',
    ]);
    expect(registry.isLost).toBe(false);
  });

  test('after a failure that was undone the next checkpoint works', async () => {
    const log: string[] = [];
    let failures = 1;
    const registry = five(log, {
      prepare: () => {
        if (failures-- > 0) fail();
        return 1;
      },
    });
    await expect(registry.quiesce()).rejects.toThrow('No.');
    await registry.rebuild(await registry.quiesce(), 'resumed');
    expect(log.at(-1)).toBe('rebuild e 1 resumed');
  });

  test('an undoing that fails says that the guest is lost', async () => {
    const registry = five([], { prepare: fail, abort: fail });
    await expect(registry.quiesce()).rejects.toMatchObject({ facts: { lost: true } });
    expect(registry.isLost).toBe(true);
    await expect(registry.quiesce()).rejects.toThrow('going on already');
  });

  test('a rebuild that fails stops there', async () => {
    const log: string[] = [];
    const registry = five(log, { rebuild: fail });
    const states = await registry.quiesce();
    await expect(registry.rebuild(states, 'resumed')).rejects.toThrow('No.');
    expect(log.slice(-2)).toEqual(['rebuild a 1 resumed', 'rebuild b 1 resumed']);
    expect(registry.isLost).toBe(true);
  });

  test('a provider that asks for a checkpoint itself is refused', async () => {
    const inner: unknown[] = [];
    const registry: ProviderRegistry = five([], {
      prepare: async () => {
        inner.push(await registry.quiesce().catch((error: HostError) => error.code));
        return 1;
      },
    });
    await registry.quiesce();
    expect(inner).toEqual(['ERR_NOT_CAPTURABLE']);
  });

  test.each<[string, readonly { kind: string; version: number; state: CborValue }[], string]>([
    ['missing', [], 'ERR_RESOURCE_NOT_GRANTED'],
    ['unknown', [{ kind: 'x', version: 1, state: 1 }], 'ERR_RESOURCE_NOT_GRANTED'],
    ['of another version', [{ kind: 'one', version: 2, state: 1 }], 'ERR_MALFORMED_IMAGE'],
    ['of another shape', [{ kind: 'one', version: 1, state: 'x' }], 'ERR_MALFORMED_IMAGE'],
  ])('a state that is %s is refused', async (_, states, code) => {
    const registry = registryOf(recorder([], 'one'));
    await expect(registry.rebuild(states, 'restarted')).rejects.toMatchObject({ code });
  });
});

test('an older state is read by a provider that says so, and told which it is', async () => {
  const seen: number[] = [];
  const reading = {
    version: 3,
    reads: [2],
    rebuild: (_: number, { version }: { version: number }) => {
      seen.push(version);
    },
  };
  for (const version of [2, 3]) {
    const registry = registryOf(recorder([], 'one', reading));
    await registry.rebuild([{ kind: 'one', version, state: 1 }], 'restarted');
  }
  expect(seen).toEqual([2, 3]);
  for (const version of [1, 4]) {
    const registry = registryOf(recorder([], 'one', reading));
    await expect(
      registry.rebuild([{ kind: 'one', version, state: 1 }], 'restarted'),
    ).rejects.toMatchObject({ code: 'ERR_MALFORMED_IMAGE' });
  }
});

test('a provider can only read versions before its own', () => {
  for (const reads of [[3], [4], [0], 'x']) {
    expect(() => recorder([], 'one', { version: 3, reads: reads as number[] })).toThrow('reads');
  }
});

test('a provider that fails while it closes keeps none of the others from closing', () => {
  const log: string[] = [];
  const close = (kind: string) => () => {
    log.push(kind);
    throw new Error(`no ${kind}`);
  };
  const registry = registryOf(
    recorder([], 'one', { close: close('one') }),
    recorder([], 'two', { close: close('two') }),
  );
  expect(registry.close()?.message).toBe('The provider two failed while closing: no two.');
  expect(log).toEqual(['two', 'one']);
});

test.each<[string, Partial<Provider<number>>, string]>([
  ['kind', { kind: 'Not Plain' }, 'a plain name'],
  ['version', { version: 0 }, 'counts from 1'],
  ['version', { version: 1.5 }, 'counts from 1'],
  ['deadlineMs', { deadlineMs: Number.POSITIVE_INFINITY }, 'at most 3600000'],
  ['commit', { commit: undefined as never }, 'a function'],
])('a definition whose %s is wrong is refused', (field, overrides, wanted) => {
  expect(() => recorder([], 'x', overrides)).toThrow(
    expect.objectContaining({ code: 'ERR_PROVIDER', facts: { field } }),
  );
  expect(() => recorder([], 'x', overrides)).toThrow(wanted);
});

test('a kind has one provider', () => {
  expect(() => registryOf(recorder([], 'x'), recorder([], 'x'))).toThrow(
    'There are two providers of the kind x.',
  );
});
