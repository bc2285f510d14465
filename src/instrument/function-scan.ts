/**
 * The first pass over a function body: what has to be inserted, and where.
 *
 * It walks the body once with two stacks, of values and of labels, both typed arrays. It finds
 *   - the *sites*: places where the function may be captured: its entry poll, the polls of its loops,
 *     and its calls that can reach the host;
 *   - the *spills*: values that lie on the operand stack beneath a site. They are lost when the stack is
 *     unwound, so each is also kept in a local from the moment it is produced;
 *   - the *events*: instructions that the second pass may have to change, or has to follow;
 *   - which loops are *strip-mined*: innermost, without sites, without parameters. Such a loop becomes
 *     two, and only the outer one polls.
 *
 * Invariants:
 * 1. Everything found depends on the body and the plan alone, so a later run finds the same.
 * 2. Sites are numbered in the order of their offsets, from 0.
 * 3. Code that can't be reached is not looked at; the second pass leaves it out.
 *
 * The scanner's arrays are used again for the next function: read them before the next `scan`.
 */
import { HostError } from '../fault/host-error.ts';
import { skipImmediates } from '../wasm/decode.ts';
import { featureOf, IMMEDIATE, opcodeName, POPS, PREFIX_BASE, PUSH } from '../wasm/opcodes.ts';
import { EMPTY_BLOCK, F32, F64, FUNCREF, I32, I64, V128 } from '../wasm/value-type.ts';
import { skipDead } from './dead-code.ts';
import { isCarried } from './frame-words.ts';
import { GrowingU8, GrowingU32 } from './growing-array.ts';
import { LiveLocals } from './live-locals.ts';
import type { ModuleFacts } from './module-facts.ts';
import * as kind from './op-class.ts';
import { OperandStack } from './operand-stack.ts';
import { isCaptured, type ModulePlan, pollsAtEntry } from './plan.ts';

const NO_TYPES = new Uint8Array(0);
const ONE_TYPE = new Map(
  [I32, I64, F32, F64, V128, FUNCREF, 0x6f].map((t) => [t, Uint8Array.of(t)]),
);

export const SITE_ENTRY = 0;
export const SITE_LOOP = 1;
export const SITE_CALL = 2;

/** Locals beyond this many are refused by V8. */
const MAX_LOCALS = 50_000;

/** Where the body stood when the walk passed one site: what a twin needs to enter it there. */
export interface SiteSnapshot {
  readonly site: number;
  readonly siteKind: number;
  /** Offset of the call, of the `loop`, or of the body's first instruction. */
  readonly at: number;
  /** Offset behind the instruction; for a poll the same as `at`. */
  readonly next: number;
  /** Types of the values beneath the call's arguments, bottom first. */
  readonly stack: Uint8Array;
  /** Enclosing constructs, outermost first, without the function itself. */
  readonly path: readonly PathEntry[];
  /** What the call leaves; empty for a poll. */
  readonly results: Uint8Array;
}

export interface PathEntry {
  readonly opClass: number;
  /** Offset of the construct's opcode. */
  readonly at: number;
  /** Height of the value stack beneath the construct's parameters. */
  readonly base: number;
  readonly params: Uint8Array;
  readonly results: Uint8Array;
}

export class FunctionScanner {
  readonly #facts: ModuleFacts;
  readonly #plan: ModulePlan;
  readonly #bytes: Uint8Array;

  /** Of the function scanned last. */
  func = 0;
  /** Offset of the first instruction. */
  codeAt = 0;
  /** Parameters and declared locals; the site's local follows, then the counter's if there is one. */
  declared = 0;
  mines = false;
  readonly localTypes = new GrowingU8(256);
  readonly siteAt = new GrowingU32(256);
  readonly siteKinds = new GrowingU8(256);
  /** By order of opening: 1 where the loop is strip-mined. Dead loops are not counted. */
  readonly loopMined = new GrowingU8(64);
  /** Offsets of events, ascending. */
  readonly eventAt = new GrowingU32(4096);
  readonly values = new OperandStack();
  /** Which of the declared locals a frame holds. */
  readonly live = new LiveLocals();
  snapshot: SiteSnapshot | null = null;

  #labels: Label[] = [];
  #depth = 0;
  #at = 0;
  #wanted = -1;

  constructor(facts: ModuleFacts, plan: ModulePlan) {
    this.#facts = facts;
    this.#plan = plan;
    this.#bytes = facts.module.bytes;
  }

  get siteLocal(): number {
    return this.declared;
  }

  get counterLocal(): number {
    return this.declared + 1;
  }

  get spillBase(): number {
    return this.declared + (this.mines ? 2 : 1);
  }

  /** The spill local of the value at `height`; it exists when any site has such a value beneath it. */
  spillLocal(height: number, type: number): number {
    return this.spillBase + this.values.spillFor(height, type)!;
  }

