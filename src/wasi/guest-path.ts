/** Paths that a guest hands over. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';
import { readPath } from '../abi/guest-string.ts';
import { LimitReached } from '../resource/limit-reached.ts';
import { isBeyondReason } from './beyond-reason.ts';

/** As `readPath`. Throws LimitReached for what is longer than any path that a program could mean. */
export function guestPath(
  memory: GuestMemory,
  pointer: number,
  lengthBytes: number,
): string | Errno {
  const path = readPath(memory, pointer, lengthBytes);
  const isBeyond = isBeyondReason(memory, pointer, lengthBytes >>> 0, 1);
  if (path === ERRNO.NAMETOOLONG && isBeyond) throw new LimitReached('path');
  return path;
}
