/**
 * Landlock: the files that a thread, and every process that it starts, may use from now on, whatever user
 * it is; and no TCP, no signal to processes outside.
 *
 * Invariants:
 * 1. Every right that the kernel knows is taken, and given back only for the paths of the request.
 * 2. A path is opened before its rule is made, so the rule holds for that file whatever the name becomes.
 * 3. A path that is not there gets no rule: nothing below it can be used when it appears.
 *
 * Rights by version of the interface: 13 from version 1, REFER 2, TRUNCATE 3, TCP 4, ioctl on devices 5,
 * scopes 6. What a kernel lacks is left open, and `restrictThread` says so.
 *
 * Source: the kernel's `Documentation/userspace-api/landlock.rst` and `include/uapi/linux/landlock.h`.
 */
import { closeSync, fstatSync, openSync } from 'node:fs';
import type { Confinement } from './confinement.ts';
import type { KernelCalls } from './kernel-calls.ts';
import type { ThreadCall } from './thread-code.ts';

/**
 * What may be done at a path and below it. `start`: run as a program, and read; `beside`: read, write, make
 * and remove files, no directories; `write`: all but to run programs.
 */
export type PathUse = 'start' | 'read' | 'beside' | 'write';

export interface PathRule {
  readonly hostPath: string;
  readonly use: PathUse;
}

const EXECUTE = 1n << 0n;
const WRITE_FILE = 1n << 1n;
const READ_FILE = 1n << 2n;
const READ_DIR = 1n << 3n;
const REMOVE_DIR = 1n << 4n;
const REMOVE_FILE = 1n << 5n;
const MAKE_CHAR = 1n << 6n;
const MAKE_DIR = 1n << 7n;
const MAKE_REG = 1n << 8n;
const MAKE_SOCK = 1n << 9n;
const MAKE_FIFO = 1n << 10n;
const MAKE_BLOCK = 1n << 11n;
const MAKE_SYM = 1n << 12n;
const REFER = 1n << 13n;
const TRUNCATE = 1n << 14n;

/** How many rights of files the versions know, from version 0 on; the last holds for later ones. */
const FILE_RIGHTS = [0n, 13n, 14n, 15n, 15n, 16n] as const;
const NETWORK_SINCE = 4;
const SCOPES_SINCE = 6;
const BIND_AND_CONNECT_TCP = 3n;
const ABSTRACT_SOCKETS_AND_SIGNALS = 3n;

const USES: Readonly<Record<PathUse, bigint>> = {
  start: EXECUTE | READ_FILE,
  read: READ_FILE | READ_DIR,
  beside: READ_FILE | READ_DIR | WRITE_FILE | TRUNCATE | REMOVE_FILE | MAKE_REG,
  write:
    READ_FILE |
    READ_DIR |
    WRITE_FILE |
    TRUNCATE |
    REMOVE_DIR |
    REMOVE_FILE |
    MAKE_DIR |
    MAKE_REG |
    MAKE_SYM |
    REFER |
    // To rename or link what is there already takes the right to make it. No call that makes one is allowed.
    MAKE_CHAR |
    MAKE_SOCK |
    MAKE_FIFO |
    MAKE_BLOCK,
};
/** A rule for what is no directory may hold no others. */
const OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE;

const O_PATH = 0x20_0000;
const SYS_LANDLOCK_RESTRICT_SELF = 446;

/** What a process is to be held to. */
export interface Ruleset {
  /** Open until it is applied or no longer wanted. */
  readonly hostFd: number;
  readonly holds: readonly Confinement[];
}

/** Null where the kernel has none, or refuses. A path that does not exist grants nothing. */
export function makeRuleset(kernel: KernelCalls, rules: readonly PathRule[]): Ruleset | null {
  const version = kernel.landlockVersion();
  if (version === 0) return null;
  const handled = (1n << FILE_RIGHTS[Math.min(version, FILE_RIGHTS.length - 1)]!) - 1n;
  const holds: Confinement[] = ['files'];
  if (version >= NETWORK_SINCE) holds.push('network');
  if (version >= SCOPES_SINCE) holds.push('signals');
  // `struct landlock_ruleset_attr`: files u64 0, network u64 8, scopes u64 16; an older kernel takes a
  // longer one as long as what it doesn't know is zero.
  const attributes = new BigUint64Array([
    handled,
    holds.includes('network') ? BIND_AND_CONNECT_TCP : 0n,
    holds.includes('signals') ? ABSTRACT_SOCKETS_AND_SIGNALS : 0n,
  ]);
  const hostFd = kernel.createRuleset(new Uint8Array(attributes.buffer));
  if (hostFd < 0) return null;
  if (rules.every((rule) => addRule(kernel, hostFd, rule, handled))) return { hostFd, holds };
  closeSync(hostFd);
  return null;
}

/** For a thread that has forbidden itself new privileges: holds it, and what it starts, for good. */
export function restrictionBy(rulesetFd: number): ThreadCall {
  return { number: SYS_LANDLOCK_RESTRICT_SELF, arguments: [BigInt(rulesetFd), 0n] };
}

function addRule(
  kernel: KernelCalls,
  ruleset: number,
  { hostPath, use }: PathRule,
  handled: bigint,
): boolean {
  let fd: number;
  try {
    fd = openSync(hostPath, O_PATH);
  } catch {
    return true;
  }
  try {
    const rights = USES[use] & handled & (fstatSync(fd).isDirectory() ? handled : OF_FILES);
    return kernel.addPathRule(ruleset, fd, rights);
  } finally {
    closeSync(fd);
  }
}
