/**
 * Random modules: valid, always ending, and full of what is awkward to capture.
 *
 * A generator walks forward and keeps the types on the operand stack, so that whatever it picks next is
 * valid. Every loop and every function counts a global down and traps at zero. No arithmetic on floats:
 * the bits of a NaN that comes of it are the engine's to choose, and may change when code is optimised.
 */
import { randomStream } from './stop-places.ts';

const TYPES = ['i32', 'i64', 'f32', 'f64', 'v128', 'funcref'] as const;
type Type = (typeof TYPES)[number];

interface Signature {
  readonly params: readonly Type[];
  readonly results: readonly Type[];
}

interface Label {
  /** What a branch to it takes. */
  readonly takes: readonly Type[];
}

interface Operation {
  readonly text: string;
  readonly takes: readonly Type[];
  readonly gives: readonly Type[];
}

const operation = (text: string, takes: string, gives: string): Operation => ({
  text,
  takes: takes.split(' ').filter(Boolean) as Type[],
  gives: gives.split(' ').filter(Boolean) as Type[],
});

const ADDRESS = 'i32.const 0xfff i32.and';

/** Instructions and short sequences with fixed types. */
const OPERATIONS: readonly Operation[] = [
  ...['add', 'sub', 'mul', 'xor', 'shl', 'rotr', 'lt_s', 'eq', 'div_u'].map((name) =>
    operation(`i32.${name}`, 'i32 i32', 'i32'),
  ),
  ...['add', 'sub', 'mul', 'or', 'shr_u'].map((name) => operation(`i64.${name}`, 'i64 i64', 'i64')),
  operation('i32.eqz', 'i32', 'i32'),
  operation('i32.wrap_i64', 'i64', 'i32'),
  operation('i64.extend_i32_s', 'i32', 'i64'),
  operation('f32.reinterpret_i32', 'i32', 'f32'),
  operation('i32.reinterpret_f32', 'f32', 'i32'),
  operation('f64.reinterpret_i64', 'i64', 'f64'),
  operation('i64.reinterpret_f64', 'f64', 'i64'),
  operation('f32.neg', 'f32', 'f32'),
  operation('f64.copysign', 'f64 f64', 'f64'),
  operation('f64.lt', 'f64 f64', 'i32'),
  operation('i32x4.splat', 'i32', 'v128'),
  operation('i64x2.extract_lane 1', 'v128', 'i64'),
  operation('i32x4.add', 'v128 v128', 'v128'),
  operation('v128.bitselect', 'v128 v128 v128', 'v128'),
  operation('ref.is_null', 'funcref', 'i32'),
  operation(`${ADDRESS} i32.load offset=4`, 'i32', 'i32'),
  operation(`${ADDRESS} i64.load`, 'i32', 'i64'),
  operation(`${ADDRESS} v128.load`, 'i32', 'v128'),
  operation('memory.size', '', 'i32'),
  operation('i32.const 1 memory.grow', '', 'i32'),
  operation(`${ADDRESS} i32.const 7 i32.const 60 memory.fill`, 'i32', ''),
  operation('i32.const 64 i32.const 8 i32.const 100 memory.copy', '', ''),
  operation('i32.const 9 i32.const 1 i32.const 4 memory.init $d', '', ''),
  operation('data.drop $d', '', ''),
  operation('i32.const 7 i32.and table.get $t', 'i32', 'funcref'),
  operation('i32.const 3 table.get $u', '', 'funcref'),
  operation('i32.const 2 table.grow $t', 'funcref', 'i32'),
  operation('table.size $t', '', 'i32'),
  operation('i32.const 2 i32.const 1 i32.const 2 table.copy $t $u', '', ''),
  operation('i32.const 1 i32.const 0 i32.const 2 table.init $t $e', '', ''),
  operation('elem.drop $e', '', ''),
  operation('call $get', '', 'i32'),
  operation('call $say', 'i32', ''),
  operation('call $say64', 'i64', ''),
  operation('call $pair', 'i32', 'i32 i64'),
  operation('nop', '', ''),
];

const CALLEES = 8;
const ENTRIES = 3;
const COUNT_DOWN = `global.get $left i32.eqz if unreachable end
  global.get $left i32.const 1 i32.sub global.set $left`;

