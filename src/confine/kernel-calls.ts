/**
 * What confining takes of the kernel, through `node:ffi`.
 *
 *   syscall      landlock_create_ruleset, landlock_add_rule, landlock_restrict_self, seccomp, capset: the C
 *                library has no functions for them; memfd_create, which older ones lack
 *   prctl        no new privileges, not dumpable
 *   prlimit      limits of this process
 *   close_range  marks descriptors to be closed when a program starts
 *   socketpair   streams between host and cell
 *   mmap, mprotect, munmap, sigaction, tgkill
 *                what every thread is to do, and interrupting them for it
 *
 * Numbers that differ between architectures come from `system-calls.ts` or stand here as [x64, arm64].
 * Null where there is no FFI (`native/library.ts`).
 */
import { readdirSync, writeFileSync } from 'node:fs';
import { constants } from 'node:os';
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';
import type { SeccompFilter } from './seccomp-filter.ts';
import type { Architecture } from './system-calls.ts';
import type { ThreadCall } from './thread-code.ts';

/** What a signal did before: the C library's own bytes. */
export type SignalAction = Uint8Array<ArrayBuffer>;

export interface KernelCalls {
  readonly architecture: Architecture;
  /** The version of Landlock's interface; 0 where there is none. */
  landlockVersion(): number;
  /** A new ruleset's descriptor; -1: refused. */
  createRuleset(attributes: Uint8Array<ArrayBuffer>): number;
  /** `hostFd` and what lies below it may be used as `rights` say. False: refused. */
  addPathRule(rulesetFd: number, hostFd: number, rights: bigint): boolean;
  /** Of this thread and what it starts: no program gives it rights that it doesn't have. */
  forbidNewPrivileges(): boolean;
  /** Nobody of the same user may look into this process, and it leaves no core. */
  forbidDumps(): boolean;
  /** Puts the filter on all threads of this process, or on this thread and what it starts. */
  filterCalls(filter: SeccompFilter, on: 'process' | 'thread'): boolean;
  /** Whether the kernel knows filters. */
  hasFilters(): boolean;
  /** Lowers both limits of this process; never raises one. */
  limit(resource: number, value: bigint): boolean;
  /** Every descriptor from `first` on is closed when this process starts a program. */
  closeOnStart(first: number): boolean;
  /** Two ends of a stream; null: refused. */
  streamPair(): readonly [number, number] | null;
  /** A file without a name that holds `bytes`, which every user may read who has it; null: refused. */
  memoryFile(bytes: Uint8Array): number | null;
  /** The descriptor `to` becomes another one of `from`. */
  duplicate(from: number, to: number): boolean;
  /** Where the buffer lies. Keeps nothing alive. */
  addressOf(buffer: ArrayBuffer): bigint;
  /** What it gave; negative: refused. */
  makeCall(call: ThreadCall): number;
  /** Numbers of all threads of this process, and of this one. Empty where /proc can't be read. */
  threads(): readonly number[];
  threadId(): number;
  /** Interrupts a thread of this process. */
  signalThread(thread: number, signal: number): boolean;
  /** From now on the signal calls the function at that address. What it did before, or null: refused. */
  handleSignal(signal: number, address: bigint): SignalAction | null;
  restoreSignal(signal: number, before: SignalAction): void;
  /** Puts code where it can be run; null: refused. */
  mapCode(code: Uint8Array): { readonly address: bigint; unmap(): void } | null;
}

const SYS_SECCOMP = { x64: 317n, arm64: 277n } as const;
const SYS_LANDLOCK_CREATE_RULESET = 444n;
const SYS_LANDLOCK_ADD_RULE = 445n;
const SYS_DUP3 = { x64: 292n, arm64: 24n } as const;
const SYS_MEMFD_CREATE = { x64: 319n, arm64: 279n } as const;
const SYS_GETTID = { x64: 186n, arm64: 178n } as const;
const SYS_TGKILL = { x64: 234n, arm64: 131n } as const;

const LANDLOCK_CREATE_RULESET_VERSION = 1n;
const LANDLOCK_RULE_PATH_BENEATH = 1n;

