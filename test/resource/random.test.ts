import { expect, test } from 'vitest';
import { createFreshness } from '../../src/resource/random.ts';
import { ProviderRegistry } from '../../src/resource/registry.ts';

/** Draws these, one after the other, as little-endian numbers. */
function drawing(...numbers: readonly bigint[]) {
  let next = 0;
  return (into: Uint8Array): void => {
    new DataView(into.buffer).setBigUint64(0, numbers[next++]!, true);
  };
}

test('a generation stays across a checkpoint, and differs after a restart', async () => {
  const before = createFreshness(drawing(2n ** 64n - 1n));
  const registry = new ProviderRegistry();
  registry.register(before.provider);
  const states = await registry.quiesce();
  expect(states).toEqual([{ kind: 'random', version: 1, state: { generation: 2n ** 64n - 1n } }]);
  await registry.rebuild(states, 'resumed');
  expect(before.generation()).toBe(2n ** 64n - 1n);

  // Chance gives the same number again: it is drawn until it is another.
  const after = createFreshness(drawing(2n ** 64n - 1n, 2n ** 64n - 1n, 7n));
  const again = new ProviderRegistry();
  again.register(after.provider);
  await again.rebuild(states, 'restarted');
  expect(after.generation()).toBe(7n);
});
