/**
 * What owns a thing outside the guest that handles stand for, and is called back around a checkpoint.
 *
 *   checkpoint   prepare of every provider, last registered first; then commit of every provider,
 *                in the same order. If a prepare fails: abort of every provider whose prepare began,
 *                first registered first. If a commit fails: rebuild (`aborted`) of those committed and
 *                abort of the others, first registered first.
 *   afterwards   rebuild of every provider, first registered first
 *
 * Invariants:
 * 1. `prepare` changes nothing that `abort` can't undo: after an abort the guest goes on as before.
 *    `abort` also follows a `prepare` that failed or ran out of time.
 * 2. `commit` follows only when every `prepare` succeeded. It lets go: files closed, connections ended.
 * 3. `rebuild` trusts nothing in `state`: it may have been written by an enemy, and it grants nothing.
 * 4. `rebuild` sees only a state that its `shape` accepted, and of its own `version`.
 */
import type { CborValue } from '../cbor/cbor.ts';
import type { Shape } from '../cbor/shape.ts';
import { assert } from '../fault/assert.ts';

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
}

export interface Provider<State extends CborValue = CborValue> {
  /** Names the provider in images: lower-case letters, digits, `-`. */
  readonly kind: string;
  /** Of the shape of `state`, from 1. A state of another version is refused. */
  readonly version: number;
  /** Time for each callback, in milliseconds. */
  readonly deadlineMs: number;
  readonly shape: Shape<State>;
  /** Brings the resource to rest and says what a rebuild needs. Throws when it can't be captured. */
  prepare(): State | Promise<State>;
  commit(): void | Promise<void>;
  abort(): void | Promise<void>;
  /** Takes hold again, also right after `commit` in the same process. Throws when that is impossible. */
  rebuild(state: State, context: RebuildContext): void | Promise<void>;
}

export const DEADLINE_MS_DEFAULT = 10_000;

type Defined<State extends CborValue> = Omit<Provider<State>, 'deadlineMs'> & {
  readonly deadlineMs?: number;
};

/** A provider with its kind and version checked and the usual deadline, if it names none. */
export function defineProvider<State extends CborValue>(definition: Defined<State>): Provider {
  assert(/^[a-z][a-z0-9-]{0,63}$/.test(definition.kind), 'a provider has a plain name');
  assert(
    Number.isSafeInteger(definition.version) && definition.version >= 1,
    'versions of providers count from 1',
  );
  const { kind, version, shape, deadlineMs = DEADLINE_MS_DEFAULT } = definition;
  return {
    kind,
    version,
    deadlineMs,
    shape,
    prepare: () => definition.prepare(),
    commit: () => definition.commit(),
    abort: () => definition.abort(),
    // The registry has put `state` through `shape`, whose type the registry forgets.
    rebuild: (state, context) => definition.rebuild(state as State, context),
  };
}