const PR_SET_DUMPABLE = 4;
const PR_SET_NO_NEW_PRIVS = 38;

const SECCOMP_SET_MODE_FILTER = 1n;
const SECCOMP_GET_ACTION_AVAIL = 2n;
const SECCOMP_FILTER_FLAG_TSYNC = 1n;
const SECCOMP_RET_ERRNO = 0x0005_0000;

const CLOSE_RANGE_CLOEXEC = 4;
const FD_MAX = 0xffff_ffff;

const MYSELF = 0;

const MFD_CLOEXEC = 1n;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x8_0000;

const PROT_READ = 1;
const PROT_WRITE = 2;
const PROT_EXEC = 4;
const MAP_PRIVATE = 2;
const MAP_ANONYMOUS = 0x20;
/** `struct sigaction`: handler u64 0, mask 128 bytes, flags i32 136, restorer u64 144. */
const ACTION_BYTES = 152;
const ACTION_FLAGS_AT = 136;
const SA_RESTART = 0x1000_0000;

const SIGNATURES = {
  syscall: { arguments: ['int64', 'int64', 'int64', 'int64', 'int64'], return: 'int64' },
  prctl: { arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'], return: 'int32' },
  prlimit: { arguments: ['int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
  close_range: { arguments: ['uint32', 'uint32', 'int32'], return: 'int32' },
  socketpair: { arguments: ['int32', 'int32', 'int32', 'buffer'], return: 'int32' },
  sigaction: { arguments: ['int32', 'buffer', 'buffer'], return: 'int32' },
  mmap: { arguments: ['uint64', 'uint64', 'int32', 'int32', 'int32', 'int64'], return: 'int64' },
  mprotect: { arguments: ['uint64', 'uint64', 'int32'], return: 'int32' },
  munmap: { arguments: ['uint64', 'uint64'], return: 'int32' },
} as const;

let loaded: KernelCalls | null | undefined;

/** The calls, or null where there are none. */
export function kernelCalls(): KernelCalls | null {
  if (loaded === undefined) {
    // Signatures that Node understood differently show here: there is no such option.
    const library = openNativeLibrary(
      SIGNATURES,
      ({ functions, hostErrno }) =>
        functions.prctl(-1, 0n, 0n, 0n, 0n) === -1 && hostErrno() === constants.errno.EINVAL,
    );
    loaded = library === null ? null : withLibrary(library);
  }
  return loaded;
}

function withLibrary(library: NativeLibrary<typeof SIGNATURES>): KernelCalls {
  const { functions, addressOf } = library;
  const architecture = process.arch as Architecture;
  const call = (number: bigint, a: bigint, b: bigint, c = 0n, d = 0n): number =>
    Number(functions.syscall(number, a, b, c, d));
  const prctl = (option: number, value: bigint): number =>
    Number(functions.prctl(option, value, 0n, 0n, 0n));

  /** `struct landlock_path_beneath_attr`, packed: rights u64 0, descriptor i32 8. */
  const rule = new DataView(new ArrayBuffer(12));

  return {
    architecture,
    landlockVersion: () =>
      Math.max(0, call(SYS_LANDLOCK_CREATE_RULESET, 0n, 0n, LANDLOCK_CREATE_RULESET_VERSION)),
    createRuleset: (attributes) =>
      call(
        SYS_LANDLOCK_CREATE_RULESET,
        addressOf(attributes.buffer) + BigInt(attributes.byteOffset),
        BigInt(attributes.length),
      ),
    addPathRule: (rulesetFd, hostFd, rights) => {
      rule.setBigUint64(0, rights, true);
      rule.setInt32(8, hostFd, true);
      const at = addressOf(rule.buffer);
      return call(SYS_LANDLOCK_ADD_RULE, BigInt(rulesetFd), LANDLOCK_RULE_PATH_BENEATH, at) === 0;
    },
    forbidNewPrivileges: () => prctl(PR_SET_NO_NEW_PRIVS, 1n) === 0,
    forbidDumps: () => prctl(PR_SET_DUMPABLE, 0n) === 0,
    hasFilters: () => {
      const action = new Uint32Array([SECCOMP_RET_ERRNO]);
      return (
        call(SYS_SECCOMP[architecture], SECCOMP_GET_ACTION_AVAIL, 0n, addressOf(action.buffer)) ===
        0
      );
    },
    filterCalls: ({ bytes, instructions }, on) => {
      const flags = on === 'process' ? SECCOMP_FILTER_FLAG_TSYNC : 0n;
      // `struct sock_fprog`: length u16 0, address of the filter u64 8.
      const program = new DataView(new ArrayBuffer(16));
      program.setUint16(0, instructions, true);
      program.setBigUint64(8, addressOf(bytes.buffer), true);
      const at = addressOf(program.buffer);
      return call(SYS_SECCOMP[architecture], SECCOMP_SET_MODE_FILTER, flags, at) === 0;
    },
    limit: (resource, value) => {
      // `struct rlimit`: soft u64 0, hard u64 8.
      const before = new BigUint64Array(2);
      const bytes = new Uint8Array(before.buffer);
      if (functions.prlimit(MYSELF, resource, null, bytes) !== 0) return false;
      const [soft, hard] = before as unknown as [bigint, bigint];
      const least = (a: bigint, b: bigint): bigint => (a < b ? a : b);
      const after = new BigUint64Array([least(soft, value), least(hard, value)]);
      return functions.prlimit(MYSELF, resource, new Uint8Array(after.buffer), null) === 0;
    },
    closeOnStart: (first) => functions.close_range(first, FD_MAX, CLOSE_RANGE_CLOEXEC) === 0,
    streamPair: () => {
      const ends = new Int32Array(2);
      const made = functions.socketpair(
        AF_UNIX,
        SOCK_STREAM | SOCK_CLOEXEC,
        0,
        new Uint8Array(ends.buffer),
      );
      return made === 0 ? [ends[0]!, ends[1]!] : null;
    },
    memoryFile: (bytes) => {
      const name = new Uint8Array(1);
      const fd = call(SYS_MEMFD_CREATE[architecture], addressOf(name.buffer), MFD_CLOEXEC);
      if (fd < 0) return null;
      writeFileSync(fd, bytes);
      return fd;
    },
    duplicate: (from, to) =>
      call(SYS_DUP3[architecture], BigInt(from), BigInt(to), BigInt(SOCK_CLOEXEC)) === to,
    addressOf,
    makeCall: ({ number, arguments: [a = 0n, b = 0n, c = 0n] }) => call(BigInt(number), a, b, c),
    threads: () => {
      try {
        return readdirSync('/proc/self/task').map(Number);
      } catch {
        return [];
      }
    },
    threadId: () => call(SYS_GETTID[architecture], 0n, 0n),
    signalThread: (thread, signal) =>
      call(SYS_TGKILL[architecture], BigInt(process.pid), BigInt(thread), BigInt(signal)) === 0,
    handleSignal: (signal, address) => {
      const action = new DataView(new ArrayBuffer(ACTION_BYTES));
      action.setBigUint64(0, address, true);
      action.setInt32(ACTION_FLAGS_AT, SA_RESTART, true);
      const before = new Uint8Array(ACTION_BYTES);
      const done = functions.sigaction(signal, new Uint8Array(action.buffer), before) === 0;
      return done ? before : null;
    },
    restoreSignal: (signal, before) => {
      functions.sigaction(signal, before, null);
    },
    mapCode: (code) => {
      const lengthBytes = BigInt(code.length);
      const flags = MAP_PRIVATE | MAP_ANONYMOUS;
      const address = BigInt(
        functions.mmap(0n, lengthBytes, PROT_READ | PROT_WRITE, flags, -1, 0n),
      );
      if (address === -1n) return null;
      const unmap = (): void => {
        functions.munmap(address, lengthBytes);
      };
      new Uint8Array(library.view(address, code.length)).set(code);
      if (functions.mprotect(address, lengthBytes, PROT_READ | PROT_EXEC) === 0) {
        return { address, unmap };
      }
      unmap();
      return null;
    },
  };
}
