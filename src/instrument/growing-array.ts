/**
 * Typed arrays that grow: the pass pushes numbers by the million and reads them back by index.
 *
 * `length = 0` empties one and keeps its room.
 */
export class GrowingU32 {
  #items: Uint32Array;
  length = 0;

  constructor(capacity: number) {
    this.#items = new Uint32Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.#items.length) {
      const wider = new Uint32Array(this.#items.length * 2);
      wider.set(this.#items);
      this.#items = wider;
    }
    this.#items[this.length++] = value;
  }

  at(index: number): number {
    return this.#items[index]!;
  }

  set(index: number, value: number): void {
    this.#items[index] = value;
  }

  /** The first index whose item is not below `bound`, where the items ascend. */
  firstNotBelow(bound: number): number {
    let low = 0;
    let high = this.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#items[middle]! < bound) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  toArray(): Uint32Array {
    return this.#items.slice(0, this.length);
  }
}

export class GrowingU8 {
  #items: Uint8Array;
  length = 0;

  constructor(capacity: number) {
    this.#items = new Uint8Array(capacity);
  }

  push(value: number): void {
    if (this.length === this.#items.length) {
      const wider = new Uint8Array(this.#items.length * 2);
      wider.set(this.#items);
      this.#items = wider;
    }
    this.#items[this.length++] = value;
  }

  at(index: number): number {
    return this.#items[index]!;
  }

  set(index: number, value: number): void {
    this.#items[index] = value;
  }

  toArray(): Uint8Array {
    return this.#items.slice(0, this.length);
  }
}