/** The text of the module for `seed`; it exports `run0` to `run2`, without parameters. */
export function randomModule(seed: number): string {
  return new Generator(seed).module();
}

export const RANDOM_ENTRIES: readonly string[] = Array.from(
  { length: ENTRIES },
  (_, index) => `run${index}`,
);

class Generator {
  readonly #random: () => number;
  readonly #signatures: readonly Signature[];
  readonly #globals: readonly Type[];
  #locals: readonly Type[] = [];
  #results: readonly Type[] = [];
  #labels: Label[] = [];
  #stack: Type[] = [];
  /** Values that lie beneath the innermost construct: not to be touched. */
  #base = 0;
  #out: string[] = [];
  #budget = 0;

  constructor(seed: number) {
    const random = randomStream(seed * 7919 + 1);
    for (let i = 0; i < 5; i++) random();
    this.#random = random;
    this.#signatures = Array.from({ length: CALLEES }, (_, index) =>
      // Some in pairs of one type, so that calls through the table find more than one function.
      index % 3 === 2
        ? { params: ['i32'], results: ['i32'] }
        : { params: this.#types(3), results: this.#types(3) },
    );
    this.#globals = [...TYPES, ...this.#types(3)];
  }

  #below(limit: number): number {
    return Math.floor(this.#random() * limit);
  }

  #pick<T>(items: readonly T[]): T {
    return items[this.#below(items.length)]!;
  }

  #types(limit: number): Type[] {
    return Array.from({ length: this.#below(limit + 1) }, () => this.#pick(TYPES));
  }

  module(): string {
    const functions = this.#signatures.map((signature, index) => this.#function(index, signature));
    const entries = RANDOM_ENTRIES.map((name) => this.#entry(name));
    const globals = this.#globals.map(
      (type, index) => `(global $g${index} (mut ${type}) (${constant(type, index)}))`,
    );
    const names = this.#signatures.map((_, index) => `$f${index}`);
    return `(module
      (import "host" "say" (func $say (param i32)))
      (import "host" "say64" (func $say64 (param i64)))
      (import "host" "get" (func $get (result i32)))
      (import "host" "pair" (func $pair (param i32) (result i32 i64)))
      (memory (export "memory") 1 3)
      (data $d "some passive data") (data (i32.const 16) "some active data")
      (table $t 8 12 funcref) (elem (table $t) (i32.const 0) func ${names.join(' ')})
      (table $u 4 funcref) (elem (table $u) (i32.const 0) func $get $say $f0)
      (elem $e func $f1 $f2 $get)
      (elem declare func ${names.join(' ')} $get)
      (global $left (mut i32) (i32.const 0))
      ${globals.join('\n')}
      ${functions.join('\n')}
      ${entries.join('\n')})`;
  }

  #function(index: number, { params, results }: Signature): string {
    const declared = this.#types(4);
    this.#locals = [...params, ...declared];
    this.#results = results;
    this.#begin(results);
    if (this.#random() < 0.7) this.#out.push(COUNT_DOWN);
    else this.#out.push('call $tick');
    this.#budget = 20 + this.#below(60);
    this.#sequence(0);
    this.#settle(results);
    const head = index === 0 ? TICK : '';
    return `${head}(func $f${index} ${typeUse(params, results)} (local ${declared.join(' ')})
      ${this.#out.join('\n')})`;
  }

  /** Calls two functions and tells the host what they return. */
  #entry(name: string): string {
    this.#locals = [];
    this.#results = [];
    this.#begin([]);
    this.#out.push(`i32.const ${40 + this.#below(200)} global.set $left`);
    for (let call = 0; call < 2; call++) {
      this.#call(this.#below(CALLEES));
      while (this.#stack.length > 0) this.#tell(this.#stack.pop()!);
    }
    return `(func (export "${name}") ${this.#out.join('\n')})`;
  }

  #begin(results: readonly Type[]): void {
    this.#out = [];
    this.#stack = [];
    this.#base = 0;
    this.#labels = [{ takes: results }];
  }

