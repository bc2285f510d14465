/**
 * Where a guest trapped: the calls on its stack as names and offsets in its own module, from the engine's trace.
 *
 * The engine says exactly which instruction trapped. Of the calls outside of it, it knows the instruction in its
 * baseline code; in optimised code it keeps no position of a call within a `try`, as all are that can be
 * captured, and names another one in place of it. Those are told without an offset.
 *
 * Loaded when a guest traps, and only then: until that moment nothing is done for it but that traces are kept
 * (`trace-limit.ts`). Which code of ours stands where is found out by writing it again.
 */
import { GuestSites } from '../instrument/guest-sites.ts';
import { layOut } from '../instrument/layout.ts';
import { readFacts } from '../instrument/module-facts.ts';
import { decodePlan } from '../instrument/plan.ts';
import { type Origin, ResumeModuleMaker } from '../instrument/resume-module.ts';
import { readOpcodeAt } from '../wasm/decode.ts';
import type { WasmModule } from '../wasm/module.ts';
import { functionNames } from '../wasm/name-section.ts';
import { OP } from '../wasm/opcodes.ts';
import type { LoadedModule } from './loaded-module.ts';
import { TRAP_FRAMES_MAX, type TrapFrame, type TrapStack } from './protocol.ts';
import { callsOfError } from './stack-trace.ts';
import { batchName, GUEST_MODULE, type TracedCall } from './twin-orders.ts';
import type { TwinStack } from './twin-stack.ts';

/** Null where the engine names no function of the guest. */
export function trapStack(
  error: Error,
  { module, plan, bodyStart }: LoadedModule,
  twins: TwinStack,
): TrapStack | null {
  const { calls, isInnermost, isCut } = callsOfError(error);
  if (calls.length === 0) return null;
  const facts = readFacts(module);
  const decoded = decodePlan(plan, facts.functions, facts.tableType.length);
  const layout = layOut(facts, decoded);
  const sites = new GuestSites(facts, decoded, layout, bodyStart);
  const maker = new ResumeModuleMaker(facts, decoded, layout);
  const nameOf = functionNames(module);
  const originOf = ({ batch, position }: TracedCall): Origin | null => {
    if (batch === GUEST_MODULE) return sites.originOf(position);
    const places = twins.placesOf(batch);
    return places === undefined ? null : maker.originOf(places, batchName(batch), position);
  };
  const frames: TrapFrame[] = [];
  let seen = 0;
  while (seen < calls.length && frames.length < TRAP_FRAMES_MAX) {
    const origin = originOf(calls[seen++]!);
    // What the pass added, to carry an instruction out or to poll, is called from where that belongs.
    if (origin === null) continue;
    const { func, offset } = origin;
    const isTrap = seen === 1 && isInnermost && origin.isCopy && !(error instanceof RangeError);
    const isKnown =
      isTrap || isCall(module.bytes, origin) || (seen === 1 && isEntry(module, origin));
    frames.push({ func, name: nameOf(func) ?? null, offset: isKnown ? offset : null });
  }
  return frames.length === 0 ? null : { frames, more: calls.length - seen, isCut };
}

/** What can be waited in: calls, and what functions of ours carry out. */
const CALLS: ReadonlySet<number> = new Set([
  OP.call,
  OP.call_indirect,
  OP.memory_init,
  OP.table_init,
]);

/** Whether an instruction of the guest's own can have called what is inside of it on the stack. */
function isCall(bytes: Uint8Array, { offset, isCopy }: Origin): boolean {
  return isCopy && CALLS.has(readOpcodeAt(bytes, offset));
}

/** Whether it is where the engine looks if there is room on the stack. */
function isEntry({ bodyStart }: WasmModule, { offset }: Origin): boolean {
  return bodyStart.includes(offset);
}
