/**
 * The bodies of the functions that the pass appends, in the order of `layout.ts`.
 *
 * - poll: asks the host for fuel; the host may unwind the guest instead.
 * - dump: hands every mutable global to the host; load takes them back, and drops what had been dropped.
 * - reference: the reference of a function, by its index. Every function stands in one passive segment,
 *   which costs nothing until it is first asked for.
 * - helpers: the instructions that need the host's word (growing), a flag (dropping), or that a twin
 *   can't carry out itself, because the segment belongs to the module.
 */
import { ByteWriter } from '../wasm/byte-writer.ts';
import { OP } from '../wasm/opcodes.ts';
import { EMPTY_BLOCK, I32, I64 } from '../wasm/value-type.ts';
import { callHost, GLOBALS, type Variable, writeLoads, writeSaves } from './frame-code.ts';
import { BASE_TYPE, DENY_MEMORY, DENY_TABLE, GLOBAL, type Layout, SLOT } from './layout.ts';
import type { ModuleFacts } from './module-facts.ts';
import * as kind from './op-class.ts';
import type { HelperSpec, ModulePlan } from './plan.ts';

/** Pages that 32-bit addresses reach. */
const MEMORY32_PAGES_MAX = 65_536n;

/** Appends the bodies, each behind its size, to the code section in `out`. */
export function writeAppendedBodies(
  out: ByteWriter,
  facts: ModuleFacts,
  plan: ModulePlan,
  layout: Layout,
): void {
  const body = new ByteWriter();
  const add = (write: () => void): void => {
    body.clear();
    write();
    body.u8(OP.end);
    out.u32(body.length);
    out.bytes(body.view());
  };
  add(() => writePoll(body, layout));
  add(() => {
    body.u32(0);
    writeSaves(body, layout, GLOBALS, savedGlobals(facts, layout));
  });
  add(() => writeLoad(body, facts, plan, layout));
  add(() => writeReference(body, layout));
  let dropper = 0;
  for (const helper of plan.helpers) {
    const drops = helper.opClass === kind.DATA_DROP || helper.opClass === kind.ELEM_DROP;
    const flag = drops ? layout.firstGlobal + GLOBAL.dropped + dropper++ : -1;
    add(() => writeHelper(body, facts, layout, helper, flag));
  }
}

/** The guest's mutable globals, `entered`, and the flags of dropped segments. */
export function savedGlobals(facts: ModuleFacts, layout: Layout): Variable[] {
  const saved: Variable[] = [];
  facts.globalMutable.forEach((mutable, index) => {
    if (mutable) saved.push({ index, type: facts.globalType[index]! });
  });
  saved.push({ index: layout.firstGlobal + GLOBAL.entered, type: I32 });
  layout.droppers.forEach((_, dropper) => {
    saved.push({ index: layout.firstGlobal + GLOBAL.dropped + dropper, type: I32 });
  });
  return saved;
}

function writePoll(out: ByteWriter, layout: Layout): void {
  const fuel = layout.firstGlobal + GLOBAL.fuel;
  out.u32(0);
  out.u8(OP.global_get);
  out.u32(fuel);
  callHost(out, layout, SLOT.poll, BASE_TYPE.poll);
  out.u8(OP.global_set);
  out.u32(fuel);
}

function writeLoad(out: ByteWriter, facts: ModuleFacts, plan: ModulePlan, layout: Layout): void {
  out.u32(0);
  writeLoads(
    out,
    GLOBALS,
    savedGlobals(facts, layout),
    () => callHost(out, layout, SLOT.word, BASE_TYPE.word),
    () => callHost(out, layout, SLOT.ref, BASE_TYPE.ref),
  );
  layout.droppers.forEach((helper, dropper) => {
    out.u8(OP.global_get);
    out.u32(layout.firstGlobal + GLOBAL.dropped + dropper);
    out.u8(OP.if);
    out.u8(EMPTY_BLOCK);
    const { opClass, first } = plan.helpers[helper]!;
    out.opcode(opClass === kind.DATA_DROP ? OP.data_drop : OP.elem_drop);
    out.u32(first);
    out.u8(OP.end);
  });
}

function writeReference(out: ByteWriter, layout: Layout): void {
  out.u32(0);
  out.u8(OP.i32_const);
  out.s32(SLOT.reference);
  out.u8(OP.local_get);
  out.u32(0);
  out.u8(OP.i32_const);
  out.s32(1);
  out.opcode(OP.table_init);
  out.u32(layout.element);
  out.u32(layout.table);
  out.u8(OP.i32_const);
  out.s32(SLOT.reference);
  out.u8(OP.table_get);
  out.u32(layout.table);
}

