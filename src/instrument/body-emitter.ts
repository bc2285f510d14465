/**
 * The second pass over a function body: writes it out again with what the first pass asked for.
 *
 * A function that may be captured becomes
 *
 *     block $unwinding
 *       try_table (result R) (catch $unwind $unwinding)
 *         the body: its polls, `site` set before each site, spills behind each producer
 *       end
 *       return
 *     end
 *     hand every local to the host: one frame
 *     throw $unwind
 *
 * so that normal running costs nothing but the polls. A strip-mined loop becomes
 *
 *     counter = CHUNK
 *     loop $outer
 *       fuel -= CHUNK + 1 - counter; poll if below zero
 *       counter = CHUNK
 *       loop $inner
 *         the body, where a branch back is: counter -= 1; to $inner while counter, else to $outer
 *       end
 *     end
 *
 * so that the head charges the iteration that begins there and those that went before it inside: one unit
 * more for a chunk that came to its end, and nothing for the last ones of a loop that ends early. A branch
 * back within a `br_table` goes to $outer at once.
 *
 * A *twin* goes on from one site. Blocks around the site are opened again, with the values that lay
 * beneath them taken from their spills; then comes the rest of each. A loop around the site is written
 * twice: the rest of the iteration that was interrupted, and behind it the whole loop, to which a branch
 * back leads. So the loop that will run is the same code as in the module, with nothing to test in it.
 *
 * Invariants:
 * 1. Bytes between the places of interest are copied as they are.
 * 2. Code that can't be reached is left out of functions that may be captured.
 * 3. A branch's depth counts the labels that stand in the output, whatever was added or left out.
 * 4. Sites have the same numbers, and locals the same indices, in a function and in its twins.
 */
import type { ByteWriter } from '../wasm/byte-writer.ts';
import { readOpcodeAt, skipImmediates, skipOpcode } from '../wasm/decode.ts';
import { readU32At, skipLeb } from '../wasm/leb.ts';
import { OP } from '../wasm/opcodes.ts';
import { EMPTY_BLOCK } from '../wasm/value-type.ts';
import { savedLocals, writeFrame, writeLocals } from './captured-locals.ts';
import { skipDead } from './dead-code.ts';
import { LOCALS, writeLoads } from './frame-code.ts';
import { type FunctionScanner, SITE_ENTRY, SITE_LOOP, type SiteSnapshot } from './function-scan.ts';
import { GrowingU32 } from './growing-array.ts';
import { FUNCTION, type Layout } from './layout.ts';
import { type ModuleFacts, skipLocals } from './module-facts.ts';
import * as kind from './op-class.ts';
import type { Origins } from './origins.ts';
import { helperKey, isCaptured, type ModulePlan } from './plan.ts';
import { CHUNK, openPoll, writeCounter, writeRefund, writeSite } from './poll-code.ts';

interface OpenLabel {
  /** Number of the label among those open in the output; for a strip-mined loop, the inner one's. */
  readonly level: number;
  readonly mined: boolean;
  /** On the path to a twin's site. */
  readonly onPath: boolean;
  /** Offset of a path loop's opcode, or -1. */
  readonly pathLoop: number;
  /** A branch that was written leads to it. */
  reached: boolean;
}

/** What a twin's code refers to in the resume module. */
export interface TwinTarget {
  /** Index in the resume module of a function of the guest's module. */
  readonly mapFunction: (func: number) => number;
  /** Functions of the host: the next word, the next reference, the slot of the next frame. */
  readonly word: number;
  readonly ref: number;
  readonly next: number;
  /** The table of twins, by slot. */
  readonly twins: number;
  /** Index of the type `[] → results`. */
  readonly resultType: (results: Uint8Array) => number;
}

export class BodyEmitter {
  readonly #facts: ModuleFacts;
  readonly #plan: ModulePlan;
  readonly #layout: Layout;
  readonly #scan: FunctionScanner;
  readonly #out: ByteWriter;
  readonly #bytes: Uint8Array;
  #twin: TwinTarget | null = null;
  #labels: OpenLabel[] = [];
  /** Labels open in the output. */
  #level = 0;
  /** Everything before this offset was copied or left out. */
  #copied = 0;
  /** Where the last stretch of dead code ended. */
  #deadTo = -1;
  #end = 0;
  #site = 0;
  #loop = 0;
  #event = 0;
  #spill = 0;
  /** Offsets in the output of branches that are hardly ever taken, of the body written last. */
  readonly coldBranches: number[] = [];
  /** Where the calls of sites stand in the output, ascending, and which sites they are; of the same body. */
  readonly siteCallAt = new GrowingU32(256);
  readonly siteCalled = new GrowingU32(256);
  /** Takes notes of where the bodies written from now on come from. */
  origins: Origins | null = null;

