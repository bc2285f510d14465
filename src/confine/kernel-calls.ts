/**
 * What confining takes of the kernel, through `node:ffi`.
 *
 *   syscall      landlock_create_ruleset, landlock_add_rule, landlock_restrict_self, seccomp, capset: the C
 *                library has no functions for them
 *   prctl        no new privileges, not dumpable, bounding set
 *   prlimit      limits of this process
 *   close_range  marks descriptors to be closed when a program starts
 *   socketpair   the stream between host and cell, made before the thread that starts the cell
 *
 * Numbers that differ between architectures come from `system-calls.ts` or stand here as [x64, arm64].
 * Null where there is no FFI (`native/library.ts`).
 */
import { constants } from 'node:os';
import { type NativeLibrary, openNativeLibrary } from '../native/library.ts';
import type { SeccompFilter } from './seccomp-filter.ts';
import type { Architecture } from './system-calls.ts';

export interface KernelCalls {
  readonly architecture: Architecture;
  /** The version of Landlock's interface; 0 where there is none. */
  landlockVersion(): number;
  /** A new ruleset's descriptor; -1: refused. */
  createRuleset(attributes: Uint8Array<ArrayBuffer>): number;
  /** `hostFd` and what lies below it may be used as `rights` say. False: refused. */
  addPathRule(rulesetFd: number, hostFd: number, rights: bigint): boolean;
  /** Holds this thread, and what it starts from now on, to the ruleset. */
  restrictThread(rulesetFd: number): boolean;
  /** Of this thread and what it starts: no program gives it rights that it doesn't have. */
  forbidNewPrivileges(): boolean;
  /** Leaves this thread only these capabilities, numbered as in capability.h; for those it starts too. */
  keepCapabilities(capabilities: readonly number[]): boolean;
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
}

const SYS_SECCOMP = { x64: 317n, arm64: 277n } as const;
const SYS_CAPSET = { x64: 126n, arm64: 91n } as const;
const SYS_LANDLOCK_CREATE_RULESET = 444n;
const SYS_LANDLOCK_ADD_RULE = 445n;
const SYS_LANDLOCK_RESTRICT_SELF = 446n;

const LANDLOCK_CREATE_RULESET_VERSION = 1n;
const LANDLOCK_RULE_PATH_BENEATH = 1n;

const PR_SET_DUMPABLE = 4;
const PR_CAPBSET_DROP = 24;
const PR_SET_NO_NEW_PRIVS = 38;

const SECCOMP_SET_MODE_FILTER = 1n;
const SECCOMP_GET_ACTION_AVAIL = 2n;
const SECCOMP_FILTER_FLAG_TSYNC = 1n;
const SECCOMP_RET_ERRNO = 0x0005_0000;

const CAPABILITY_VERSION_3 = 0x2008_0522;
const CAPABILITIES_MAX = 64;

const CLOSE_RANGE_CLOEXEC = 4;
const FD_MAX = 0xffff_ffff;

const MYSELF = 0;

const AF_UNIX = 1;
const SOCK_STREAM = 1;
const SOCK_CLOEXEC = 0x8_0000;

const SIGNATURES = {
  syscall: { arguments: ['int64', 'int64', 'int64', 'int64', 'int64'], return: 'int64' },
  prctl: { arguments: ['int32', 'uint64', 'uint64', 'uint64', 'uint64'], return: 'int32' },
  prlimit: { arguments: ['int32', 'int32', 'buffer', 'buffer'], return: 'int32' },
  close_range: { arguments: ['uint32', 'uint32', 'int32'], return: 'int32' },
  socketpair: { arguments: ['int32', 'int32', 'int32', 'buffer'], return: 'int32' },
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
    restrictThread: (rulesetFd) => call(SYS_LANDLOCK_RESTRICT_SELF, BigInt(rulesetFd), 0n) === 0,
    forbidNewPrivileges: () => prctl(PR_SET_NO_NEW_PRIVS, 1n) === 0,
    keepCapabilities: (capabilities) => {
      for (let number = 0; number < CAPABILITIES_MAX; number += 1) {
        // Refused to who has no capabilities; without new privileges the set means nothing to them.
        if (!capabilities.includes(number)) prctl(PR_CAPBSET_DROP, BigInt(number));
      }
      // Header: version u32, pid i32; then twice effective, permitted, inheritable, u32 each.
      const header = new Uint32Array([CAPABILITY_VERSION_3, 0]);
      const sets = new Uint32Array(6);
      for (const number of capabilities) {
        const half = number < 32 ? 0 : 3;
        sets[half]! |= 1 << (number % 32);
        sets[half + 1]! |= 1 << (number % 32);
      }
      return call(SYS_CAPSET[architecture], addressOf(header.buffer), addressOf(sets.buffer)) === 0;
    },
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
  };
}
