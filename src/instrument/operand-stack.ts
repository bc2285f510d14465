/**
 * The types of the values on the operand stack while a body is walked, and which of them are spilled.
 *
 * Invariants:
 * 1. `spillAt` ascends: what lies beneath a site that is met later, and was not spilled before, was pushed
 *    later.
 * 2. A spill local belongs to one (height, type); two live values never share one.
 */
import { assert } from '../fault/assert.ts';
import { GrowingU8, GrowingU32 } from './growing-array.ts';

export class OperandStack {
  height = 0;
  /** Types of the spill locals, in the order of their locals. */
  readonly spillTypes = new GrowingU8(64);
  /** Every value to be spilled: behind which offset it is pushed, ascending, and the number of its local. */
  readonly spillAt = new GrowingU32(1024);
  readonly spillNumber = new GrowingU32(1024);
  readonly #spillOf = new Map<number, number>();
  #types = new Uint8Array(1024);
  /** Behind which offset each value was pushed. */
  #pushedAt = new Uint32Array(1024);
  /** The types of all that was pushed behind that offset, where it was more than one value. */
  readonly #groups = new Map<number, Uint8Array>();
  /** Everything beneath this height is spilled already. */
  #spilledTo = 0;

  clear(): void {
    this.height = 0;
    this.spillTypes.length = 0;
    this.spillAt.length = 0;
    this.spillNumber.length = 0;
    this.#spillOf.clear();
    this.#groups.clear();
    this.#spilledTo = 0;
  }

  /** The type of the value that many beneath the top: 0 is the top. */
  typeBeneathTop(depth: number): number {
    return this.#types[this.height - 1 - depth]!;
  }

  /** All types, bottom first. */
  toTypes(): Uint8Array {
    return this.#types.slice(0, this.height);
  }

  /** `at`: the offset behind the instruction that pushes. */
  push(type: number, at: number): void {
    const { height } = this;
    if (height === this.#types.length) this.#widen();
    this.#types[height] = type;
    this.#pushedAt[height] = at;
    this.height = height + 1;
  }

  pushAll(types: Uint8Array, at: number): void {
    if (types.length > 1) this.#groups.set(at, types);
    for (const type of types) this.push(type, at);
  }

  /** The same value anew, as `local.tee` leaves it. */
  replaceTop(at: number): void {
    const type = this.typeBeneathTop(0);
    this.pop(1);
    this.push(type, at);
  }

  pop(count: number): void {
    assert(count <= this.height, 'a valid body takes no values that are not there');
    this.cutTo(this.height - count);
  }

  cutTo(height: number): void {
    this.height = height;
    if (height < this.#spilledTo) this.#spilledTo = height;
  }

  /**
   * Gives every value on the stack a spill local, together with those that were pushed in one go with it,
   * though they may be gone. What a site leaves unspilled it also takes off the stack, so values are found
   * in the order in which they were pushed.
   */
  spillAll(): void {
    const { height } = this;
    for (let at = this.#spilledTo; at < height; ) {
      const offset = this.#pushedAt[at]!;
      const group = this.#groups.get(offset);
      if (group === undefined) this.#spill(offset, at, this.#types[at]!);
      else for (let i = 0; i < group.length; i++) this.#spill(offset, at + i, group[i]!);
      // Where the others of a group are gone, later values may stand in their place.
      do at++;
      while (at < height && this.#pushedAt[at] === offset);
    }
    this.#spilledTo = height;
  }

  /** The number among the spill locals of the one for (height, type); undefined where there is none. */
  spillFor(height: number, type: number): number | undefined {
    return this.#spillOf.get(height * 256 + type);
  }

  #spill(offset: number, height: number, type: number): void {
    let spill = this.spillFor(height, type);
    if (spill === undefined) {
      spill = this.spillTypes.length;
      this.#spillOf.set(height * 256 + type, spill);
      this.spillTypes.push(type);
    }
    this.spillAt.push(offset);
    this.spillNumber.push(spill);
  }

  #widen(): void {
    const types = new Uint8Array(this.#types.length * 2);
    types.set(this.#types);
    const pushedAt = new Uint32Array(types.length);
    pushedAt.set(this.#pushedAt);
    this.#types = types;
    this.#pushedAt = pushedAt;
  }
}
