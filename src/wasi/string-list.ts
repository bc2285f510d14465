/** Arguments and environment: lists of strings that a guest asks for in two calls, sizes and contents. */
import { ERRNO, type Errno } from '../abi/errno.ts';
import type { GuestMemory } from '../abi/guest-memory.ts';

/** Writes the number of strings, u32, at `countAt` and their bytes with a NUL each, u32, at `bytesAt`. */
export function writeSizes(
  memory: GuestMemory,
  strings: readonly Uint8Array[],
  countAt: number,
  bytesAt: number,
): Errno {
  if (!memory.holds(countAt, 4) || !memory.holds(bytesAt, 4)) return ERRNO.FAULT;
  memory.view.setUint32(countAt >>> 0, strings.length, true);
  memory.view.setUint32(bytesAt >>> 0, sizeOf(strings), true);
  return ERRNO.SUCCESS;
}

/** Writes the strings with a NUL each at `textAt` and a pointer to each, u32, at `pointersAt`. */
export function writeStrings(
  memory: GuestMemory,
  strings: readonly Uint8Array[],
  pointersAt: number,
  textAt: number,
): Errno {
  const fits =
    memory.holds(pointersAt, strings.length * 4) && memory.holds(textAt, sizeOf(strings));
  if (!fits) return ERRNO.FAULT;
  const { bytes, view } = memory;
  let pointer = pointersAt >>> 0;
  let text = textAt >>> 0;
  for (const string of strings) {
    view.setUint32(pointer, text, true);
    bytes.set(string, text);
    bytes[text + string.length] = 0;
    pointer += 4;
    text += string.length + 1;
  }
  return ERRNO.SUCCESS;
}

function sizeOf(strings: readonly Uint8Array[]): number {
  return strings.reduce((sum, string) => sum + string.length + 1, 0);
}
