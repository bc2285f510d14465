import { expect, test } from 'vitest';
import type { HostError } from '../../src/fault/host-error.ts';
import type { Requester } from '../../src/vault/checkpoint-info.ts';
import { makePlaces } from './places.ts';
import { ALICE, BOB, open, SOFTWARE, sealRequest } from './test-vault.ts';

/** Bob, who asks for what is Alice's. */
const BOB_FOR_ALICE: Requester = { ...ALICE, operator: BOB.owner };
const CLAIM = { job: 'job-1', run: 2, how: 'once' as const, fateOf: () => 'running' as const };

/** What an attempt answers, without the id that was asked for. */
async function answer(id: string, work: Promise<unknown>): Promise<string> {
  try {
    return JSON.stringify(await work);
  } catch (error) {
    const { code, message, facts } = error as HostError;
    return JSON.stringify({ code, message, facts }).replaceAll(id, 'ID');
  }
}

test('an operator lists and restores what the owner has granted, and nothing before or after', async () => {
  const vault = await open(makePlaces());
  const { id } = await vault.seal(sealRequest());
  const verbs = (asked: string) => [
    vault.list(BOB_FOR_ALICE),
    vault.find(BOB_FOR_ALICE, {}),
    vault.find(BOB_FOR_ALICE, { id: asked }),
    vault.check(BOB_FOR_ALICE, asked, SOFTWARE),
    vault.open(BOB_FOR_ALICE, asked, SOFTWARE),
    vault.claim(BOB_FOR_ALICE, asked, CLAIM),
  ];
  const nobody: Requester = { owner: 'uid:9', entry: 'cli', operator: BOB.owner };
  const refusesAll = async () => {
    const answers = await Promise.all(verbs(id).map((work) => answer(id, work)));
    const unknown = 'ff'.repeat(16);
    const forNobody = await Promise.all([
      answer(unknown, vault.list(nobody)),
      answer(unknown, vault.find(nobody, {})),
      answer(unknown, vault.find(nobody, { id: unknown })),
      answer(unknown, vault.check(nobody, unknown, SOFTWARE)),
      answer(unknown, vault.open(nobody, unknown, SOFTWARE)),
      answer(unknown, vault.claim(nobody, unknown, CLAIM)),
    ]);
    // Not even whether there is something can be told.
    expect(answers).toEqual(forNobody);
    expect(answers[0]).toBe('[]');
  };
  await refusesAll();
  const before = (await vault.verifyLedger()).entries;
  await vault.grant(ALICE, BOB.owner);
  await vault.grant(ALICE, BOB.owner);
  expect(await vault.operators(ALICE)).toEqual([BOB.owner]);
  expect(await vault.operators(BOB)).toEqual([]);
  expect((await vault.list(BOB_FOR_ALICE)).map((info) => info.id)).toEqual([id]);
  expect((await vault.find(BOB_FOR_ALICE, {}))?.id).toBe(id);
  expect((await vault.open(BOB_FOR_ALICE, id, SOFTWARE)).info.id).toBe(id);
  await vault.claim(BOB_FOR_ALICE, id, CLAIM);
  await vault.settle(BOB_FOR_ALICE, id, CLAIM, false);
  // Granted, listed, opened, claimed, freed.
  expect((await vault.verifyLedger()).entries).toBe(before + 5);

  expect(await vault.revoke(ALICE, BOB.owner)).toBe(true);
  expect(await vault.revoke(ALICE, BOB.owner)).toBe(false);
  expect(await vault.operators(ALICE)).toEqual([]);
  await refusesAll();
  await vault.close();
});

test('an operator can not remove, nor name operators, nor ask for more than the own entry', async () => {
  const vault = await open(makePlaces());
  const { id } = await vault.seal(sealRequest());
  await vault.grant(ALICE, BOB.owner);
  for (const work of [
    vault.remove(BOB_FOR_ALICE, [id]),
    vault.grant(BOB_FOR_ALICE, 'uid:7'),
    vault.revoke(BOB_FOR_ALICE, BOB.owner),
    vault.operators(BOB_FOR_ALICE),
    vault.claim(BOB_FOR_ALICE, id, { ...CLAIM, how: 'clone' }),
    vault.claim(BOB_FOR_ALICE, id, { ...CLAIM, how: 'again' }),
    vault.seal(sealRequest({ requester: BOB_FOR_ALICE })),
  ]) {
    await expect(work).rejects.toMatchObject({ code: 'ERR_NOT_ALLOWED' });
  }
  await expect(vault.open({ ...BOB_FOR_ALICE, entry: 'edge' }, id, SOFTWARE)).rejects.toMatchObject(
    { code: 'ERR_REQUESTER_MISMATCH' },
  );
  // Alice's operator is not Bob's: what is Bob's stays Bob's.
  await vault.seal(sealRequest({ requester: BOB }));
  expect(await vault.list({ ...BOB, operator: ALICE.owner })).toEqual([]);
  expect((await vault.list(ALICE)).map((info) => info.id)).toEqual([id]);
  await vault.close();
});

test('nobody is the own operator, and there are not more than 64', async () => {
  const vault = await open(makePlaces());
  await expect(vault.grant(ALICE, ALICE.owner)).rejects.toMatchObject({ code: 'ERR_USAGE' });
  await expect(vault.grant(ALICE, '')).rejects.toMatchObject({ code: 'ERR_USAGE' });
  for (let at = 0; at < 64; at++) await vault.grant(ALICE, `uid:${5000 + at}`);
  await expect(vault.grant(ALICE, 'uid:6000')).rejects.toMatchObject({ code: 'ERR_USAGE' });
  expect(await vault.operators(ALICE)).toHaveLength(64);
  await vault.close();
});
