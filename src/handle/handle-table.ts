/**
 * The table of a guest's open handles, by file descriptor number.
 *
 * Invariants:
 * 1. A new handle gets the lowest free number.
 * 2. Never more than `handlesMax` handles are open, and every number lies below it.
 * 3. A handle stands in one slot: numbers are moved, never duplicated.
 * 4. Never more than `filesMax` of them are files and directories that the guest opened; a granted directory
 *    is none of these.
 * 5. A guest that asks for more is told so, up to REFUSALS_MAX times without giving one back; then it ends.
 */
import { BOUNDS_DEFAULT, REFUSALS_MAX } from '../resource/bounds.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import type { ConnectionHandle } from './connection.ts';
import type { DirectoryHandle } from './directory.ts';
import type { FileHandle } from './file.ts';
import type { ListenerHandle } from './listener.ts';
import type { OutputHandle } from './output.ts';
import type { StdinHandle } from './stdin.ts';

export type Handle =
  | FileHandle
  | DirectoryHandle
  | StdinHandle
  | OutputHandle
  | ListenerHandle
  | ConnectionHandle;

export class HandleTable {
  readonly handlesMax: number;
  readonly filesMax: number;
  readonly #slots: (Handle | undefined)[] = [];
  #open = 0;
  #files = 0;
  /** Since the last handle was given back. */
  #refusals = 0;
  /** No slot below is free. */
  #lowestFree = 0;

  constructor(
    handlesMax: number = BOUNDS_DEFAULT.handles,
    filesMax: number = BOUNDS_DEFAULT.files,
  ) {
    this.handlesMax = handlesMax;
    this.filesMax = filesMax;
  }

  get isFull(): boolean {
    return this.#open >= this.handlesMax;
  }

  /**
   * Whether the guest can't have another handle now, of a file or directory with `opensFile`. It asked for
   * one: to be called before anything is done for it. Throws LimitReached.
   */
  refuses(opensFile: boolean): boolean {
    const lacksFile = opensFile && this.#files >= this.filesMax;
    if (!this.isFull && !lacksFile) return false;
    this.#refusals += 1;
    if (this.#refusals > REFUSALS_MAX) throw new LimitReached(this.isFull ? 'handles' : 'files');
    return true;
  }

  /** `number` may be any i32 that a guest made up. */
  get(number: number): Handle | undefined {
    return this.#slots[number];
  }

  /** The handle's number, or null when the table is full; the handle then stays the caller's to close. */
  insert(handle: Handle): number | null {
    if (this.isFull) return null;
    let number = this.#lowestFree;
    while (this.#slots[number] !== undefined) number += 1;
    this.#slots[number] = handle;
    this.#open += 1;
    if (isOpened(handle)) this.#files += 1;
    this.#lowestFree = number + 1;
    return number;
  }

  /** Puts a handle where an image says it was. False when the number is taken or out of range. */
  insertAt(number: number, handle: Handle): boolean {
    if (this.isFull || !Number.isInteger(number)) return false;
    if (number < 0 || number >= this.handlesMax || this.#slots[number] !== undefined) return false;
    this.#slots[number] = handle;
    this.#open += 1;
    if (isOpened(handle)) this.#files += 1;
    return true;
  }

  /** Takes a handle out; the caller lets go of what it stands for. */
  remove(number: number): Handle | undefined {
    const handle = this.#slots[number];
    if (handle === undefined) return undefined;
    this.#slots[number] = undefined;
    this.#open -= 1;
    if (isOpened(handle)) this.#files -= 1;
    this.#refusals = 0;
    if (number < this.#lowestFree) this.#lowestFree = number;
    return handle;
  }

  /** Puts the handle of number `from` in place of the one of number `to`, which is given back. */
  move(from: number, to: number): Handle | undefined {
    const handle = this.#slots[from];
    const replaced = this.#slots[to];
    if (handle === undefined || replaced === undefined || from === to) return undefined;
    this.remove(from);
    this.#slots[to] = handle;
    if (isOpened(handle)) this.#files += 1;
    if (isOpened(replaced)) this.#files -= 1;
    return replaced;
  }

  /** Takes every handle out; see `remove`. */
  clear(): void {
    this.#slots.length = 0;
    this.#open = 0;
    this.#files = 0;
    this.#lowestFree = 0;
  }

  /** Ascending by number. */
  entries(): (readonly [number, Handle])[] {
    const entries: (readonly [number, Handle])[] = [];
    for (const [number, handle] of this.#slots.entries()) {
      if (handle !== undefined) entries.push([number, handle]);
    }
    return entries;
  }
}

function isOpened(handle: Handle): boolean {
  return handle.kind === 'file' || (handle.kind === 'directory' && handle.preopenName === null);
}

/** The open files among a table's handles. */
export function filesOf(table: HandleTable): readonly FileHandle[] {
  return table
    .entries()
    .map(([, handle]) => handle)
    .filter((handle) => handle.kind === 'file');
}
