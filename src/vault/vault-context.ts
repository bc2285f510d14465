import type { Store } from '../store/store.ts';
import type { Random, VaultKeys } from './vault-keys.ts';

/** What every operation of an open vault works with. */
export interface VaultContext {
  readonly store: Store;
  readonly keys: VaultKeys;
  readonly now: () => Date;
  readonly random: Random;
}
