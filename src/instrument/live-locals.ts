/**
 * Which locals a frame has to hold: those that are read after some site before they are set again. What the engine has to
 * keep for the frame of a call it has to keep over that call, so a local that is saved for nothing costs in normal running.
 *
 * The first pass notes what a body does with its locals, in the order of the body; `solve` goes over that backwards. What
 * is live at a loop's head depends on what is live at its end, where a branch leads back to the head. Liveness
 * takes away what is set and adds what is read, so going through the loop once, with nothing live at that branch,
 * already finds what is live at the head; going through it again, with that, finds what is live inside. Within
 * the first time an inner loop is gone through once alone.
 *
 * Invariants:
 * 1. A local that is live at a site is among those found. Where finding out would take too long, all are.
 * 2. What is found depends on what was noted alone.
 */
import { GrowingU32 } from './growing-array.ts';

const GET = 0;
const SET = 1;
const SITE = 2;
const BLOCK = 3;
const LOOP = 4;
const IF = 5;
const ELSE = 6;
const END = 7;
const END_LOOP = 8;
/** The last of these in the body decides, and those before it add to it. */
const BRANCH = 9;
const MAYBE = 10;
const LEAVE = 11;
const CODES = 16;
const CODE_BITS = 4;

/** Loops within each other; the work is done once more for each. */
const LOOPS_MAX = 24;
/** Words of sets of locals that all labels open at once take. */
const LABEL_WORDS_MAX = 2 ** 20;
/** Words of sets that are gone through at labels, branches and sites: so many, and more for each byte of the body. */
const WORK_AT_LEAST = 2 ** 18;
const WORK_A_BYTE = 32;

/** Where a loop's label stands in going through it. */
const ALONE = 0;
const FIRST_TIME = 1;
const SECOND_TIME = 2;
const NO_LOOP = 3;

export class LiveLocals {
  readonly #noted = new GrowingU32(4096);
  #depth = 0;
  #depthMax = 0;
  #loops = 0;
  #loopsMax = 0;
  /** Ends, branches and sites. */
  #joins = 0;
  #saved = new Uint32Array(8);
  #live = new Uint32Array(8);
  /** Two sets a label: at its end, and at a loop's head or an `else`. */
  #sets = new Uint32Array(256);
  #phase = new Uint8Array(64);
  #endAt = new Uint32Array(64);
  #hasElse = new Uint8Array(64);

  clear(): void {
    this.#noted.length = 0;
    this.#depth = 0;
    this.#depthMax = 0;
    this.#loops = 0;
    this.#loopsMax = 0;
    this.#joins = 0;
  }

  get(local: number): void {
    this.#noted.push(local * CODES + GET);
  }

  set(local: number): void {
    this.#noted.push(local * CODES + SET);
  }

  site(): void {
    this.#joins++;
    this.#noted.push(SITE);
  }

  /** The function itself, too. */
  block(): void {
    this.#open(BLOCK);
  }

  if(): void {
    this.#open(IF);
  }

  else(): void {
    this.#noted.push(ELSE);
  }

