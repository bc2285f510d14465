/**
 * A captured stack while it is taken down, and while it is put up again.
 *
 * Taking down: each function that unwinds calls `begin` and then hands over its words and references, the
 * innermost function first. Putting up: twins take their frame's words in the same order, beginning with
 * the outermost frame; `next` moves on to the frame inside.
 *
 * Globals go the same way, as a frame of their own (`func` and `site` are 0 and mean nothing).
 *
 * Invariants:
 * 1. Words and references of a frame come out in the order in which they went in.
 * 2. A frame that is read beyond its end reads zeros and nulls: a damaged image can't make the host fail.
 */
import type { ImageFrame, ImageValues } from '../image/image.ts';
import type { WasmFunction } from '../wasm/engine.ts';

interface Frame {
  readonly func: number;
  readonly site: number;
  /** Where its words and references begin. */
  readonly word: number;
  readonly ref: number;
}

const WORDS_AT_FIRST = 4096;

export class FrameStack {
  #frames: Frame[] = [];
  #words = new Int32Array(WORDS_AT_FIRST);
  #wordCount = 0;
  #refs: (WasmFunction | null)[] = [];
  /** Of the frame that is being read. */
  #word = 0;
  #wordEnd = 0;
  #ref = 0;
  #refEnd = 0;
  #reading = 0;

  get depth(): number {
    return this.#frames.length;
  }

  clear(): void {
    this.#frames = [];
    this.#wordCount = 0;
    this.#refs = [];
  }

  place(frame: number): { readonly func: number; readonly site: number } {
    return this.#frames[frame]!;
  }

  // — taking down —

  readonly begin = (func: number, site: number): void => {
    this.#frames.push({ func, site, word: this.#wordCount, ref: this.#refs.length });
  };

  readonly save8 = (
    a: number,
    b: number,
    c: number,
    d: number,
    e: number,
    f: number,
    g: number,
    h: number,
  ): void => {
    const at = this.#wordCount;
    if (at + 8 > this.#words.length) this.#widen(at + 8);
    const words = this.#words;
    words[at] = a;
    words[at + 1] = b;
    words[at + 2] = c;
    words[at + 3] = d;
    words[at + 4] = e;
    words[at + 5] = f;
    words[at + 6] = g;
    words[at + 7] = h;
    this.#wordCount = at + 8;
  };

  readonly saveRef = (ref: WasmFunction | null): void => {
    this.#refs.push(ref);
  };

  // — putting up —

  /** Reading begins with the outermost frame. */
  rewind(): void {
    this.#reading = this.#frames.length;
    this.stepIn();
  }

  /** Moves on to the next frame inside; returns its number, or -1 beyond the innermost one. */
  stepIn(): number {
    const frame = --this.#reading;
    if (frame < 0) return -1;
    const { word, ref } = this.#frames[frame]!;
    const above = this.#frames[frame + 1];
    this.#word = word;
    this.#wordEnd = above?.word ?? this.#wordCount;
    this.#ref = ref;
    this.#refEnd = above?.ref ?? this.#refs.length;
    return frame;
  }

  readonly word = (): number => (this.#word < this.#wordEnd ? this.#words[this.#word++]! : 0);

  readonly ref = (): WasmFunction | null =>
    this.#ref < this.#refEnd ? this.#refs[this.#ref++]! : null;

  // — images —

  /** All frames, innermost first. `indexOf` names a function by its index in the guest's module. */
  toImage(indexOf: (ref: WasmFunction) => number): ImageFrame[] {
    return this.#frames.map(({ func, site, word, ref }, frame) => {
      const above = this.#frames[frame + 1];
      const words = this.#words.slice(word, above?.word ?? this.#wordCount);
      return {
        func,
        site,
        words: new Uint8Array(words.buffer),
        refs: this.#refs
          .slice(ref, above?.ref ?? this.#refs.length)
          .map((value) => (value === null ? null : indexOf(value))),
      };
    });
  }

  /** Adds a frame from an image. `refOf` is the reverse of `indexOf`. */
  add(
    func: number,
    site: number,
    values: ImageValues,
    refOf: (index: number) => WasmFunction,
  ): void {
    this.begin(func, site);
    const { words } = values;
    const count = words.length >>> 2;
    if (this.#wordCount + count > this.#words.length) this.#widen(this.#wordCount + count);
    const view = new DataView(words.buffer, words.byteOffset, words.length);
    for (let i = 0; i < count; i++) this.#words[this.#wordCount++] = view.getInt32(i * 4, true);
    for (const ref of values.refs) this.#refs.push(ref === null ? null : refOf(ref));
  }

  #widen(needed: number): void {
    const wider = new Int32Array(Math.max(needed, this.#words.length * 2));
    wider.set(this.#words.subarray(0, this.#wordCount));
    this.#words = wider;
  }
}