  constructor(
    facts: ModuleFacts,
    plan: ModulePlan,
    layout: Layout,
    scan: FunctionScanner,
    out: ByteWriter,
  ) {
    this.#facts = facts;
    this.#plan = plan;
    this.#layout = layout;
    this.#scan = scan;
    this.#out = out;
    this.#bytes = facts.module.bytes;
  }

  /** Writes the body of a function that may be captured; the scanner has just scanned it. */
  captured(): void {
    const scan = this.#scan;
    const type = this.#facts.functionType[scan.func]!;
    this.#begin(scan.func, null);
    writeLocals(this.#out, scan, this.#facts.typeParams[type]!.length);
    this.#openWrapper(type);
    if (scan.siteKinds.length > 0 && scan.siteKinds.at(0) === SITE_ENTRY)
      this.#poll(this.#site++, false);
    this.#copied = scan.codeAt;
    this.#walk(0);
    this.#closeWrapper();
  }

  /** Writes the body of a function that never is on a captured stack: only some instructions change. */
  plain(func: number): void {
    const bytes = this.#bytes;
    this.#begin(func, null);
    this.#copied = this.#facts.module.bodyStart[func - this.#facts.importedFunctions]!;
    for (let start = skipLocals(bytes, this.#copied); start < this.#end; ) {
      const at = skipOpcode(bytes, start);
      const op = readOpcodeAt(bytes, start);
      const next = skipImmediates(op, bytes, at);
      this.#helped(kind.CLASS[op]!, at, start, next);
      start = next;
    }
    this.#flush(this.#end);
  }

  /** Writes a function `[] → results` that goes on at `site`; the scanner has just scanned it for that. */
  twin(site: SiteSnapshot, target: TwinTarget): void {
    const scan = this.#scan;
    const out = this.#out;
    this.#begin(scan.func, target);
    writeLocals(out, scan, 0);
    writeLoads(
      out,
      LOCALS,
      savedLocals(scan),
      () => this.#call(target.word),
      () => this.#call(target.ref),
    );
    this.#openWrapper(this.#facts.functionType[scan.func]!);
    let height = 0;
    for (const entry of site.path) {
      this.#pushSpills(site.stack, height, entry.base);
      height = entry.base;
      this.#openBlock(entry.results);
      const isLoop = entry.opClass === kind.LOOP;
      if (isLoop) this.#openBlock(entry.params);
      this.#labels.push({
        level: this.#level - 1,
        mined: false,
        onPath: true,
        pathLoop: isLoop ? entry.at : -1,
        reached: false,
      });
    }
    this.#pushSpills(site.stack, height, site.stack.length);
    writeSite(out, scan, site.site);
    this.#call(target.next);
    this.#markSite(site.site);
    this.origins?.copied(out.length, site.at);
    out.u8(OP.call_indirect);
    this.origins?.standsFor(out.length, site.at);
    out.u32(target.resultType(site.results));
    out.u32(target.twins);
    if (site.siteKind === SITE_LOOP) {
      // The loop is written whole and polls at its head: give back what that will charge.
      this.#seek(site.site, site.at, false);
      writeRefund(out, this.#layout);
    } else {
      this.#seek(site.site + 1, site.next, true);
    }
    this.#copied = site.next;
    this.#walk(0);
    this.#closeWrapper();
  }

  #begin(func: number, twin: TwinTarget | null): void {
    this.#twin = twin;
    this.#labels = [];
    this.#level = 0;
    this.#site = 0;
    this.#loop = 0;
    this.#event = 0;
    this.#spill = 0;
    this.#deadTo = -1;
    const { bodyStart, bodyEnd } = this.#facts.module;
    this.#end = bodyEnd[func - this.#facts.importedFunctions]!;
    this.origins?.standsFor(0, bodyStart[func - this.#facts.importedFunctions]!);
    this.coldBranches.length = 0;
    this.siteCallAt.length = 0;
    this.siteCalled.length = 0;
  }

  /** Sets the cursors to site number `site`, and to the events and values pushed from `offset` on. */
  #seek(site: number, offset: number, withPushes: boolean): void {
    const { eventAt, siteKinds, values } = this.#scan;
    this.#site = site;
    this.#loop = 0;
    for (let i = 0; i < site; i++) if (siteKinds.at(i) === SITE_LOOP) this.#loop++;
    this.#event = eventAt.firstNotBelow(offset);
    this.#spill = values.spillAt.firstNotBelow(withPushes ? offset : offset + 1);
  }

  // — the wrapper —

  #openWrapper(type: number): void {
    const out = this.#out;
    out.u8(OP.block);
    out.u8(EMPTY_BLOCK);
    out.u8(OP.try_table);
    this.#blockType(this.#facts.typeResults[type]!, this.#layout.resultBlock.get(type));
    out.u32(1);
    out.u8(0);
    out.u32(this.#layout.tag);
    out.u32(0);
    this.#level = 1;
    this.#openLabel();
  }

  #closeWrapper(): void {
    const out = this.#out;
    out.u8(OP.end);
    out.u8(OP.return);
    out.u8(OP.end);
    writeFrame(out, this.#scan, this.#layout);
    out.u8(OP.throw);
    out.u32(this.#layout.tag);
    out.u8(OP.end);
  }

  // — the walk —

  /** Follows the events until only `open` labels are left; returns the offset behind the last `end`. */
  #walk(open: number): number {
    const { eventAt } = this.#scan;
    for (;;) {
      const start = eventAt.at(this.#event++);
      this.#spillUpTo(start);
      const next = this.#instruction(start);
      if (this.#labels.length === open) return next;
    }
  }

  /** Writes the instruction at `start`, which may change; returns the offset behind it. */
  #instruction(start: number): number {
    const bytes = this.#bytes;
    const at = skipOpcode(bytes, start);
    const op = readOpcodeAt(bytes, start);
    const next = skipImmediates(op, bytes, at);
    const opClass = kind.CLASS[op]!;
    switch (opClass) {
      case kind.BLOCK:
      case kind.IF:
        this.#openLabel();
        break;
      case kind.LOOP:
        this.#loopHead(start, next);
        break;
      case kind.ELSE:
        if (this.#labels[this.#labels.length - 1]!.onPath) this.#skipElse(start, next);
        break;
      case kind.END:
        this.#closeLabel(start, next);
        break;
      case kind.BR:
        this.#branch(readU32At(bytes, at), start, next, false);
        this.#skipDead(next);
        break;
      case kind.BR_IF:
        this.#branch(readU32At(bytes, at), start, next, true);
        break;
      case kind.BR_TABLE:
        this.#branchTable(at, start, next);
        this.#skipDead(next);
        break;
      case kind.RETURN:
      case kind.UNREACHABLE:
      case kind.RETURN_CALL_INDIRECT:
        this.#skipDead(next);
        break;
      case kind.RETURN_CALL:
        this.#mapCall(op, readU32At(bytes, at), start, next);
        this.#skipDead(next);
        break;
      case kind.CALL: {
        const callee = readU32At(bytes, at);
        if (isCaptured(this.#plan, callee)) this.#setSite(start);
        this.#mapCall(op, callee, start, next);
        break;
      }
      case kind.CALL_INDIRECT:
        this.#setSite(start);
        break;
      case kind.REF_FUNC:
        if (this.#twin !== null) this.#functionReference(readU32At(bytes, at), start, next);
        break;
      default:
        this.#helped(opClass, at, start, next);
    }
    return next;
  }

  /** Writes a call instead of an instruction that a helper carries out; leaves any other as it is. */
  #helped(opClass: number, at: number, start: number, next: number): void {
    const bytes = this.#bytes;
    switch (opClass) {
      case kind.MEMORY_GROW:
      case kind.TABLE_GROW:
      case kind.DATA_DROP:
      case kind.ELEM_DROP:
        this.#helper(helperKey(opClass, readU32At(bytes, at), 0), start, next);
        break;
      case kind.MEMORY_INIT:
      case kind.TABLE_INIT: {
        const second = readU32At(bytes, skipLeb(bytes, at));
        this.#helper(helperKey(opClass, readU32At(bytes, at), second), start, next);
        break;
      }
      default:
    }
  }

  /** Copies everything up to `offset`, and says that the source is dealt with up to `next`. */
  #flush(offset: number, next = offset): void {
    if (offset > this.#copied) {
      this.origins?.copied(this.#out.length, this.#copied);
      this.#out.range(this.#bytes, this.#copied, offset);
    }
    this.origins?.standsFor(this.#out.length, offset);
    this.#copied = next;
  }

  /** Leaves out what follows up to the next event: the first pass saw none in dead code. */
  #skipDead(from: number): void {
    const to = this.#scan.eventAt.at(this.#event);
    this.#flush(from, to);
    this.#deadTo = to;
  }

  // — labels —

  #openLabel(): void {
    this.#labels.push({
      level: this.#level++,
      mined: false,
      onPath: false,
      pathLoop: -1,
      reached: false,
    });
  }

  #loopHead(start: number, next: number): void {
    const site = this.#site++;
    if (this.#scan.loopMined.at(this.#loop++) === 0) {
      this.#openLabel();
      this.#flush(next);
      this.#spillUpTo(next);
      this.#poll(site, false);
      return;
    }
    this.#flush(start);
    writeCounter(this.#out, this.#scan, CHUNK);
    this.#out.range(this.#bytes, start, next);
    this.#poll(site, true);
    writeCounter(this.#out, this.#scan, CHUNK);
    this.#labels.push({
      level: this.#level + 1,
      mined: true,
      onPath: false,
      pathLoop: -1,
      reached: false,
    });
    this.#level += 2;
  }

  #closeLabel(start: number, next: number): void {
    const out = this.#out;
    const { mined, onPath, pathLoop, reached } = this.#labels.pop()!;
    if (this.#labels.length === 0) {
      this.#flush(start, next);
      return;
    }
    this.#level--;
    if (mined) {
      this.#flush(next);
      out.u8(OP.end);
      this.#level--;
    } else if (pathLoop >= 0) {
      this.#closePathLoop(start, next, pathLoop, reached);
    } else if (onPath && this.#deadTo === start && !reached) {
      this.#flush(next);
      this.#leaveOutRest(next);
    }
  }

