/**
 * The shape of an image: everything that describes one paused guest.
 *
 * An image is two parts. The *head* is one deterministic CBOR map (see `head.ts` for its reader and
 * writer and `docs/format/image.md` for the bytes). The *pages* are the guest's non-zero memory pages,
 * 64 KiB each, memory by memory and ascending, with nothing between them; the head says which they are.
 *
 * Invariants:
 * 1. A page that is absent reads as zeros. A present page may be zero as well.
 * 2. The head holds no path, right or owner that a restore trusts: they are hints, checked again.
 * 3. Frames are listed innermost first, as the unwinding met them.
 */
import type { CborValue } from '../cbor/cbor.ts';

export const IMAGE_FORMAT = 2;
export const PAGE_BYTES = 65_536;

export interface ImageHead {
  readonly format: typeof IMAGE_FORMAT;
  readonly stack: ImageStack;
  readonly memories: readonly ImageMemory[];
  readonly globals: ImageValues;
  readonly tables: readonly ImageTable[];
  readonly counters: ImageCounters;
  /** One entry an open handle; each is what its kind's `.state` file wrote. */
  readonly handles: readonly CborValue[];
  readonly providers: readonly ImageProvider[];
}

/** Values of wasm types as 32-bit words, little-endian, plus references by function index. */
export interface ImageValues {
  /** i32 and f32: one word; i64 and f64: low, high; v128: four words. */
  readonly words: Uint8Array;
  /** Function index in the guest's module, or null. */
  readonly refs: readonly (number | null)[];
}

export interface ImageFrame extends ImageValues {
  /** Index of the function in the guest's module. */
  readonly func: number;
  /** Number of the safepoint within that function. */
  readonly site: number;
}

export interface ImageStack {
  readonly frames: readonly ImageFrame[];
  /** The host call that was waiting when the guest was stopped; null when it stood at a poll. */
  readonly pending: ImagePendingCall | null;
}

export interface ImagePendingCall {
  readonly module: string;
  readonly name: string;
  /** i32 as number, i64 as bigint. */
  readonly args: readonly (number | bigint)[];
  /** What the call had done already, in its own words; null when it has to start from its beginning. */
  readonly progress: CborValue;
}

export interface ImageMemory {
  /** Size in wasm pages. */
  readonly sizePages: number;
  /** Which pages are present: pairs [first page, count], ascending, not touching. */
  readonly present: readonly (readonly [number, number])[];
}

export interface ImageTable {
  readonly size: number;
  /** Function index or null by slot; null as a whole when no instruction of the module changes the table. */
  readonly entries: readonly (number | null)[] | null;
}

export interface ImageCounters {
  /** Fuel used since the guest began, over all its runs. */
  readonly fuel: bigint;
  /** Host calls completed since the guest began, over all its runs. */
  readonly calls: bigint;
}

export interface ImageProvider {
  readonly kind: string;
  readonly version: number;
  readonly state: CborValue;
}