  loop(): void {
    this.#open(LOOP);
    this.#loops++;
    if (this.#loops > this.#loopsMax) this.#loopsMax = this.#loops;
  }

  end(isLoop: boolean): void {
    this.#depth--;
    this.#joins++;
    if (isLoop) this.#loops--;
    this.#noted.push(isLoop ? END_LOOP : END);
  }

  branch(depth: number): void {
    this.#joins++;
    this.#noted.push(depth * CODES + BRANCH);
  }

  /** Before `branch`: another place that may be next; or alone: the next one, or that. */
  maybe(depth: number): void {
    this.#joins++;
    this.#noted.push(depth * CODES + MAYBE);
  }

  leave(): void {
    this.#noted.push(LEAVE);
  }

  /** Whether a local, one of `locals`, is to be saved: asked after `solve`. */
  isSaved(local: number): boolean {
    return ((this.#saved[local >>> 5]! >>> (local & 31)) & 1) === 1;
  }

  /** `bytes`: of the body, for a bound of the work. */
  solve(locals: number, bytes: number): void {
    const words = (locals + 31) >>> 5;
    if (this.#saved.length < words) {
      this.#saved = new Uint32Array(words * 2);
      this.#live = new Uint32Array(words * 2);
    }
    const work = (this.#joins + 1) * words * (this.#loopsMax + 1);
    const room = this.#depthMax * words * 2;
    if (
      this.#loopsMax > LOOPS_MAX ||
      room > LABEL_WORDS_MAX ||
      work > WORK_AT_LEAST + bytes * WORK_A_BYTE
    ) {
      this.#saved.fill(0xffff_ffff, 0, words);
      return;
    }
    this.#saved.fill(0, 0, words);
    this.#live.fill(0, 0, words);
    if (this.#sets.length < room) this.#sets = new Uint32Array(room * 2);
    if (this.#phase.length < this.#depthMax) {
      this.#phase = new Uint8Array(this.#depthMax * 2);
      this.#endAt = new Uint32Array(this.#depthMax * 2);
      this.#hasElse = new Uint8Array(this.#depthMax * 2);
    }
    this.#goBack(words);
  }

  #open(code: number): void {
    this.#noted.push(code);
    this.#depth++;
    if (this.#depth > this.#depthMax) this.#depthMax = this.#depth;
  }

  #goBack(words: number): void {
    const noted = this.#noted;
    const live = this.#live;
    const sets = this.#sets;
    const phase = this.#phase;
    const saved = this.#saved;
    let depth = 0;
    /** Within a loop that is gone through for the first time: sites count the second time. */
    let first = false;
    const keep = (at: number): void => {
      for (let i = 0; i < words; i++) sets[at + i] = live[i]!;
    };
    const take = (at: number): void => {
      for (let i = 0; i < words; i++) live[i] = sets[at + i]!;
    };
    const add = (at: number): void => {
      for (let i = 0; i < words; i++) live[i]! |= sets[at + i]!;
    };
    const endOf = (label: number): number => label * 2 * words;
    const targetOf = (label: number): number =>
      endOf(label) + (phase[label] === NO_LOOP ? 0 : words);
    for (let at = noted.length - 1; at >= 0; at--) {
      const item = noted.at(at);
      const operand = item >>> CODE_BITS;
      switch (item & (CODES - 1)) {
        case GET:
          live[operand >>> 5]! |= 1 << (operand & 31);
          break;
        case SET:
          live[operand >>> 5]! &= ~(1 << (operand & 31));
          break;
        case SITE:
          if (!first) for (let i = 0; i < words; i++) saved[i]! |= live[i]!;
          break;
        case END:
          keep(endOf(depth));
          phase[depth] = NO_LOOP;
          this.#hasElse[depth] = 0;
          depth++;
          break;
        case END_LOOP:
          keep(endOf(depth));
          sets.fill(0, endOf(depth) + words, endOf(depth) + 2 * words);
          phase[depth] = first ? ALONE : FIRST_TIME;
          first = true;
          this.#endAt[depth] = at;
          depth++;
          break;
        case LOOP: {
          const label = depth - 1;
          if (phase[label] === FIRST_TIME) {
            phase[label] = SECOND_TIME;
            keep(endOf(label) + words);
            take(endOf(label));
            first = false;
            at = this.#endAt[label]!;
          } else depth = label;
          break;
        }
        case ELSE:
          keep(endOf(depth - 1) + words);
          this.#hasElse[depth - 1] = 1;
          take(endOf(depth - 1));
          break;
        case IF:
          depth--;
          add(endOf(depth) + (this.#hasElse[depth] === 1 ? words : 0));
          break;
        case BLOCK:
          depth--;
          break;
        case BRANCH:
          take(targetOf(depth - 1 - operand));
          break;
        case MAYBE:
          add(targetOf(depth - 1 - operand));
          break;
        default:
          live.fill(0, 0, words);
      }
    }
  }
}
