/**
 * Machine code for threads against what an assembler makes of the same lines (`llvm-mc`, LLVM 14), and, where this
 * runs on one of the architectures, what it does there: see `every-thread.test.ts`.
 */
import { expect, test } from 'vitest';
import { threadCode } from '../../src/confine/thread-code.ts';

const CALLS = [{ number: 446, arguments: [0x11n, 0x1122_3344_5566_7788n] }];
const COUNTERS = 0x1234_5678_9abc_def0n;

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('hex');
}

test('x86-64', () => {
  expect(hex(threadCode('x64', CALLS, COUNTERS))).toBe(
    [
      '4d31c0', // xorq %r8, %r8
      '48b8be01000000000000', // movabsq $446, %rax
      '48bf1100000000000000', // movabsq $0x11, %rdi
      '48be8877665544332211', // movabsq $0x1122334455667788, %rsi
      '0f05', // syscall
      '4909c0', // orq %rax, %r8
      '48b9f0debc9a78563412', // movabsq $0x123456789abcdef0, %rcx
      '4d85c0', // testq %r8, %r8
      '7404', // je 1f
      '4883c104', // addq $4, %rcx
      'f0ff01', // 1: lock incl (%rcx)
      'c3', // retq
    ].join(''),
  );
});

test('arm64', () => {
  expect(hex(threadCode('arm64', CALLS, COUNTERS))).toBe(
    [
      '0a0080d2', // movz x10, #0
      'c83780d2', // movz x8, #446
      '0800a0f2', // movk x8, #0, lsl #16
      '0800c0f2', // movk x8, #0, lsl #32
      '0800e0f2', // movk x8, #0, lsl #48
      '200280d2', // movz x0, #0x11
      '0000a0f2', // movk x0, #0, lsl #16
      '0000c0f2', // movk x0, #0, lsl #32
      '0000e0f2', // movk x0, #0, lsl #48
      '01f18ed2', // movz x1, #0x7788
      'c1acaaf2', // movk x1, #0x5566, lsl #16
      '8168c6f2', // movk x1, #0x3344, lsl #32
      '4124e2f2', // movk x1, #0x1122, lsl #48
      '010000d4', // svc #0
      '4a0100aa', // orr x10, x10, x0
      '09de9bd2', // movz x9, #0xdef0
      '8957b3f2', // movk x9, #0x9abc, lsl #16
      '09cfcaf2', // movk x9, #0x5678, lsl #32
      '8946e2f2', // movk x9, #0x1234, lsl #48
      '4a0000b4', // cbz x10, 1f
      '29110091', // add x9, x9, #4
      '21fd5f88', // 1: ldaxr w1, [x9]
      '21040011', // add w1, w1, #1
      '21fd0288', // stlxr w2, w1, [x9]
      'a2ffff35', // cbnz w2, 1b
      'c0035fd6', // ret
    ].join(''),
  );
});
