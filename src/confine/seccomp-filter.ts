/**
 * The program by which the kernel judges each system call of a cell: classic BPF over `struct seccomp_data`.
 *
 *   seccomp_data    nr i32 0, arch u32 4, instruction pointer u64 8, six arguments u64 16, 24 …
 *   sock_filter     code u16 0, jt u8 2, jf u8 3, k u32 4; 8 bytes, little-endian
 *
 * Invariants:
 * 1. A call of another architecture or of the x32 table ends the process: its numbers mean other calls.
 * 2. What no rule names is answered with EPERM, and so is a named call with arguments that no rule allows.
 * 3. Calls that are allowed in any case come first, so that the kernel remembers them as such and does not
 *    run the program for them.
 *
 * Source: seccomp(2), and `include/uapi/linux/{seccomp,filter,audit}.h`.
 */
import { constants } from 'node:os';
import { PAGEMAP_SCAN, UFFDIO_REGISTER } from '../native/write-tracking.ts';
import { type Architecture, allowedCalls, JUDGED, numberOf } from './system-calls.ts';

const INSTRUCTION_BYTES = 8;

const LOAD = 0x20;
const JUMP_EQUAL = 0x15;
const JUMP_AT_LEAST = 0x35;
const JUMP_ANY_BIT = 0x45;
const RETURN = 0x06;

const KILL_PROCESS = 0x8000_0000;
const ALLOW = 0x7fff_0000;
const ANSWER = 0x0005_0000;

const CALL_AT = 0;
const ARCHITECTURE_AT = 4;
/** The lower half of an argument. */
const argumentAt = (index: number): number => 16 + index * 8;

const AUDIT_ARCHITECTURE: Readonly<Record<Architecture, number>> = {
  x64: 0xc000_003e,
  arm64: 0xc000_00b7,
};
const X32_BIT = 0x4000_0000;

const CLONE_THREAD = 0x0001_0000;

/** What is asked of descriptors that are open already; no request that types into a terminal (TIOCSTI). */
const IOCTL_REQUESTS: readonly number[] = [
  0x5401, // TCGETS: is it a terminal?
  0x5413, // TIOCGWINSZ
  0x541b, // FIONREAD
  0x5421, // FIONBIO
  0x5450, // FIONCLEX
  0x5451, // FIOCLEX
  Number(UFFDIO_REGISTER), // of its own memory, through what it opened before
  Number(PAGEMAP_SCAN),
];

const PRCTL_OPTIONS: readonly number[] = [
  3, // PR_GET_DUMPABLE
  15, // PR_SET_NAME
  16, // PR_GET_NAME
  0x5356_4d41, // PR_SET_VMA: names of mappings
];

interface Instruction {
  readonly code: number;
  readonly whenTrue: number;
  readonly whenFalse: number;
  readonly value: number;
}

const load = (at: number): Instruction => ({ code: LOAD, whenTrue: 0, whenFalse: 0, value: at });
const answer = (value: number): Instruction => ({
  code: RETURN,
  whenTrue: 0,
  whenFalse: 0,
  value,
});
const jump = (code: number, value: number, whenTrue: number, whenFalse: number): Instruction => ({
  code,
  whenTrue,
  whenFalse,
  value,
});

const refuse = (errno: number): Instruction => answer(ANSWER | errno);

/** When the loaded word is one of `values`: `body`. The word is another one afterwards only inside. */
function when(values: readonly number[], body: readonly Instruction[]): Instruction[] {
  const tests = values.map((value, index) =>
    jump(
      JUMP_EQUAL,
      value,
      values.length - index - 1,
      index === values.length - 1 ? body.length : 0,
    ),
  );
  return [...tests, ...body];
}

/** `body` must end in an answer. */
function judge(
  architecture: Architecture,
  name: keyof typeof JUDGED,
  body: readonly Instruction[],
): Instruction[] {
  const number = numberOf(JUDGED[name], architecture);
  return number === null ? [] : when([number], body);
}

/** Who puts the filter on. */
export interface FilteredProcess {
  readonly pid: number;
  /** A socket by which it is given descriptors and a ruleset later; null: none. */
  readonly postFd: number | null;
}

function filterInstructions(
  architecture: Architecture,
  { pid, postFd }: FilteredProcess,
): Instruction[] {
  const { EPERM, ENOSYS } = constants.errno;
  const allow = answer(ALLOW);
  const onlyIf = (at: number, values: readonly number[]): Instruction[] => [
    load(at),
    ...when(values, [allow]),
    refuse(EPERM),
  ];
  const onlyMyself = onlyIf(argumentAt(0), [pid]);
  return [
    load(ARCHITECTURE_AT),
    jump(JUMP_EQUAL, AUDIT_ARCHITECTURE[architecture], 1, 0),
    answer(KILL_PROCESS),
    load(CALL_AT),
    jump(JUMP_AT_LEAST, X32_BIT, 0, 1),
    answer(KILL_PROCESS),
    ...allowedCalls(architecture).flatMap((number) => when([number], [allow])),
    // A thread of this process; never another process.
    ...judge(architecture, 'clone', [
      load(argumentAt(0)),
      jump(JUMP_ANY_BIT, CLONE_THREAD, 0, 1),
      allow,
      refuse(EPERM),
    ]),
    // Its flags lie in memory, out of sight. The C library goes on with clone, Node without io_uring.
    ...judge(architecture, 'clone3', [refuse(ENOSYS)]),
    ...judge(architecture, 'io_uring_setup', [refuse(ENOSYS)]),
    ...judge(architecture, 'ioctl', onlyIf(argumentAt(1), IOCTL_REQUESTS)),
    ...judge(architecture, 'prctl', onlyIf(argumentAt(0), PRCTL_OPTIONS)),
    ...judge(architecture, 'kill', onlyMyself),
    ...judge(architecture, 'tgkill', onlyMyself),
    ...judge(architecture, 'prlimit64', onlyIf(argumentAt(0), [0, pid])),
    ...(postFd === null
      ? []
      : [
          ...judge(architecture, 'recvmsg', onlyIf(argumentAt(0), [postFd])),
          // Whoever makes it has less than before.
          ...judge(architecture, 'landlock_restrict_self', [allow]),
        ]),
    refuse(EPERM),
  ];
}

/** A program as the kernel reads it; it takes 4,096 instructions at most. */
export interface SeccompFilter {
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly instructions: number;
}

/** The filter that a cell puts on itself. */
export function cellFilter(architecture: Architecture, process: FilteredProcess): SeccompFilter {
  return encode(filterInstructions(architecture, process));
}

/**
 * The filter for a thread that is about to start a cell. Through a ring that a process has, the kernel does
 * what no filter sees; Node makes one when it starts, and does without where there are none.
 */
export function starterFilter(architecture: Architecture): SeccompFilter {
  const { ENOSYS } = constants.errno;
  return encode([
    load(CALL_AT),
    ...judge(architecture, 'io_uring_setup', [refuse(ENOSYS)]),
    answer(ALLOW),
  ]);
}

function encode(instructions: readonly Instruction[]): SeccompFilter {
  const bytes = new Uint8Array(instructions.length * INSTRUCTION_BYTES);
  const view = new DataView(bytes.buffer);
  for (const [index, { code, whenTrue, whenFalse, value }] of instructions.entries()) {
    const at = index * INSTRUCTION_BYTES;
    view.setUint16(at, code, true);
    view.setUint8(at + 2, whenTrue);
    view.setUint8(at + 3, whenFalse);
    view.setUint32(at + 4, value, true);
  }
  return { bytes, instructions: instructions.length };
}
