import { describe, expect, test } from 'vitest';
import { ERRNO } from '../../src/abi/errno.ts';
import { GuestMemory } from '../../src/abi/guest-memory.ts';
import { encodeCbor } from '../../src/cbor/encode.ts';
import type { GuestAccess } from '../../src/resource/provider.ts';
import { ProviderRegistry } from '../../src/resource/registry.ts';
import { type Secret, SecretRegions } from '../../src/resource/secrets.ts';

const SIZE = 65_536;

function guestWith(...secrets: readonly Secret[]) {
  const buffer = new ArrayBuffer(SIZE);
  const memory = new GuestMemory(() => ({ buffer }));
  const regions = new SecretRegions(secrets);
  const registry = new ProviderRegistry();
  registry.register(regions.provider);
  registry.attach({ memory } as GuestAccess);
  return { bytes: new Uint8Array(buffer), regions, registry };
}

const secret = (name: string, value: string): Secret => ({ name, value: Buffer.from(value) });
const at = (bytes: Uint8Array, address: number, length: number) =>
  Buffer.from(bytes.subarray(address, address + length)).toString('latin1');

describe('declaring', () => {
  test('what was declared last takes the place of what it overlaps', () => {
    const { regions } = guestWith();
    expect(regions.declare(100, 50)).toBe(ERRNO.SUCCESS);
    expect(regions.declare(200, 10)).toBe(ERRNO.SUCCESS);
    expect(regions.declare(149, 20)).toBe(ERRNO.SUCCESS);
    expect(regions.regions).toEqual([
      { address: 200, lengthBytes: 10, name: null },
      { address: 149, lengthBytes: 20, name: null },
    ]);
    expect(regions.forget(168, 40)).toBe(ERRNO.SUCCESS);
    expect(regions.regions).toEqual([]);
  });

  test('places outside of memory, and more than there may be, are refused', () => {
    const { regions } = guestWith();
    for (const [address, length] of [
      [SIZE, 1],
      [0, SIZE + 1],
      [-1, 1],
      [1, -1],
      [SIZE - 1, 2],
    ]) {
      expect(regions.declare(address!, length!)).toBe(ERRNO.FAULT);
      expect(regions.forget(address!, length!)).toBe(ERRNO.FAULT);
    }
    expect(regions.declare(SIZE, 0)).toBe(ERRNO.SUCCESS);
    let declared = 0;
    while (regions.declare(declared * 2, 1) === ERRNO.SUCCESS) declared++;
    expect(declared).toBe(1024);
    expect(regions.declare(SIZE - 1, 1)).toBe(ERRNO.NOMEM);
    // One that takes the place of others needs no more room.
    expect(regions.declare(0, 4)).toBe(ERRNO.SUCCESS);
  });

  test('a secret is written with zeros behind it', () => {
    const { regions, bytes } = guestWith(secret('TOKEN', 'abc'));
    bytes.fill(7);
    expect(regions.write('TOKEN', 10, 5)).toBe(3);
    expect(at(bytes, 9, 7)).toBe('\x07abc\0\0\x07');
    expect(regions.write('OTHER', 10, 5)).toBe(-ERRNO.NOENT);
    expect(regions.write('TOKEN', 20, 2)).toBe(-ERRNO.RANGE);
    expect(regions.write('TOKEN', SIZE - 2, 4)).toBe(-ERRNO.FAULT);
    expect(at(bytes, 20, 2)).toBe('\x07\x07');
    expect(regions.regions).toEqual([{ address: 10, lengthBytes: 5, name: 'TOKEN' }]);
  });
});

describe('a checkpoint', () => {
  test('holds names and places, and no value', async () => {
    const { regions, registry } = guestWith(secret('TOKEN', 'swordfish'));
    regions.write('TOKEN', 10, 20);
    const states = await registry.quiesce();
    const encoded = Buffer.from(encodeCbor(states.map((state) => ({ ...state }))));
    expect(encoded.includes('TOKEN')).toBe(true);
    expect(encoded.includes('swordfish')).toBe(false);
    await registry.rebuild(states, 'resumed');
    expect(regions.regions).toHaveLength(1);
  });

  test('is gone on from with the value of today, and with zeros in what is the guest’s own', async () => {
    const before = guestWith(secret('TOKEN', 'swordfish'));
    before.regions.write('TOKEN', 10, 9);
    before.regions.declare(50, 3);
    const states = await before.registry.quiesce();
    for (const reason of ['restarted', 'cloned'] as const) {
      const after = guestWith(secret('TOKEN', 'tuna'));
      await after.registry.rebuild(states, reason);
      expect(at(after.bytes, 10, 9)).toBe('tuna\0\0\0\0\0');
      expect(after.regions.regions).toEqual(before.regions.regions);
    }
  });

  test('is not gone on from without a value, or with one that does not fit', async () => {
    const before = guestWith(secret('A', 'a'), secret('B', 'b'), secret('C', 'c'));
    for (const [place, name] of ['A', 'B', 'C'].entries()) before.regions.write(name, place, 1);
    const states = await before.registry.quiesce();
    const lacking = guestWith(secret('B', 'b'));
    await expect(lacking.registry.rebuild(states, 'restarted')).rejects.toMatchObject({
      code: 'ERR_RESOURCE_NOT_GRANTED',
      message: expect.stringContaining('A, C'),
    });
    const long = guestWith(secret('A', 'aa'), secret('B', 'b'), secret('C', 'c'));
    const refused = await long.registry.rebuild(states, 'restarted').catch((error) => error);
    expect(refused).toMatchObject({ code: 'ERR_RESOURCE_NOT_GRANTED', facts: { secret: 'A' } });
  });

  test('keeps the size of the environment, whatever the value of today', async () => {
    const before = guestWith(secret('B', 'long value'), secret('A', 'x'));
    const states = await before.registry.quiesce();
    const after = guestWith(secret('NEW', 'n'), secret('A', 'y'), secret('B', 'short'));
    await after.registry.rebuild(states, 'restarted');
    const entries = after.regions.variables.map(({ entry }) => Buffer.from(entry).toString());
    expect(entries).toEqual(['B=short\0\0\0\0\0', 'A=y']);
    expect(after.regions.write('NEW', 0, 9)).toBe(1);
  });

  test('whose regions overlap or lie outside is refused', async () => {
    const region = (address: number, lengthBytes: number) => ({ address, lengthBytes, name: null });
    for (const regions of [
      [region(0, 10), region(9, 1)],
      [region(SIZE - 1, 2)],
      [region(2 ** 52, 1)],
      [region(0, 0)],
    ]) {
      const { registry } = guestWith();
      await expect(
        registry.rebuild(
          [{ kind: 'secrets', version: 1, state: { variables: [], regions } }],
          'restarted',
        ),
      ).rejects.toMatchObject({ code: 'ERR_MALFORMED_IMAGE' });
    }
  });
});
