/**
 * Where the sites of written functions stand: from the position of a call, as the engine tells it in a
 * stack trace, to the place that waits there.
 *
 * A position is that of the call's opcode, in bytes from the start of the module.
 */
import type { BodyEmitter } from './body-emitter.ts';
import { GrowingU32 } from './growing-array.ts';

/** A function and the number of a site in it. */
export interface Place {
  readonly func: number;
  readonly site: number;
}

/** More sites than any function has. */
const SITES_MAX = 2 ** 24;

/** A number for a place, its own where `canExist`. */
export function placeKey({ func, site }: Place): number {
  return func * SITES_MAX + site;
}

/** Whether any module could have this place: what an image names need not be one. */
export function canExist({ func, site }: Place): boolean {
  return func < SITES_MAX && site < SITES_MAX;
}

export class SitePositions {
  /** What all positions are added to. */
  base = 0;
  readonly #at = new GrowingU32(256);
  readonly #func = new GrowingU32(256);
  readonly #site = new GrowingU32(256);

  /** Adds the sites of the body that `emitter` wrote last; it begins at `start`, behind those before it. */
  add(func: number, start: number, { siteCallAt, siteCalled }: BodyEmitter): void {
    for (let i = 0; i < siteCallAt.length; i++) {
      this.#at.push(start + siteCallAt.at(i));
      this.#func.push(func);
      this.#site.push(siteCalled.at(i));
    }
  }

  /** The place whose call stands at `position`; null where no site's call does. */
  find(position: number): Place | null {
    const at = position - this.base;
    const index = this.#at.firstNotBelow(at);
    if (index === this.#at.length || this.#at.at(index) !== at) return null;
    return { func: this.#func.at(index), site: this.#site.at(index) };
  }
}
