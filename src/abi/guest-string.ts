/**
 * Strings that a guest hands over: bytes of its memory that should be UTF-8.
 */
import { ERRNO, type Errno } from './errno.ts';
import type { GuestMemory } from './guest-memory.ts';

/** As Linux has it, less the NUL that follows there. */
export const PATH_BYTES_MAX = 4095;

// A byte order mark at the start of a name is part of the name.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The text of `bytes`, or null when they aren't UTF-8. */
export function decodeUtf8(bytes: Uint8Array): string | null {
  try {
    return decoder.decode(bytes);
  } catch {
    return null;
  }
}

/**
 * A path: not empty, without NUL. Otherwise an errno:
 *
 * - FAULT: not within memory.
 * - NAMETOOLONG: longer than PATH_BYTES_MAX.
 * - NOENT: empty.
 * - ILSEQ: not UTF-8. INVAL: holds a NUL.
 */
export function readPath(
  memory: GuestMemory,
  pointer: number,
  lengthBytes: number,
): string | Errno {
  if (!memory.holds(pointer, lengthBytes)) return ERRNO.FAULT;
  const length = lengthBytes >>> 0;
  if (length > PATH_BYTES_MAX) return ERRNO.NAMETOOLONG;
  if (length === 0) return ERRNO.NOENT;
  const text = textAt(memory, pointer >>> 0, length);
  if (text === null) return ERRNO.ILSEQ;
  return text.includes('\0') ? ERRNO.INVAL : text;
}

/** What a faster decoder puts where there is no UTF-8; a text may hold it, too. */
const REPLACEMENT = '\ufffd';

function textAt(memory: GuestMemory, start: number, lengthBytes: number): string | null {
  const text = memory.text(start, lengthBytes);
  if (!text.includes(REPLACEMENT)) return text;
  // Copied: a decoder refuses views of shared memory.
  return decodeUtf8(memory.bytes.slice(start, start + lengthBytes));
}