  /** Behind the rest of a loop's first iteration: the loop itself, if anything goes round again. */
  #closePathLoop(start: number, next: number, loopAt: number, again: boolean): void {
    const out = this.#out;
    const goesOut = this.#deadTo !== start;
    this.#flush(start, next);
    if (goesOut) {
      out.u8(OP.br);
      out.u8(1);
    }
    out.u8(OP.end);
    if (again) this.#writeLoopAgain(loopAt);
    else out.u8(OP.unreachable);
    out.u8(OP.end);
    this.#level--;
    if (!again && !goesOut) this.#leaveOutRest(next);
  }

  /**
   * Behind a block around a twin's site that nothing gets out of: a `switch` in an interpreter's loop has
   * all its other cases there.
   */
  #leaveOutRest(from: number): void {
    const { siteAt } = this.#scan;
    const to = skipDead(this.#bytes, from, this.#end);
    this.#out.u8(OP.unreachable);
    this.#copied = to;
    this.#deadTo = to;
    let site = this.#site;
    while (site < siteAt.length && siteAt.at(site) < to) site++;
    this.#seek(site, to, false);
  }

  /** The loop around a twin's site, as the module has it, behind the rest of its first iteration. */
  #writeLoopAgain(loopAt: number): void {
    const { siteAt, siteKinds } = this.#scan;
    let site = 0;
    while (siteAt.at(site) !== loopAt || siteKinds.at(site) !== SITE_LOOP) site++;
    this.#seek(site, loopAt, false);
    this.#copied = loopAt;
    const behind = this.#walk(this.#labels.length);
    this.#flush(behind);
  }

  /** In a twin that goes on inside the first arm of an `if`: the other arm can't be reached any more. */
  #skipElse(start: number, next: number): void {
    const { siteAt } = this.#scan;
    const end = skipDead(this.#bytes, next, this.#end);
    this.#flush(start, end);
    let site = this.#site;
    while (site < siteAt.length && siteAt.at(site) < end) site++;
    this.#seek(site, end, false);
  }

  #depthOf(level: number): number {
    return this.#level - 1 - level;
  }

  #labelAt(depth: number): OpenLabel {
    return this.#labels[this.#labels.length - 1 - depth]!;
  }

  #branch(depth: number, start: number, next: number, conditional: boolean): void {
    const out = this.#out;
    const label = this.#labelAt(depth);
    label.reached = true;
    const inner = this.#depthOf(label.level);
    if (!label.mined) {
      if (inner === depth) return;
      this.#flush(start, next);
      out.u8(conditional ? OP.br_if : OP.br);
      out.u32(inner);
      return;
    }
    this.#flush(start, next);
    if (conditional) {
      out.u8(OP.if);
      out.u8(EMPTY_BLOCK);
    }
    const more = conditional ? 1 : 0;
    const counter = this.#scan.counterLocal;
    this.#localGet(counter);
    out.u8(OP.i32_const);
    out.u8(1);
    out.u8(OP.i32_sub);
    out.u8(OP.local_tee);
    out.u32(counter);
    out.u8(OP.br_if);
    out.u32(inner + more);
    out.u8(OP.br);
    out.u32(inner + 1 + more);
    if (conditional) out.u8(OP.end);
  }

  /** A branch back among many goes to the outer loop at once: rare, and right all the same. */
  #branchTable(at: number, start: number, next: number): void {
    const bytes = this.#bytes;
    const out = this.#out;
    this.#flush(start, next);
    const count = readU32At(bytes, at);
    out.u8(OP.br_table);
    out.u32(count);
    let from = skipLeb(bytes, at);
    for (let i = 0; i <= count; i++) {
      const label = this.#labelAt(readU32At(bytes, from));
      label.reached = true;
      out.u32(this.#depthOf(label.mined ? label.level - 1 : label.level));
      from = skipLeb(bytes, from);
    }
  }

  // — polls, sites, spills —

  #poll(site: number, mined: boolean): void {
    this.coldBranches.push(openPoll(this.#out, this.#scan, this.#layout, { site, mined }));
    this.#markSite(site);
    this.#call(this.#mapFunction(this.#layout.firstFunction + FUNCTION.poll));
    this.#out.u8(OP.end);
  }

  #setSite(start: number): void {
    this.#flush(start);
    writeSite(this.#out, this.#scan, this.#site);
    this.#markSite(this.#site++);
  }

  /** The next instruction in the output is the call of that site. */
  #markSite(site: number): void {
    this.siteCallAt.push(this.#out.length);
    this.siteCalled.push(site);
  }

  /** Keeps the values pushed up to `offset` that a site needs; they stay on the stack. */
  #spillUpTo(offset: number): void {
    const { spillAt } = this.#scan.values;
    while (this.#spill < spillAt.length && spillAt.at(this.#spill) <= offset) this.#spillGroup();
  }

  /** Keeps the value at the cursor, and with it those pushed in one go with it. */
  #spillGroup(): void {
    const { spillBase, values } = this.#scan;
    const { spillAt, spillNumber } = values;
    const out = this.#out;
    const local = (spill: number): number => spillBase + spillNumber.at(spill);
    const first = this.#spill;
    const offset = spillAt.at(first);
    let end = first + 1;
    while (end < spillAt.length && spillAt.at(end) === offset) end++;
    this.#flush(offset);
    this.#spill = end;
    if (end === first + 1) {
      out.u8(OP.local_tee);
      out.u32(local(first));
      return;
    }
    for (let spill = end - 1; spill >= first; spill--) {
      out.u8(OP.local_set);
      out.u32(local(spill));
    }
    for (let spill = first; spill < end; spill++) this.#localGet(local(spill));
  }

  #pushSpills(stack: Uint8Array, from: number, to: number): void {
    for (let height = from; height < to; height++) {
      this.#localGet(this.#scan.spillLocal(height, stack[height]!));
    }
  }

  // — instructions —

  #localGet(local: number): void {
    this.#out.u8(OP.local_get);
    this.#out.u32(local);
  }

  #call(func: number): void {
    this.#out.u8(OP.call);
    this.#out.u32(func);
  }

  #mapFunction(func: number): number {
    return this.#twin === null ? func : this.#twin.mapFunction(func);
  }

  /** A call keeps its bytes in the module; in a twin the callee has another index. */
  #mapCall(op: number, callee: number, start: number, next: number): void {
    if (this.#twin === null) return;
    this.#flush(start, next);
    this.origins?.copied(this.#out.length, start);
    this.#out.u8(op);
    this.#out.u32(this.#twin.mapFunction(callee));
  }

  /** `ref.func` in a twin: the same reference as in the module, so that they compare equal. */
  #functionReference(func: number, start: number, next: number): void {
    this.#flush(start, next);
    this.#out.u8(OP.i32_const);
    this.#out.s32(func);
    this.#call(this.#mapFunction(this.#layout.firstFunction + FUNCTION.reference));
  }

  #helper(key: number, start: number, next: number): void {
    this.#flush(start, next);
    this.origins?.copied(this.#out.length, start);
    const helper = this.#layout.helperOf.get(key)!;
    this.#call(this.#mapFunction(this.#layout.firstFunction + FUNCTION.helpers + helper));
  }

  /** A block type for these results. `known`: its index in the module when there are several. */
  #blockType(results: Uint8Array, known?: number): void {
    if (results.length === 0) this.#out.u8(EMPTY_BLOCK);
    else if (results.length === 1) this.#out.u8(results[0]!);
    else this.#out.s32(this.#twin === null ? known! : this.#twin.resultType(results));
  }

  #openBlock(results: Uint8Array): void {
    this.#out.u8(OP.block);
    this.#blockType(results);
    this.#level++;
  }
}
