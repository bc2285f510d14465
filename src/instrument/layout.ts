/**
 * What the pass appends to a module, and under which indices.
 *
 * Everything is appended behind what the module has, so no index in guest code changes:
 *
 * | space | appended |
 * |---|---|
 * | types | `BASE_TYPES`, then one `[] → results` for each type with two results or more, then helpers' types |
 * | functions | poll, dump globals, load globals, reference; then one for each helper |
 * | tables | one: the host's functions, by `SLOT`, and one slot for references |
 * | tags | one, without parameters: the unwinding |
 * | globals | fuel (i32), memory cap (i64, pages), table cap (i64, entries), entered (i32); then one i32 "dropped" flag for each helper that drops a segment |
 * | elements | one passive segment that holds every function |
 *
 * Invariants:
 * 1. The layout follows from the module's facts and the plan alone.
 * 2. Export names that begin with `EXPORT_PREFIX` are ours; a module that has one is refused.
 */
import { EXTERNREF, FUNCREF, I32, I64 } from '../wasm/value-type.ts';
import type { ModuleFacts } from './module-facts.ts';
import * as kind from './op-class.ts';
import { helperKey, type ModulePlan } from './plan.ts';

export const EXPORT_PREFIX = 'stasis:';

/** Slots of the appended table: functions of the host, and one place to hand out a reference. */
export const SLOT = {
  /** [fuel left: i32] → [fuel to go on with: i32]; may unwind. */
  poll: 0,
  /** [function, site] → []: a frame begins. */
  begin: 1,
  /** [8 words] → []: the frame's next words. */
  save8: 2,
  /** [funcref] → []: the frame's next reference. */
  saveRef: 3,
  /** [kind of limit: 0 memory 1 table, wanted in all: i64] → []: ends the guest. */
  deny: 4,
  /** [] → [i32]: the next word of what is being restored. */
  word: 5,
  /** [] → [funcref]: the next reference of what is being restored. */
  ref: 6,
  reference: 7,
} as const;
export const SLOTS = 8;

/** Kinds of limit, as `SLOT.deny` is told. */
export const DENY_MEMORY = 0;
export const DENY_TABLE = 1;

/** Appended types, relative to the first. */
export const BASE_TYPE = {
  none: 0,
  begin: 1,
  save8: 2,
  saveRef: 3,
  poll: 4,
  deny: 5,
  word: 6,
  ref: 7,
  byIndex: 8,
} as const;

/** Appended functions, relative to the first. */
export const FUNCTION = { poll: 0, dump: 1, load: 2, reference: 3, helpers: 4 } as const;

/** Appended globals, relative to the first. `entered`: which of the functions called in turn it is. */
export const GLOBAL = { fuel: 0, memoryCap: 1, tableCap: 2, entered: 3, dropped: 4 } as const;

export interface FuncType {
  readonly params: Uint8Array;
  readonly results: Uint8Array;
}

export interface Layout {
  readonly firstType: number;
  readonly types: readonly FuncType[];
  readonly firstFunction: number;
  /** Absolute type index of each appended function. */
  readonly functionTypes: readonly number[];
  readonly table: number;
  readonly tag: number;
  readonly firstGlobal: number;
  /** Helpers that drop a segment, in the order of their flags. */
  readonly droppers: readonly number[];
  readonly element: number;
  /** Block type `[] → results` of a function type with two results or more. */
  readonly resultBlock: ReadonlyMap<number, number>;
  /** Helper number by `helperKey`. */
  readonly helperOf: ReadonlyMap<number, number>;
}

const types = (...list: number[]): Uint8Array => Uint8Array.from(list);

export const BASE_TYPES: readonly FuncType[] = [
  { params: types(), results: types() },
  { params: types(I32, I32), results: types() },
  { params: types(I32, I32, I32, I32, I32, I32, I32, I32), results: types() },
  { params: types(FUNCREF), results: types() },
  { params: types(I32), results: types(I32) },
  { params: types(I32, I64), results: types() },
  { params: types(), results: types(I32) },
  { params: types(), results: types(FUNCREF) },
  { params: types(I32), results: types(FUNCREF) },
];

/** Lays out what is appended to a module with these facts and this plan. */
export function layOut(facts: ModuleFacts, plan: ModulePlan): Layout {
  const firstType = facts.typeParams.length;
  const appended = [...BASE_TYPES];
  const resultBlock = new Map<number, number>();
  facts.typeResults.forEach((results, type) => {
    if (results.length < 2) return;
    resultBlock.set(type, firstType + appended.length);
    appended.push({ params: types(), results });
  });
  const functionTypes = [BASE_TYPE.none, BASE_TYPE.none, BASE_TYPE.none, BASE_TYPE.byIndex].map(
    (type) => firstType + type,
  );
  const helperOf = new Map<number, number>();
  const droppers: number[] = [];
  plan.helpers.forEach(({ opClass, first, second }, helper) => {
    helperOf.set(helperKey(opClass, first, second), helper);
    functionTypes.push(firstType + appended.length);
    appended.push(helperType(facts, opClass, first, second));
    if (opClass === kind.DATA_DROP || opClass === kind.ELEM_DROP) droppers.push(helper);
  });
  return {
    firstType,
    types: appended,
    firstFunction: facts.functions,
    functionTypes,
    table: facts.tableType.length,
    tag: facts.tags,
    firstGlobal: facts.globalType.length,
    droppers,
    element: facts.module.elements.length,
    resultBlock,
    helperOf,
  };
}

function helperType(facts: ModuleFacts, opClass: number, first: number, second: number): FuncType {
  switch (opClass) {
    case kind.MEMORY_GROW: {
      const size = facts.memory64[first] ? I64 : I32;
      return { params: types(size), results: types(size) };
    }
    case kind.TABLE_GROW: {
      const size = facts.table64[first] ? I64 : I32;
      return { params: types(facts.tableType[first] ?? EXTERNREF, size), results: types(size) };
    }
    case kind.MEMORY_INIT:
      return { params: types(facts.memory64[second] ? I64 : I32, I32, I32), results: types() };
    case kind.TABLE_INIT:
      return { params: types(facts.table64[second] ? I64 : I32, I32, I32), results: types() };
    default:
      return { params: types(), results: types() };
  }
}
