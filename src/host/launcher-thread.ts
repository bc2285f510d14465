/**
 * The thread that starts one cell: it gives up rights that the host keeps, then starts the process, which
 * has no more than the thread had; and tells the host of its end.
 *
 * Invariants:
 * 1. Nothing here runs after the rights are gone but starting, killing and waiting for that process.
 * 2. The thread ends after its process.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { parentPort } from 'node:worker_threads';
import type { Confinement } from '../confine/confinement.ts';
import { type KernelCalls, kernelCalls } from '../confine/kernel-calls.ts';
import { type PathRule, restrictThread } from '../confine/landlock.ts';
import { launcherFilter } from '../confine/seccomp-filter.ts';
import { assert } from '../fault/assert.ts';
import type { UserIds } from '../native/user-rights.ts';

/** The first message; `kill` may follow. */
export interface LaunchOrder {
  readonly node: string;
  readonly words: readonly string[];
  readonly identity: UserIds | null;
  readonly stdio: readonly (number | 'ignore')[];
  readonly paths: readonly PathRule[];
}

export type LauncherMessage = LaunchOrder | 'kill';

export type LauncherReport =
  | { readonly kind: 'begun'; readonly pid: number; readonly held: readonly Confinement[] }
  | { readonly kind: 'failed'; readonly reason: string }
  | {
      readonly kind: 'ended';
      readonly status: number | null;
      readonly signal: NodeJS.Signals | null;
    };

/**
 * What root keeps: within the granted directories it may go on using files of other users, as it may
 * without a sandbox. CAP_DAC_OVERRIDE and CAP_FOWNER.
 */
const KEPT_BY_ROOT: readonly number[] = [1, 3];

const port = parentPort;
assert(port !== null, 'the launcher is a thread');

function report(message: LauncherReport): void {
  port!.postMessage(message);
}

function giveUpRights(kernel: KernelCalls, order: LaunchOrder): Confinement[] {
  // Dropping capabilities takes one; so they go first. Becoming another user takes some, and drops all.
  const isRoot = process.geteuid?.() === 0;
  const dropped = order.identity !== null || kernel.keepCapabilities(isRoot ? KEPT_BY_ROOT : []);
  const fixed = kernel.forbidNewPrivileges();
  const held: Confinement[] = dropped && fixed ? ['privileges'] : [];
  if (!fixed) return held;
  // Where this fails the kernel knows no filters, and the cell will say that it has none.
  kernel.filterCalls(launcherFilter(kernel.architecture), 'thread');
  const { files, network, signals } = restrictThread(kernel, order.paths);
  if (files) held.push('files');
  if (network) held.push('network');
  if (signals) held.push('signals');
  return held;
}

function start(order: LaunchOrder): ChildProcess {
  const kernel = kernelCalls();
  const held = kernel === null ? [] : giveUpRights(kernel, order);
  const child = spawn(order.node, order.words, {
    env: {},
    stdio: [...order.stdio],
    // With a user id given, the groups of this process are not handed on either.
    ...(order.identity ?? {}),
  });
  child.once('spawn', () => report({ kind: 'begun', pid: child.pid as number, held }));
  child.once('error', (error) => {
    report({ kind: 'failed', reason: error.message });
    port!.close();
  });
  child.once('exit', (status, signal) => {
    report({ kind: 'ended', status, signal });
    port!.close();
  });
  return child;
}

let child: ChildProcess | null = null;
port.on('message', (message: LauncherMessage) => {
  if (message === 'kill') child?.kill('SIGKILL');
  else child = start(message);
});
