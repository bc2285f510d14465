/**
 * Where code that the pass wrote stands in the guest's own module: for one body, from an offset in what was
 * written to the offset that it comes from.
 *
 * Nothing of that is kept when a module is instrumented. A body that is asked about is written again, which
 * comes out the same, with this to take notes.
 */
import { GrowingU32 } from './growing-array.ts';

export class Origins {
  readonly #at = new GrowingU32(256);
  /** Twice the offset that it comes from; 1 more where bytes were copied, and the next ones come from behind it. */
  readonly #from = new GrowingU32(256);

  /** What is written at `at` and behind it, up to the next note, is a copy of the bytes from `from` on. */
  copied(at: number, from: number): void {
    this.#at.push(at);
    this.#from.push(from * 2 + 1);
  }

  /** What is written at `at` and behind it, up to the next note, stands for what is at `from`. */
  standsFor(at: number, from: number): void {
    this.#at.push(at);
    this.#from.push(from * 2);
  }

  /** Where the code at `at` comes from; there is a note at 0. `isCopy`: it is that very instruction, or what carries it out. */
  find(at: number): { readonly offset: number; readonly isCopy: boolean } {
    const note = this.#at.firstNotBelow(at + 1) - 1;
    const from = this.#from.at(note);
    const isCopy = from % 2 === 1;
    return { offset: (from >>> 1) + (isCopy ? at - this.#at.at(note) : 0), isCopy };
  }
}
