import { describe, expect, test } from 'vitest';
import { makePlaces } from './places.ts';
import { ALICE, BOB, open, SOFTWARE, sealRequest } from './test-vault.ts';

const UNKNOWN = 'ff'.repeat(16);

describe('who may open what', () => {
  test("another owner's checkpoint can't be told from one that does not exist", async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await vault.seal(sealRequest({ requester: BOB }));
    const say = async (asked: string, verb: 'open' | 'check'): Promise<string> => {
      try {
        await vault[verb](BOB, asked, SOFTWARE);
        return 'opened';
      } catch (error) {
        const { code, message, facts } = error as { code: string; message: string; facts: object };
        return JSON.stringify({ code, message, facts }).replaceAll(asked, 'ID');
      }
    };
    for (const verb of ['open', 'check'] as const) {
      const answer = await say(id, verb);
      expect(answer).toContain('ERR_NO_SUCH_CHECKPOINT');
      expect(answer).toBe(await say(UNKNOWN, verb));
    }
    expect(await vault.find(BOB, { id })).toBeNull();
    expect((await vault.list(BOB)).map((info) => info.id)).not.toContain(id);
    await vault.close();
  });

  test('an owner that the vault has never seen has nothing', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    const stranger = { owner: 'uid:9', entry: 'cli' } as const;
    expect(await vault.list(stranger)).toEqual([]);
    expect(await vault.find(stranger, {})).toBeNull();
    await expect(vault.open(stranger, id, SOFTWARE)).rejects.toMatchObject({
      code: 'ERR_NO_SUCH_CHECKPOINT',
    });
    await vault.close();
  });

  test('the way in has to be the same', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    for (const entry of ['edge', 'replay'] as const) {
      await expect(vault.open({ ...ALICE, entry }, id, SOFTWARE)).rejects.toMatchObject({
        code: 'ERR_REQUESTER_MISMATCH',
        facts: { sealed: 'cli', now: entry },
        hint: expect.stringContaining('cli'),
      });
    }
    await vault.close();
  });

  test('the requester is checked before the software', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await expect(
      vault.open({ ...ALICE, entry: 'edge' }, id, { ...SOFTWARE, host: 'other' }),
    ).rejects.toMatchObject({ code: 'ERR_REQUESTER_MISMATCH' });
    await vault.close();
  });
});

describe('software', () => {
  const changes = [
    ['module', { module: 'cd'.repeat(32) }, 'the module differs'],
    ['instrumenter', { instrumenter: '2' }, 'the instrumenter differs'],
    ['host', { host: '0.2.0' }, 'the host differs'],
    ['image format', { imageFormat: 2 }, 'the image format differs'],
    ['engine', { engine: 'v8 15' }, 'the engine differs'],
    ['WASI layer', { wasi: 'another 1.0.0' }, 'the WASI layer differs'],
  ] as const;

  test.each(changes)('another %s alone is refused by name', async (name, change, words) => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    const now = { ...SOFTWARE, ...change };
    for (const verb of ['check', 'open'] as const) {
      await expect(vault[verb](ALICE, id, now)).rejects.toMatchObject({
        code: 'ERR_SOFTWARE_MISMATCH',
        message: expect.stringContaining(words),
        facts: { [`${name} sealed`]: expect.anything(), [`${name} now`]: expect.anything() },
        hint: expect.stringContaining('restore'),
      });
    }
    expect((await vault.check(ALICE, id, SOFTWARE)).id).toBe(id);
    await vault.close();
  });

  test('several at once are all named', async () => {
    const vault = await open(makePlaces());
    const { id } = await vault.seal(sealRequest());
    await expect(
      vault.check(ALICE, id, { ...SOFTWARE, module: '0', host: '9', engine: 'x' }),
    ).rejects.toThrow('the module, host and engine differ.');
    await vault.close();
  });
});
