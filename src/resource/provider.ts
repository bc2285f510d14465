/**
 * What owns a thing outside the guest that handles stand for, and is called back around a checkpoint.
 *
 *   start        attach of every provider, first registered first; the guest's memory is there, and
 *                nothing of the guest runs yet
 *   restart      memory, tables and globals are put in place; attach of every provider; rebuild of every
 *                provider, first registered first; then the stack is put up
 *
 *   checkpoint   prepare of every provider, last registered first; then commit of every provider,
 *                in the same order. If a prepare fails: abort of every provider whose prepare began,
 *                first registered first. If a commit fails: rebuild (`aborted`) of those committed and
 *                abort of the others, first registered first.
 *                Memory is captured when every commit is done.
 *   afterwards   rebuild of every provider, first registered first
 *   end          close of every provider, last registered first
 *
 * Invariants:
 * 1. `prepare` changes nothing that `abort` can't undo: after an abort the guest goes on as before.
 *    `abort` also follows a `prepare` that failed or ran out of time.
 * 2. `commit` follows only when every `prepare` succeeded. It lets go: files closed, mappings undone.
 * 3. `rebuild` trusts nothing in `state`: it may have been written by an enemy, and it grants nothing.
 * 4. `rebuild` sees only a state that its `shape` accepted, of its own `version` or one that it `reads`.
 * 5. A function among `imports` answers a guest's wrong arguments with a value, such as an errno. What it
 *    throws ends the guest: it is a failure of the provider, never the guest's.
 */
import type { GuestMemory } from '../abi/guest-memory.ts';
import type { CborValue } from '../cbor/cbor.ts';
import type { Shape } from '../cbor/shape.ts';
import { HostError } from '../fault/host-error.ts';
import type { Clock } from './clock.ts';
import type { Pause } from './pause.ts';

/** Why a provider is called: the guest goes on in the same process, in another, as a twin, or as before. */
export type Reason = 'resumed' | 'restarted' | 'cloned' | 'aborted';

/** What a provider wrote, as it lies in an image. */
export interface ProviderState {
  readonly kind: string;
  readonly version: number;
  readonly state: CborValue;
}

export interface RebuildContext {
  readonly reason: Reason;
  /** Of the state: the provider's own, or one of those that it `reads`. */
  readonly version: number;
}

/** What a provider may use of the guest. */
export interface GuestAccess {
  /** The guest's memory. Ask for `bytes` and `view` at each use: they go stale when it grows. */
  readonly memory: GuestMemory;
  /** Blocks the guest's thread until a time, a checkpoint request, or what is named. */
  readonly pause: Pause;
  /** The guest's clock, which does not go back across a restart. */
  readonly clock: Clock;
}

/**
 * A function that a guest imports: i32, f32 and f64 are numbers, i64 is a bigint. Called on the guest's
 * thread, which it blocks. With INTERRUPTED as its result the guest is captured, and the same call made
 * again afterwards; a call may also be captured at its entry, before the function was called.
 */
export type GuestFunction = (...args: (number | bigint)[]) => number | bigint | undefined;

/** Functions by import module, then by name. */
export type ProviderImports = Readonly<Record<string, Readonly<Record<string, GuestFunction>>>>;

export interface Provider<State extends CborValue = CborValue> {
  /** Names the provider in images: lower-case letters, digits, `-`. */
  readonly kind: string;
  /** Of the shape of `state`, from 1. A state of another version is refused, unless it is read. */
  readonly version: number;
  /** Earlier versions whose states `shape` accepts and `rebuild` understands. Default none. */
  readonly reads?: readonly number[];
  /** Time for each callback, in milliseconds. */
  readonly deadlineMs: number;
  readonly shape: Shape<State>;
  /** Brings the resource to rest and says what a rebuild needs. Throws when it can't be captured. */
  prepare(): State | Promise<State>;
  commit(): void | Promise<void>;
  abort(): void | Promise<void>;
  /** Takes hold again, also right after `commit` in the same process. Throws when that is impossible. */
  rebuild(state: State, context: RebuildContext): void | Promise<void>;
  /** Functions that a guest may import. */
  readonly imports?: ProviderImports;
  /** Called once, before the guest runs and before any `rebuild`. */
  attach?(guest: GuestAccess): void;
  /** The guest is over, or could not be started: lets go of everything. Never throws. */
  close?(): void;
}

export const DEADLINE_MS_DEFAULT = 10_000;
const DEADLINE_MS_MAX = 3_600_000;

/** A provider as it is written down: `deadlineMs` may be left out. */
export type ProviderDefinition<State extends CborValue> = Omit<Provider<State>, 'deadlineMs'> & {
  readonly deadlineMs?: number;
};

const defined = new WeakSet<object>();

/** Whether `value` came from `defineProvider`. */
export function isProvider(value: unknown): value is Provider {
  return typeof value === 'object' && value !== null && defined.has(value);
}

/**
 * A provider with its kind, version and deadline checked; the usual deadline, if it names none. Throws
 * ERR_PROVIDER for a definition that can't be one.
 */
export function defineProvider<State extends CborValue>(
  definition: ProviderDefinition<State>,
): Provider {
  const { kind, version, reads = [], shape, deadlineMs = DEADLINE_MS_DEFAULT } = definition;
  if (typeof kind !== 'string' || !/^[a-z][a-z0-9-]{0,63}$/.test(kind)) {
    throw badDefinition('kind', 'a plain name: lower-case letters, digits and -');
  }
  if (!isCount(version)) throw badDefinition('version', 'a number that counts from 1');
  if (!Array.isArray(reads) || !reads.every((one) => isCount(one) && one < version)) {
    throw badDefinition('reads', 'a list of versions before its own');
  }
  if (!isCount(deadlineMs) || deadlineMs > DEADLINE_MS_MAX) {
    throw badDefinition('deadlineMs', `a number of milliseconds, at most ${DEADLINE_MS_MAX}`);
  }
  for (const name of ['shape', 'prepare', 'commit', 'abort', 'rebuild'] as const) {
    if (typeof definition[name] !== 'function') throw badDefinition(name, 'a function');
  }
  const provider: Provider = {
    kind,
    version,
    reads: [...reads],
    deadlineMs,
    shape,
    prepare: () => definition.prepare(),
    commit: () => definition.commit(),
    abort: () => definition.abort(),
    // The registry has put `state` through `shape`, whose type the registry forgets.
    rebuild: (state, context) => definition.rebuild(state as State, context),
    ...(definition.imports === undefined ? {} : { imports: definition.imports }),
    attach: (guest) => definition.attach?.(guest),
    close: () => definition.close?.(),
  };
  defined.add(provider);
  return provider;
}

function isCount(value: unknown): boolean {
  return Number.isSafeInteger(value) && (value as number) >= 1;
}

/** Definitions are written by users, perhaps without a compiler that checks them. */
function badDefinition(field: string, wanted: string): HostError {
  return new HostError('ERR_PROVIDER', `The ${field} of a provider has to be ${wanted}.`, {
    facts: { field },
  });
}
