/**
 * What every operation of an open vault works with.
 *
 * The vault's keys are handed to each transaction anew, since another process may change the master key at
 * any time (`rotate-key.ts`): whether the keys at hand are still the right ones is seen by the vault's
 * first row, and if not they are derived again from wherever the master key comes from.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { HostError } from '../fault/host-error.ts';
import type { IndexTransaction, IndexView, Store, VaultRow } from '../store/store.ts';
import { vaultDamaged } from './damage.ts';
import type { Random, VaultKeys } from './vault-keys.ts';
import { type WitnessOptions, writeWitness } from './witness.ts';

export interface VaultContext {
  readonly store: Store;
  readonly now: () => Date;
  readonly random: Random;
  /** `Index.read`, with the keys of that moment. */
  read<T>(work: (view: IndexView, keys: VaultKeys) => Promise<T>): Promise<T>;
  /** `Index.write`, with the keys of that moment. */
  write<T>(work: (transaction: IndexTransaction, keys: VaultKeys) => Promise<T>): Promise<T>;
  /** These are the keys from now on, where the master key that was known does not lead to them. */
  adopt(check: Uint8Array, keys: VaultKeys): void;
}

export interface ContextOptions extends Pick<VaultContext, 'store' | 'now' | 'random'> {
  /** The vault's keys; throws ERR_VAULT_KEY when there is no key that fits the row. */
  readonly unlock: (row: VaultRow) => Promise<VaultKeys>;
  /** Where what was committed is told to a witness; null: nowhere. */
  readonly witness: WitnessOptions | null;
}

/** What a transaction sees of the vault may be older than the key that is there by now. */
class NoKeyFits extends Error {
  readonly refusal: HostError;

  constructor(refusal: HostError) {
    super();
    this.refusal = refusal;
  }
}

const KEY_TRIES = 5;
const KEY_PAUSE_MS = 10;

/** Begins the transaction anew when the key was changed while it began. Throws ERR_VAULT_KEY in the end. */
async function abreast<T>(transaction: () => Promise<T>): Promise<T> {
  for (let tries = 1; ; tries++) {
    try {
      return await transaction();
    } catch (error) {
      if (!(error instanceof NoKeyFits)) throw error;
      if (tries === KEY_TRIES) throw error.refusal;
    }
    await pause(tries * KEY_PAUSE_MS);
  }
}

/** Unlocks nothing by itself: the first transaction does. */
export function createContext(options: ContextOptions): VaultContext {
  const { store, unlock, witness } = options;
  let known: { readonly check: Uint8Array; readonly keys: VaultKeys } | null = null;

  async function keysNow(view: IndexView): Promise<VaultKeys> {
    const row = await view.vault();
    if (row === null) throw vaultDamaged("The vault's first record");
    if (known === null || Buffer.compare(known.check, row.check) !== 0) {
      known = { check: row.check, keys: await unlockOrWait(row) };
    }
    return known.keys;
  }

  async function unlockOrWait(row: VaultRow): Promise<VaultKeys> {
    try {
      return await unlock(row);
    } catch (error) {
      if (!(error instanceof HostError) || error.code !== 'ERR_VAULT_KEY') throw error;
      throw new NoKeyFits(error);
    }
  }

  /** In a transaction of its own, so that of two processes none writes an older head over a newer one. */
  async function tellWitness(): Promise<void> {
    if (witness === null) return;
    try {
      await store.index.write(async (transaction) => {
        const row = await transaction.vault();
        const last = (await transaction.ledgerTail(1)).at(-1);
        if (row !== null && last !== undefined) await writeWitness(witness, row.id, last);
      });
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      const { code, message, facts, hint } = error;
      // What was to be written is committed: what it names must stay.
      throw new HostError(code, message, {
        facts: { ...facts, outcome: 'unknown' },
        ...(hint === undefined ? {} : { hint }),
        cause: error,
      });
    }
  }

  return {
    store,
    now: options.now,
    random: options.random,
    adopt: (check, keys) => {
      known = { check, keys };
    },
    read: (work) =>
      abreast(() => store.index.read(async (view) => work(view, await keysNow(view)))),
    write: async (work) => {
      const result = await abreast(() =>
        store.index.write(async (transaction) => work(transaction, await keysNow(transaction))),
      );
      await tellWitness();
      return result;
    },
  };
}
