/**
 * Shared buffer pools as a provider: functions for guests, quiesced at a checkpoint and rebuilt after it.
 *
 *   prepare   flushes what was published; says what the guest has pinned
 *   commit    closes every pool: pins, frames and files are let go, windows become private memory
 *   rebuild   opens the pools of today's grants and makes every pin stand at its address again
 */

import type { CborValue } from '../cbor/cbor.ts';
import { assert } from '../fault/assert.ts';
import { OWN_PROVIDERS } from '../resource/own-providers.ts';
import { defineProvider, type GuestAccess, type Provider } from '../resource/provider.ts';
import type { RandomSource } from '../resource/random.ts';
import { POOL_IMPORTS } from './import-module.ts';
import { OpenPools } from './open-pools.ts';
import { type PoolState, poolsShape } from './pin.ts';
import type { PoolCalls } from './pool-calls.ts';
import type { PoolGrant } from './pool-grant.ts';
import { poolImports } from './pool-imports.ts';
import { sleeper, type Waits, waitingFor } from './waiting.ts';

const KIND = 'pools';

/** How long a checkpoint or a restore waits for other guests. Milliseconds; less than a provider has. */
const PATIENCE_MS = 8000;
/** A guest that ends doesn't wait that long: nobody is served by it. */
const ENDING_PATIENCE_MS = 2000;

export interface PoolProviderOptions {
  readonly grants: readonly PoolGrant[];
  readonly random: RandomSource;
  /** null: as where the system offers none of them. */
  readonly calls: PoolCalls | null;
}

export function createPoolProvider(options: PoolProviderOptions): Provider {
  let access: GuestAccess | null = null;
  const guest = (): GuestAccess => {
    assert(access !== null, 'a guest is attached before it runs');
    return access;
  };
  const pools = new OpenPools({ ...options, memory: () => guest().memory });
  const patient = (mostMs: number): Waits => {
    const { clock } = guest();
    const sleep = sleeper(clock);
    return (limitMs) => waitingFor({ clock, limitMs: Math.min(limitMs, mostMs), sleep });
  };
  return defineProvider({
    kind: KIND,
    version: OWN_PROVIDERS.pools.version,
    shape: poolsShape,
    imports: { [POOL_IMPORTS]: poolImports(pools, guest) },
    attach: (given) => {
      access = given;
    },
    prepare: () => pools.flushAll(patient(PATIENCE_MS)) as unknown as CborValue,
    commit: () => pools.releaseAll(patient(PATIENCE_MS)),
    abort: () => undefined,
    rebuild: (states) =>
      pools.standAgain(states as unknown as readonly PoolState[], patient(PATIENCE_MS)),
    close: () => {
      if (access !== null) pools.endAll(patient(ENDING_PATIENCE_MS));
    },
  });
}
