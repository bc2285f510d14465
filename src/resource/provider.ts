/**
 * What owns a thing outside the guest that handles stand for, and is called back around a checkpoint.
 *
 *   checkpoint   prepare of every provider, last registered first; then commit of every provider,
 *                in the same order; if one prepare fails, abort of those prepared, first registered first
 *   afterwards   rebuild of every provider, first registered first
 *
 * Invariants:
 * 1. `prepare` changes nothing that `abort` can't undo: after an abort the guest goes on as before.
 * 2. `commit` follows only when every `prepare` succeeded. It lets go: files closed, connections ended.
 * 3. `rebuild` trusts nothing in `state`: it may have been written by an enemy, and grants nothing.
 * 4. A state is checked against `accepts` before `rebuild` sees it.
 */
import type { CborValue } from '../cbor/cbor.ts';

/** Why a provider is called: the guest goes on in the same process, in another, as a twin, or as before. */
export type Reason = 'resumed' | 'restarted' | 'cloned' | 'aborted';

export interface RebuildContext {
  readonly reason: Reason;
}

export interface Provider<State extends CborValue = CborValue> {
  /** Names the provider in images: lower-case letters, digits, `-`. */
  readonly kind: string;
  /** Of the shape of `state`, from 1. A state of another version is refused unless `migrate` is there. */
  readonly version: number;
  /** Time for each callback, in milliseconds. */
  readonly deadlineMs: number;
  /** Whether `state` has the shape that this version writes. Must not throw. */
  accepts(state: CborValue): state is State;
  prepare(): State | Promise<State>;
  commit(): void | Promise<void>;
  abort(): void | Promise<void>;
  rebuild(state: State, context: RebuildContext): void | Promise<void>;
}
