/** A small vault of two owners, open, with its index open beside it, and a look at everything in it. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { expect } from 'vitest';
import { HostError } from '../../src/fault/host-error.ts';
import type { CheckpointInfo, Requester } from '../../src/vault/checkpoint-info.ts';
import type { Vault } from '../../src/vault/vault.ts';
import { makePlaces } from './places.ts';
import {
  ALICE,
  BOB,
  makeImage,
  open,
  PAGE,
  type Places,
  SOFTWARE,
  sealRequest,
} from './test-vault.ts';

const REFUSALS = new Set(['ERR_VAULT_DAMAGED', 'ERR_VAULT_KEY', 'ERR_OWNER_MISMATCH']);

export interface Sealed {
  readonly requester: Requester;
  readonly info: CheckpointInfo;
  readonly head: Uint8Array;
  readonly pages: Uint8Array;
}

export interface SmallVault {
  readonly places: Places;
  readonly vault: Vault;
  readonly database: DatabaseSync;
  readonly sealed: readonly Sealed[];
}

/** Alice's two checkpoints and Bob's one, each with a pack of its own. `pages` by seed. */
export async function makeSmallVault(pages: (seed: number) => Uint8Array): Promise<SmallVault> {
  const places = makePlaces();
  const vault = await open(places);
  const sealed: Sealed[] = [];
  for (const [index, requester] of [ALICE, ALICE, BOB].entries()) {
    const image = { head: makeImage(index, 0).head, pages: pages(index) };
    sealed.push({
      requester,
      info: await vault.seal(sealRequest({ ...image, requester })),
      ...image,
    });
  }
  const database = new DatabaseSync(join(places.directory, 'index.sqlite'));
  return { places, vault, database, sealed };
}

export async function closeAll({ vault, database }: SmallVault): Promise<void> {
  database.close();
  await vault.close();
}

/** Codes of all refusals met while everything in the vault is used; a wrong image or another error throws. */
export async function probe({
  vault,
  sealed,
}: Pick<SmallVault, 'vault' | 'sealed'>): Promise<string[]> {
  const codes: string[] = [];
  const attempt = async (work: () => Promise<unknown>): Promise<void> => {
    try {
      await work();
    } catch (error) {
      if (!(error instanceof HostError) || !REFUSALS.has(error.code)) throw error;
      codes.push(error.code);
    }
  };
  for (const requester of [ALICE, BOB]) {
    await attempt(async () => {
      const own = sealed.filter((one) => one.requester === requester).map((one) => one.info);
      expect(await vault.list(requester)).toEqual(own.toReversed());
      expect(await vault.list(requester, { job: 'job-1' })).toEqual(own.toReversed());
    });
  }
  for (const { requester, info, head, pages } of sealed) {
    await attempt(async () => {
      const opened = await vault.open(requester, info.id, SOFTWARE);
      expect(Buffer.compare(opened.head, head)).toBe(0);
      expect(Buffer.compare(opened.pages, pages)).toBe(0);
      expect(opened.info).toEqual(info);
    });
  }
  await attempt(() => vault.verifyLedger());
  return codes;
}

export const onePage = (seed: number): Uint8Array => new Uint8Array(PAGE).fill(seed + 1);

export function packPaths({ directory }: Places): string[] {
  return readdirSync(join(directory, 'packs'))
    .sort()
    .map((name) => join(directory, 'packs', name));
}