  #tell(type: Type): void {
    const text: Record<Type, string> = {
      i32: 'call $say',
      i64: 'call $say64',
      f32: 'i32.reinterpret_f32 call $say',
      f64: 'i64.reinterpret_f64 call $say64',
      v128: 'i64x2.extract_lane 0 call $say64',
      funcref: 'ref.is_null call $say',
    };
    this.#out.push(text[type]);
  }

  // — pieces of code —

  #sequence(depth: number): void {
    const length = 2 + this.#below(8);
    for (let i = 0; i < length && this.#budget > 0; i++) {
      this.#budget--;
      this.#instruction(depth);
    }
  }

  #instruction(depth: number): void {
    const choice = this.#random();
    if (choice < 0.3) this.#operation(this.#pick(OPERATIONS));
    else if (choice < 0.4) this.#value(this.#pick(TYPES));
    else if (choice < 0.48) this.#variable();
    else if (choice < 0.7 && depth < 6) this.#construct(depth);
    else if (choice < 0.79) this.#call(this.#below(CALLEES));
    else if (choice < 0.84) this.#callThroughTable();
    else if (choice < 0.87) this.#select();
    else if (choice < 0.93) this.#branchIf();
    else if (choice < 0.98) this.#leave();
    else if (this.#stack.length > this.#base) {
      this.#stack.pop();
      this.#out.push('drop');
    }
  }

  #operation({ text, takes, gives }: Operation): void {
    this.#need(takes);
    this.#out.push(text);
    this.#take(takes);
    this.#stack.push(...gives);
  }

  /** Makes sure that the stack ends with these types. */
  #need(types: readonly Type[]): void {
    const have = this.#stack.length - types.length;
    const fits =
      have >= this.#base && types.every((type, index) => this.#stack[have + index] === type);
    if (!fits) for (const type of types) this.#value(type);
  }

  #take(types: readonly Type[]): void {
    this.#stack.length -= types.length;
  }

  /** Pushes a value of this type. */
  #value(type: Type): void {
    const locals = this.#locals.flatMap((local, index) => (local === type ? [index] : []));
    const choice = this.#random();
    if (locals.length > 0 && choice < 0.5) this.#out.push(`local.get ${this.#pick(locals)}`);
    else if (choice < 0.65) this.#out.push(`global.get $g${this.#globals.indexOf(type)}`);
    else if (type === 'i32' && choice < 0.8) this.#out.push('call $get');
    else this.#out.push(constant(type, this.#below(1000) - 400));
    this.#stack.push(type);
  }

  #variable(): void {
    const choice = this.#random();
    if (choice < 0.7 && this.#locals.length > 0) {
      const local = this.#below(this.#locals.length);
      const type = this.#locals[local]!;
      this.#need([type]);
      if (choice < 0.3) this.#out.push(`local.tee ${local}`);
      else {
        this.#out.push(`local.set ${local}`);
        this.#stack.pop();
      }
      return;
    }
    const global = this.#below(this.#globals.length);
    this.#need([this.#globals[global]!]);
    this.#out.push(`global.set $g${global}`);
    this.#stack.pop();
  }

  #select(): void {
    const type = this.#pick(TYPES);
    this.#need([type, type, 'i32']);
    this.#out.push(type === 'funcref' ? 'select (result funcref)' : 'select');
    this.#take([type, 'i32']);
  }

  /** A block, loop or if; it takes some of the values on the stack as parameters. */
  #construct(depth: number): void {
    const form = this.#pick(['block', 'loop', 'loop', 'if', 'if'] as const);
    if (form === 'if') this.#need(['i32']);
    if (form === 'if') this.#stack.pop();
    const count = this.#random() < 0.5 ? 0 : this.#below(this.#stack.length - this.#base + 1);
    const params = this.#stack.slice(this.#stack.length - Math.min(count, 4));
    const results = this.#random() < 0.4 ? [] : this.#types(3);
    this.#out.push(`${form} ${typeUse(params, results)}`);
    const outerBase = this.#base;
    const outerStack = this.#stack.slice(0, this.#stack.length - params.length);
    const arm = (): void => {
      this.#base = outerStack.length;
      this.#stack = [...outerStack, ...params];
      this.#labels.push({ takes: form === 'loop' ? params : results });
      if (form === 'loop') this.#out.push(COUNT_DOWN);
      this.#sequence(depth + 1);
      this.#settle(results);
      this.#labels.pop();
    };
    arm();
    if (form === 'if') {
      const sameTypes = params.join() === results.join();
      if (!sameTypes || this.#random() < 0.6) {
        this.#out.push('else');
        arm();
      }
    }
    this.#out.push('end');
    this.#base = outerBase;
    this.#stack = [...outerStack, ...results];
  }

  /** Leaves exactly these types above the innermost construct's base. */
  #settle(types: readonly Type[]): void {
    while (this.#stack.length > this.#base) {
      const left = this.#stack.slice(this.#base);
      if (left.length <= types.length && left.every((type, index) => type === types[index])) break;
      this.#stack.pop();
      this.#out.push('drop');
    }
    for (const type of types.slice(this.#stack.length - this.#base)) this.#value(type);
  }

  #call(callee: number): void {
    const { params, results } = this.#signatures[callee]!;
    this.#operation({ text: `call $f${callee}`, takes: params, gives: results });
  }

  #callThroughTable(): void {
    const callee = this.#below(CALLEES);
    const { params, results } = this.#signatures[callee]!;
    const index = this.#random() < 0.95 ? callee : this.#below(10);
    this.#operation({
      text: `i32.const ${index} call_indirect $t ${typeUse(params, results)}`,
      takes: params,
      gives: results,
    });
  }

  #branchIf(): void {
    const depth = this.#below(this.#labels.length);
    const { takes } = this.#labels[this.#labels.length - 1 - depth]!;
    this.#need(takes);
    this.#need([...takes, 'i32']);
    this.#out.push(`br_if ${depth}`);
    this.#stack.pop();
  }

  /** An instruction that nothing follows, and then some code all the same. */
  #leave(): void {
    const choice = this.#random();
    const depth = this.#below(this.#labels.length);
    const { takes } = this.#labels[this.#labels.length - 1 - depth]!;
    if (choice < 0.35) {
      this.#need(takes);
      this.#out.push(`br ${depth}`);
    } else if (choice < 0.65) {
      const alike = this.#labels.flatMap((label, index) =>
        label.takes.join() === takes.join() ? [this.#labels.length - 1 - index] : [],
      );
      this.#need([...takes, 'i32']);
      const targets = Array.from({ length: 1 + this.#below(4) }, () => this.#pick(alike));
      this.#out.push(`br_table ${targets.join(' ')}`);
    } else if (choice < 0.75) {
      this.#need(this.#results);
      this.#out.push('return');
    } else if (choice < 0.95) this.#tailCall();
    else this.#out.push('unreachable');
    this.#stack.length = this.#base;
  }

  #tailCall(): void {
    const alike = this.#signatures.flatMap(({ results }, index) =>
      results.join() === this.#results.join() ? [index] : [],
    );
    if (alike.length === 0) {
      this.#out.push('unreachable');
      return;
    }
    const callee = this.#pick(alike);
    const { params, results } = this.#signatures[callee]!;
    this.#need(params);
    this.#out.push(
      this.#random() < 0.5
        ? `return_call $f${callee}`
        : `i32.const ${callee} return_call_indirect $t ${typeUse(params, results)}`,
    );
  }
}

/** A function that can't be captured, called from others. */
const TICK = `(func $tick ${COUNT_DOWN})\n`;

function typeUse(params: readonly Type[], results: readonly Type[]): string {
  const list = (name: string, types: readonly Type[]): string =>
    types.length === 0 ? '' : `(${name} ${types.join(' ')})`;
  return `${list('param', params)} ${list('result', results)}`;
}

function constant(type: Type, value: number): string {
  switch (type) {
    case 'f32':
      return value % 3 === 0
        ? `f32.const nan:0x${(0x200000 + (value & 0xff)).toString(16)}`
        : `f32.const ${value}.5`;
    case 'f64':
      return value % 3 === 0 ? 'f64.const -nan:0x4000000000123' : `f64.const ${value}.25`;
    case 'v128':
      return `v128.const i32x4 ${value} 2 -3 ${value * 77}`;
    case 'funcref':
      return value % 2 === 0 ? 'ref.null func' : `ref.func $f${Math.abs(value) % CALLEES}`;
    default:
      return `${type}.const ${value}`;
  }
}
