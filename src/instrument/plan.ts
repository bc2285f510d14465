/**
 * What the pass decided about a module as a whole: the part that needs a look at every function.
 *
 * The plan is kept beside the instrumented module, so that a restore needs to look only at the functions
 * on the captured stack. Everything else is computed again from the module, and comes out the same.
 */
import { decodeCbor } from '../cbor/decode.ts';
import { encodeCbor } from '../cbor/encode.ts';
import { HostError } from '../fault/host-error.ts';

const CAPTURED = 1;
const ENTRY_POLL = 2;

export interface ModulePlan {
  /** By function: bit 0, may be on a captured stack; bit 1, polls at its entry. */
  readonly flags: Uint8Array;
  /** Instructions that become calls, in the order of first use. */
  readonly helpers: readonly HelperSpec[];
  /** By table: 1 where an instruction of the module may change it. */
  readonly changedTables: Uint8Array;
}

/** An instruction that a function of its own carries out: its class, and its two immediates (0 for none). */
export interface HelperSpec {
  readonly opClass: number;
  readonly first: number;
  readonly second: number;
}

export function isCaptured(plan: ModulePlan, func: number): boolean {
  return (plan.flags[func]! & CAPTURED) !== 0;
}

export function pollsAtEntry(plan: ModulePlan, func: number): boolean {
  return (plan.flags[func]! & ENTRY_POLL) !== 0;
}

export function flagsFor(captured: boolean, entryPoll: boolean): number {
  return (captured ? CAPTURED : 0) | (entryPoll ? ENTRY_POLL : 0);
}

/** A number for a helper's spec, for look-ups: unique while both immediates are beneath 2^20. */
export function helperKey(opClass: number, first: number, second: number): number {
  return (first * 2 ** 20 + second) * 64 + opClass;
}

export function encodePlan(plan: ModulePlan): Uint8Array {
  return encodeCbor({
    flags: plan.flags,
    helpers: plan.helpers.map(({ opClass, first, second }) => [opClass, first, second]),
    changedTables: plan.changedTables,
  });
}

function isHelper(helper: unknown): boolean {
  return Array.isArray(helper) && helper.length === 3 && helper.every(Number.isSafeInteger);
}

/** The plan from the cache; `functions` and `tables` are the module's own counts. */
export function decodePlan(bytes: Uint8Array, functions: number, tables: number): ModulePlan {
  const { flags, helpers, changedTables } = decodeCbor(bytes) as {
    flags?: unknown;
    helpers?: unknown;
    changedTables?: unknown;
  };
  if (
    !(flags instanceof Uint8Array && flags.length === functions) ||
    !(changedTables instanceof Uint8Array && changedTables.length === tables) ||
    !(Array.isArray(helpers) && helpers.every(isHelper))
  ) {
    throw new HostError('ERR_IO', 'the cached plan does not belong to this module', {
      hint: 'remove the cache directory and try again',
    });
  }
  return {
    flags,
    helpers: helpers.map(([opClass, first, second]) => ({ opClass, first, second })),
    changedTables,
  };
}
