/** Sizes of what a guest hands over that no program means, and that would be refused in any case. */
import type { GuestMemory } from '../abi/guest-memory.ts';
import { CALL_ITEMS_MAX } from '../resource/bounds.ts';

/**
 * Whether `count` items of `itemBytes` each at `pointer` really are there, and more than any call takes: a
 * count without the items behind it is a mistake like any other, and an errno.
 */
export function isBeyondReason(
  memory: GuestMemory,
  pointer: number,
  count: number,
  itemBytes: number,
): boolean {
  return (
    count > CALL_ITEMS_MAX &&
    // Larger products would wrap.
    count * itemBytes <= 0xffff_ffff &&
    memory.holds(pointer, count * itemBytes)
  );
}
