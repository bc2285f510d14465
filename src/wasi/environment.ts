/**
 * What the calls of WASI preview1 work on: one guest's memory, arguments, handles, clocks and sleep.
 *
 * Invariants:
 * 1. A call returns an errno or INTERRUPTED; it throws nothing but `GuestExit` and `LimitReached`.
 * 2. A call that returns INTERRUPTED has done nothing that making it again would do twice. What it
 *    must remember lies in `progress`; `progress` is null at the start of every other call.
 */
import type { GuestMemory } from '../abi/guest-memory.ts';
import type { CborValue } from '../cbor/cbor.ts';
import type { Connections } from '../handle/connection.ts';
import type { HandleTable } from '../handle/handle-table.ts';
import type { NativeDescriptors } from '../handle/native-descriptors.ts';
import type { Clock } from '../resource/clock.ts';
import type { Pause } from '../resource/pause.ts';
import type { RandomSource } from '../resource/random.ts';
import type { SecretRegions } from '../resource/secrets.ts';

export interface WasiEnvironment {
  readonly memory: GuestMemory;
  /** Without their final NUL. */
  readonly args: readonly Uint8Array[];
  /** `K=V` each, without their final NUL. */
  readonly env: readonly Uint8Array[];
  /** Has variables behind those of `env` whose values enter no image; absent: there are none. */
  readonly secrets?: SecretRegions;
  readonly handles: HandleTable;
  readonly connections: Connections;
  /** Null: there are no sockets, and streams can't be looked at before they are used. */
  readonly native: NativeDescriptors | null;
  /** The guest's clock: see `resource/clock.ts`. */
  readonly clock: Clock;
  readonly random: RandomSource;
  /** What one call may ask of it; absent: the default. */
  readonly randomBytesMax?: number;
  readonly pause: Pause;
  /** Set by a call before it returns INTERRUPTED, given back when the same call is made again. */
  progress: CborValue;
}

/** Thrown by `proc_exit`, and by `proc_raise` with 128 + the signal's number. */
export class GuestExit {
  /** u32 as the guest gave it; what an operating system can report of it is the caller's affair. */
  readonly code: number;

  constructor(code: number) {
    this.code = code;
  }
}
