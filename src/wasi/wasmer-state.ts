/**
 * How `@wasmer/wasi` goes through a checkpoint: files, descriptors and the pipes of its streams lie in
 * the memory of its own module, which goes into the image page by page, like a guest's. Here is the rest.
 *
 * A restore builds the package in the same way again and then puts the memory in place. What the memory
 * says of the JavaScript outside, it says by slot in a table of objects; building again puts the same
 * objects into the same slots.
 *
 * Invariants:
 * 1. `foundation` is the digest of the memory when the package was built. A restore that arrives at
 *    another one is refused: then slots and addresses would not be those that the image speaks of.
 * 2. At a checkpoint the table holds the objects of the foundation and no others, and the package's stack
 *    is empty: nothing that matters is outside of the memory.
 */
import { bytes, integer, mapOf, nullable, type ShapeOf, text } from '../cbor/shape.ts';

export const WASMER_KIND = 'wasmer-wasi';

const DIGEST_BYTES = 32;
const IDENTITY_LENGTH_MAX = 64;

export const wasmerShape = mapOf({
  identity: text(IDENTITY_LENGTH_MAX),
  foundation: bytes(DIGEST_BYTES, DIGEST_BYTES),
  /** The descriptor that standard input is now; null when the guest closed it. */
  stdin: nullable(integer(0, 0xffff_ffff)),
});

export type WasmerState = ShapeOf<typeof wasmerShape>;

/** Whether the table of objects, as `WasmerPackage.objects` gives it, holds what it held, and no more. */
export function sameObjects(before: string, now: string): boolean {
  for (let slot = 0; slot < Math.max(before.length, now.length); slot++) {
    const was = before[slot] ?? '.';
    if ((now[slot] ?? '.') !== was) return false;
  }
  return true;
}
