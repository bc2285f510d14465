/**
 * Machine code that makes system calls, for `every-thread.ts`: a function without arguments or result.
 *
 *   or of results = 0
 *   for each call: number and arguments into registers, call, or of results |= its result
 *   atomically add 1 to a word: `counters` when all gave 0, the one behind it when any did not
 *   return
 *
 * Nothing is touched but registers that a called function may change, and those two words. The C library's own
 * functions don't serve: each takes the arguments of a caller, and a signal's handler has none to give.
 *
 * Encodings are those of the assembler of LLVM 14; `test/confine/thread-code.test.ts` holds them.
 */
import type { Architecture } from './system-calls.ts';

export interface ThreadCall {
  readonly number: number;
  /** At most three. */
  readonly arguments: readonly bigint[];
  /** What the arguments point to: it lives as long as the call may still be made. */
  readonly memory?: readonly ArrayBuffer[];
}

export const CALL_ARGUMENTS_MAX = 3;

/** `counters`: address of two 32-bit words. */
export function threadCode(
  architecture: Architecture,
  calls: readonly ThreadCall[],
  counters: bigint,
): Uint8Array {
  return architecture === 'x64' ? x64Code(calls, counters) : arm64Code(calls, counters);
}

/** `movabs` into rax, then rdi, rsi, rdx. */
const X64_MOVE_NUMBER = [0x48, 0xb8];
const X64_MOVE_ARGUMENT = [
  [0x48, 0xbf],
  [0x48, 0xbe],
  [0x48, 0xba],
] as const;

function x64Code(calls: readonly ThreadCall[], counters: bigint): Uint8Array {
  const code: number[] = [0x4d, 0x31, 0xc0]; // xor r8, r8
  for (const call of calls) {
    code.push(...X64_MOVE_NUMBER, ...word64(BigInt(call.number)));
    for (const [at, value] of call.arguments.entries()) {
      code.push(...X64_MOVE_ARGUMENT[at]!, ...word64(value));
    }
    code.push(0x0f, 0x05); // syscall: changes rax, rcx and r11
    code.push(0x49, 0x09, 0xc0); // or r8, rax
  }
  code.push(0x48, 0xb9, ...word64(counters)); // movabs rcx, counters
  code.push(0x4d, 0x85, 0xc0); // test r8, r8
  code.push(0x74, 0x04); // je over the next one
  code.push(0x48, 0x83, 0xc1, 0x04); // add rcx, 4
  code.push(0xf0, 0xff, 0x01); // lock inc dword [rcx]
  code.push(0xc3); // ret
  return Uint8Array.from(code);
}

const ARM64_NUMBER = 8;
const ARM64_COUNTERS = 9;
const ARM64_RESULTS = 10;

function arm64Code(calls: readonly ThreadCall[], counters: bigint): Uint8Array {
  const code: number[] = [0xd280_000a]; // mov x10, #0
  for (const call of calls) {
    code.push(...arm64Move(ARM64_NUMBER, BigInt(call.number)));
    for (const [at, value] of call.arguments.entries()) code.push(...arm64Move(at, value));
    code.push(0xd400_0001); // svc #0: changes x0
    code.push(0xaa00_014a); // orr x10, x10, x0
  }
  code.push(...arm64Move(ARM64_COUNTERS, counters));
  code.push(0xb400_0000 | (2 << 5) | ARM64_RESULTS); // cbz x10, over the next one
  code.push(0x9100_1129); // add x9, x9, #4
  code.push(0x885f_fd21); // ldaxr w1, [x9]
  code.push(0x1100_0421); // add w1, w1, #1
  code.push(0x8802_fd21); // stlxr w2, w1, [x9]
  code.push(0x35ff_ffa2); // cbnz w2, back to ldaxr
  code.push(0xd65f_03c0); // ret
  return new Uint8Array(Uint32Array.from(code).buffer);
}

/** `movz`, then `movk` for each further 16 bits. */
function arm64Move(register: number, value: bigint): number[] {
  return [0, 1, 2, 3].map((part) => {
    const bits = Number((value >> BigInt(16 * part)) & 0xffffn);
    const opcode = part === 0 ? 0xd280_0000 : 0xf280_0000;
    return (opcode | (part << 21) | (bits << 5) | register) >>> 0;
  });
}

function word64(value: bigint): Uint8Array {
  return new Uint8Array(BigUint64Array.of(BigInt.asUintN(64, value)).buffer);
}