  /** Walks defined or imported-index `func`; with `wanted`, also notes where site number `wanted` stands. */
  scan(func: number, wanted = -1): void {
    const facts = this.#facts;
    const index = func - facts.importedFunctions;
    this.func = func;
    this.#wanted = wanted;
    this.snapshot = null;
    this.mines = false;
    this.siteAt.length = 0;
    this.siteKinds.length = 0;
    this.loopMined.length = 0;
    this.eventAt.length = 0;
    this.values.clear();
    this.live.clear();
    this.#depth = 0;
    this.#at = facts.module.bodyStart[index]!;
    this.#readLocals(func);
    this.codeAt = this.#at;
    const results = facts.typeResults[facts.functionType[func]!]!;
    this.#open(kind.BLOCK, this.#at, NO_TYPES, results);
    this.live.block();
    if (pollsAtEntry(this.#plan, func)) this.#site(SITE_ENTRY, this.#at, this.#at, NO_TYPES);
    const end = facts.module.bodyEnd[index]!;
    this.#walk(end);
    this.live.solve(this.declared, end - this.codeAt);
  }

  #readLocals(func: number): void {
    const types = this.localTypes;
    types.length = 0;
    const params = this.#facts.typeParams[this.#facts.functionType[func]!]!;
    for (const type of params) types.push(type);
    const groups = this.#u32();
    for (let group = 0; group < groups; group++) {
      const count = this.#u32();
      const type = this.#bytes[this.#at++]!;
      if (!isCarried(type))
        throw this.#refused('values of reference types beyond funcref and externref', this.#at - 1);
      if (types.length + count > MAX_LOCALS) throw this.#invalid('has too many locals', this.#at);
      for (let i = 0; i < count; i++) types.push(type);
    }
    this.declared = types.length;
  }

  #walk(end: number): void {
    const bytes = this.#bytes;
    while (this.#at < end) {
      const start = this.#at;
      let op = bytes[this.#at++]!;
      if (op >= 0xfb) op = this.#prefixed(op, start);
      const opClass = kind.CLASS[op]!;
      if (opClass === kind.PLAIN) {
        this.#at = skipImmediates(op, bytes, this.#at);
        this.values.pop(POPS[op]!);
        if (PUSH[op] !== 0) this.values.push(PUSH[op]!, this.#at);
        continue;
      }
      // Of the classes in between, the second pass needs to know nothing.
      if (opClass < kind.DROP || opClass > kind.GLOBAL_SET) this.eventAt.push(start);
      switch (opClass) {
        case kind.LOCAL_GET:
          this.#getLocal(this.#u32());
          break;
        case kind.LOCAL_SET:
          this.live.set(this.#u32());
          this.values.pop(1);
          break;
        case kind.GLOBAL_SET:
          this.#u32();
          this.values.pop(1);
          break;
        case kind.LOCAL_TEE:
          this.live.set(this.#u32());
          this.values.replaceTop(this.#at);
          break;
        case kind.GLOBAL_GET:
          this.values.push(this.#facts.globalType[this.#u32()]!, this.#at);
          break;
        case kind.BLOCK:
          this.live.block();
          this.#enter(opClass, start);
          break;
        case kind.IF:
          this.live.if();
          this.values.pop(1);
          this.#enter(opClass, start);
          break;
        case kind.LOOP:
          this.#enterLoop(start);
          break;
        case kind.ELSE:
          this.#else();
          break;
        case kind.END:
          this.#end();
          if (this.#depth === 0) return;
          break;
        case kind.BR:
          this.live.branch(this.#u32());
          this.#dead(end);
          break;
        case kind.BR_IF:
          this.live.maybe(this.#u32());
          this.values.pop(1);
          break;
        case kind.BR_TABLE:
          this.#branchTable();
          this.#dead(end);
          break;
        case kind.RETURN:
        case kind.UNREACHABLE:
          this.live.leave();
          this.#dead(end);
          break;
        case kind.RETURN_CALL:
        case kind.RETURN_CALL_INDIRECT:
          this.live.leave();
          this.#at = skipImmediates(op, bytes, this.#at);
          this.#dead(end);
          break;
        case kind.CALL: {
          const callee = this.#u32();
          this.#call(this.#facts.functionType[callee]!, start, isCaptured(this.#plan, callee));
          break;
        }
        case kind.CALL_INDIRECT: {
          const type = this.#u32();
          this.#u32();
          this.values.pop(1);
          this.#call(type, start, true);
          break;
        }
        case kind.DROP:
          this.values.pop(1);
          break;
        case kind.SELECT: {
          const type = this.values.typeBeneathTop(1);
          this.values.pop(3);
          this.values.push(type, this.#at);
          break;
        }
        default:
          this.#rare(op, opClass, start);
      }
    }
    throw this.#invalid('has no end', end);
  }

  #rare(op: number, opClass: number, start: number): void {
    const bytes = this.#bytes;
    switch (opClass) {
      case kind.SELECT_TYPED: {
        this.#u32();
        const type = bytes[this.#at++]!;
        if (!isCarried(type)) throw this.#refused('typed function references', start);
        this.values.pop(3);
        this.values.push(type, this.#at);
        return;
      }
      case kind.REF_NULL: {
        const type = bytes[this.#at++]!;
        if (!isCarried(type)) throw this.#refused(featureOf(op), start);
        this.values.push(type, this.#at);
        return;
      }
      case kind.REF_IS_NULL:
        this.values.pop(1);
        this.values.push(I32, this.#at);
        return;
      case kind.REF_FUNC:
        this.#u32();
        this.values.push(FUNCREF, this.#at);
        return;
      case kind.TABLE_GET: {
        const table = this.#u32();
        this.values.pop(1);
        this.values.push(this.#facts.tableType[table]!, this.#at);
        return;
      }
      case kind.TABLE_SET:
        this.#u32();
        this.values.pop(2);
        return;
      case kind.TABLE_SIZE:
        this.values.push(this.#facts.table64[this.#u32()] ? I64 : I32, this.#at);
        return;
      case kind.TABLE_GROW:
        this.values.pop(2);
        this.values.push(this.#facts.table64[this.#u32()] ? I64 : I32, this.#at);
        return;
      case kind.TABLE_FILL:
        this.#u32();
        this.values.pop(3);
        return;
      case kind.MEMORY_SIZE:
        this.values.push(this.#facts.memory64[this.#u32()] ? I64 : I32, this.#at);
        return;
      case kind.MEMORY_GROW:
        this.values.pop(1);
        this.values.push(this.#facts.memory64[this.#u32()] ? I64 : I32, this.#at);
        return;
      case kind.MEMORY_INIT:
      case kind.TABLE_INIT:
      case kind.TABLE_COPY:
        this.#at = skipImmediates(op, bytes, this.#at);
        this.values.pop(3);
        return;
      case kind.DATA_DROP:
      case kind.ELEM_DROP:
        this.#u32();
        return;
      case kind.REFUSED:
        throw this.#refused(featureOf(op), start);
      default:
        throw this.#invalid(`has ${opcodeName(op)}`, start);
    }
  }

  // — labels —

  #open(opClass: number, at: number, params: Uint8Array, results: Uint8Array): void {
    let label = this.#labels[this.#depth];
    if (label === undefined) {
      label = {
        opClass: 0,
        at: 0,
        base: 0,
        params: NO_TYPES,
        results: NO_TYPES,
        innermostLoop: -1,
      };
      this.#labels.push(label);
    }
    label.opClass = opClass;
    label.at = at;
    label.base = this.values.height;
    label.params = params;
    label.results = results;
    label.innermostLoop = this.#depth > 0 ? this.#labels[this.#depth - 1]!.innermostLoop : -1;
    this.#depth++;
  }

  #enter(opClass: number, start: number): void {
    const type = this.#blockType();
    const params = this.#blockParams(type);
    this.#open(opClass, start, params, this.#blockResults(type));
    this.#labels[this.#depth - 1]!.base -= params.length;
  }

  #enterLoop(start: number): void {
    const type = this.#blockType();
    const params = this.#blockParams(type);
    const site = this.siteAt.length;
    if (site === this.#wanted) this.#snap(SITE_LOOP, start, start, NO_TYPES);
    this.siteAt.push(start);
    this.siteKinds.push(SITE_LOOP);
    this.#notInnermost();
    this.values.pop(params.length);
    this.#open(kind.LOOP, start, params, this.#blockResults(type));
    const label = this.#labels[this.#depth - 1]!;
    this.live.loop();
    this.live.site();
    label.innermostLoop = this.loopMined.length;
    this.loopMined.push(params.length === 0 ? 1 : 0);
    this.values.pushAll(params, this.#at);
    this.#spillAll();
  }

  /** No loop can be strip-mined once something in it is a site; its head was one for those around it. */
  #notInnermost(): void {
    const { innermostLoop } = this.#labels[this.#depth - 1]!;
    if (innermostLoop >= 0) this.loopMined.set(innermostLoop, 0);
  }

  #getLocal(local: number): void {
    this.live.get(local);
    this.values.push(this.localTypes.at(local), this.#at);
  }

  #branchTable(): void {
    let last = -1;
    for (let targets = this.#u32(); targets > 0; targets--) {
      const depth = this.#u32();
      if (depth !== last) this.live.maybe(depth);
      last = depth;
    }
    this.live.branch(this.#u32());
  }

  #else(): void {
    this.live.else();
    const label = this.#labels[this.#depth - 1]!;
    this.values.cutTo(label.base);
    label.opClass = kind.ELSE;
    this.values.pushAll(label.params, this.#at);
  }

  #end(): void {
    const label = this.#labels[--this.#depth]!;
    this.live.end(label.opClass === kind.LOOP);
    if (label.opClass === kind.LOOP && this.loopMined.at(label.innermostLoop)) this.mines = true;
    this.values.cutTo(label.base);
    if (this.#depth === 0) return;
    this.values.pushAll(label.results, this.#at);
  }

  /** Skips what can't be reached: up to the `else` or `end` of the innermost label. */
  #dead(end: number): void {
    this.#at = skipDead(this.#bytes, this.#at, end);
  }

  // — sites —

  #call(type: number, start: number, reaches: boolean): void {
    const results = this.#facts.typeResults[type]!;
    this.values.pop(this.#paramsOf(type, start).length);
    if (reaches) this.#site(SITE_CALL, start, this.#at, results);
    this.values.pushAll(results, this.#at);
  }

  #site(siteKind: number, at: number, next: number, results: Uint8Array): void {
    if (this.siteAt.length === this.#wanted) this.#snap(siteKind, at, next, results);
    this.siteAt.push(at);
    this.siteKinds.push(siteKind);
    this.live.site();
    this.#notInnermost();
    this.#spillAll();
  }

  #spillAll(): void {
    this.values.spillAll();
    if (this.declared + this.values.spillTypes.length + 2 > MAX_LOCALS) {
      throw this.#refused('functions with more than 50,000 locals after spilling', this.#at);
    }
  }

  #snap(siteKind: number, at: number, next: number, results: Uint8Array): void {
    this.snapshot = {
      site: this.#wanted,
      siteKind,
      at,
      next,
      stack: this.values.toTypes(),
      path: this.#labels
        .slice(1, this.#depth)
        .map(({ opClass, at, base, params, results }) => ({ opClass, at, base, params, results })),
      results,
    };
  }

  /** The parameters of a type that a block or call names; `at`: where it stands. */
  #paramsOf(type: number, at: number): Uint8Array {
    const params = this.#facts.typeParams[type];
    if (params === undefined) throw this.#invalid('names a type that does not exist', at);
    if (this.#facts.typeCarried[type] === 0) {
      throw this.#refused('values of reference types beyond funcref and externref', at);
    }
    return params;
  }

  // — immediates —

  #u32(): number {
    const bytes = this.#bytes;
    let byte = bytes[this.#at++]!;
    if (byte < 0x80) return byte;
    let value = byte & 0x7f;
    for (let shift = 7; shift < 35; shift += 7) {
      byte = bytes[this.#at++]!;
      value += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) return value;
    }
    throw this.#invalid('has a number that is too long', this.#at);
  }

  #prefixed(prefix: number, start: number): number {
    const base = PREFIX_BASE[prefix as keyof typeof PREFIX_BASE];
    if (base === undefined) throw this.#invalid('has an unknown instruction', start);
    const op = base + this.#u32();
    if (IMMEDIATE[op] === undefined || op >= 0x600)
      throw this.#invalid('has an unknown instruction', start);
    return op;
  }

  /** A block type: a value type or 0x40 as itself, a type index as that index + 256. */
  #blockType(): number {
    const byte = this.#bytes[this.#at]!;
    if (byte >= 0x40 && byte < 0x80) {
      this.#at++;
      return byte;
    }
    return 256 + this.#u32();
  }

  #blockParams(type: number): Uint8Array {
    if (type < 256) return NO_TYPES;
    return this.#paramsOf(type - 256, this.#at);
  }

  #blockResults(type: number): Uint8Array {
    if (type >= 256) return this.#facts.typeResults[type - 256]!;
    if (type === EMPTY_BLOCK) return NO_TYPES;
    const types = ONE_TYPE.get(type);
    if (types === undefined)
      throw this.#refused(
        'blocks with results of reference types beyond funcref and externref',
        this.#at,
      );
    return types;
  }

  #invalid(what: string, at: number): HostError {
    return new HostError('ERR_INVALID_MODULE', `function ${this.func} ${what}`, {
      facts: { function: this.func, offset: at },
    });
  }

  #refused(feature: string, at: number): HostError {
    return new HostError(
      'ERR_UNSUPPORTED_FEATURE',
      `function ${this.func} uses ${feature}, which can't be carried through a checkpoint yet`,
      {
        facts: { feature, function: this.func, offset: at },
        hint: 'build the program without this feature',
      },
    );
  }
}

interface Label {
  opClass: number;
  at: number;
  base: number;
  params: Uint8Array;
  results: Uint8Array;
  /** Number of the innermost loop around what it holds, itself included; -1 where there is none. */
  innermostLoop: number;
}
