/**
 * Rights that the kernel keeps apart from being root. Source: capabilities(7), `include/uapi/linux/capability.h`.
 */
import type { Architecture } from './system-calls.ts';
import type { ThreadCall } from './thread-code.ts';

const SYS_CAPSET = { x64: 126, arm64: 91 } as const;
const VERSION_3 = 0x2008_0522;

/**
 * What root keeps: within the granted directories it may go on using files of other users, as it may
 * without a sandbox. CAP_DAC_OVERRIDE and CAP_FOWNER.
 */
export const KEPT_BY_ROOT: readonly number[] = [1, 3];

/** Leaves the thread that makes the call only these capabilities. Refused when it lacks one of them. */
export function keepCapabilities(
  architecture: Architecture,
  addressOf: (buffer: ArrayBuffer) => bigint,
  capabilities: readonly number[],
): ThreadCall {
  // Header: version u32, pid i32; then twice effective, permitted, inheritable, u32 each.
  const header = new Uint32Array([VERSION_3, 0]);
  const sets = new Uint32Array(6);
  for (const number of capabilities) {
    const half = number < 32 ? 0 : 3;
    sets[half]! |= 1 << (number % 32);
    sets[half + 1]! |= 1 << (number % 32);
  }
  const memory = [header.buffer, sets.buffer];
  return { number: SYS_CAPSET[architecture], arguments: memory.map(addressOf), memory };
}