function writeHelper(
  out: ByteWriter,
  facts: ModuleFacts,
  layout: Layout,
  { opClass, first, second }: HelperSpec,
  flag: number,
): void {
  switch (opClass) {
    case kind.MEMORY_GROW:
      writeGrow(out, facts, layout, DENY_MEMORY, first);
      return;
    case kind.TABLE_GROW:
      writeGrow(out, facts, layout, DENY_TABLE, first);
      return;
    case kind.DATA_DROP:
    case kind.ELEM_DROP:
      out.u32(0);
      out.opcode(opClass === kind.DATA_DROP ? OP.data_drop : OP.elem_drop);
      out.u32(first);
      out.u8(OP.i32_const);
      out.s32(1);
      out.u8(OP.global_set);
      out.u32(flag);
      return;
    default:
      out.u32(0);
      for (let param = 0; param < 3; param++) {
        out.u8(OP.local_get);
        out.u32(param);
      }
      out.opcode(opClass === kind.MEMORY_INIT ? OP.memory_init : OP.table_init);
      out.u32(first);
      out.u32(second);
  }
}

/**
 * Growing within the cap. Locals: the parameters, then i64 $rest, what the cap still leaves.
 *
 * All memories share one cap, as all tables do; a module whose first sizes exceed it is not started, so
 * $rest is never below zero. Growing beyond the maximum that the module itself states fails as ever, and so
 * does asking for more at once than the cap is: an allocator that asks for too much gets its -1.
 */
function writeGrow(
  out: ByteWriter,
  facts: ModuleFacts,
  layout: Layout,
  limit: number,
  index: number,
): void {
  const isMemory = limit === DENY_MEMORY;
  const wide = isMemory ? facts.memory64 : facts.table64;
  const delta = isMemory ? 0 : 1;
  const rest = delta + 1;
  const cap = layout.firstGlobal + (isMemory ? GLOBAL.memoryCap : GLOBAL.tableCap);
  const getDelta = (): void => {
    out.u8(OP.local_get);
    out.u32(delta);
  };
  const getWideSize = (index: number): void => {
    out.opcode(isMemory ? OP.memory_size : OP.table_size);
    out.u32(index);
    if (!wide[index]) out.u8(OP.i64_extend_i32_u);
  };
  const getWideDelta = (): void => {
    getDelta();
    if (!wide[index]) out.u8(OP.i64_extend_i32_u);
  };
  out.u32(1);
  out.u32(1);
  out.u8(I64);
  getWideDelta();
  out.u8(OP.global_get);
  out.u32(cap);
  out.u8(OP.i64_gt_u);
  out.u8(OP.if);
  out.u8(EMPTY_BLOCK);
  out.u8(wide[index] ? OP.i64_const : OP.i32_const);
  out.s32(-1);
  out.u8(OP.return);
  out.u8(OP.end);
  out.u8(OP.global_get);
  out.u32(cap);
  for (let other = 0; other < wide.length; other++) {
    getWideSize(other);
    out.u8(OP.i64_sub);
  }
  out.u8(OP.local_set);
  out.u32(rest);
  getWideDelta();
  out.u8(OP.local_get);
  out.u32(rest);
  out.u8(OP.i64_gt_u);
  const ownMax = ownMaximum(facts, isMemory, index);
  if (ownMax !== null) {
    getWideDelta();
    out.u8(OP.i64_const);
    out.s64(ownMax);
    getWideSize(index);
    out.u8(OP.i64_sub);
    out.u8(OP.i64_le_u);
    out.u8(OP.i32_and);
  }
  out.u8(OP.if);
  out.u8(EMPTY_BLOCK);
  out.u8(OP.i32_const);
  out.s32(limit);
  getWideDelta();
  callHost(out, layout, SLOT.deny, BASE_TYPE.deny);
  out.u8(OP.end);
  if (!isMemory) {
    out.u8(OP.local_get);
    out.u32(0);
  }
  getDelta();
  out.opcode(isMemory ? OP.memory_grow : OP.table_grow);
  out.u32(index);
}

/** The most pages or entries that the module itself allows; null where only the engine has a limit. */
function ownMaximum({ module }: ModuleFacts, isMemory: boolean, index: number): bigint | null {
  const { max, is64 } = (isMemory ? module.memories : module.tables)[index]!;
  if (max !== undefined) return BigInt(max);
  return isMemory && !is64 ? MEMORY32_PAGES_MAX : null;
}
