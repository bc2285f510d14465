/**
 * Starts the process of a cell, held by the kernel from its first instruction on.
 *
 * A thread can be restricted only by itself, and for ever, and what it starts is restricted with it. So
 * each cell is started by a thread of its own (`launcher-thread.ts`), while this one stays free. Where the
 * system has no such means, or they are not wanted, the process is started from here.
 *
 * Invariants:
 * 1. What a cell is held by is on before it runs, and is what `held` says.
 * 2. The cell inherits no descriptor but those of `stdio`.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import { Worker } from 'node:worker_threads';
import type { ConfineMode, Confinement } from '../confine/confinement.ts';
import { type KernelCalls, kernelCalls } from '../confine/kernel-calls.ts';
import type { PathRule } from '../confine/landlock.ts';
import { HostError } from '../fault/host-error.ts';
import { reasonOf } from '../fault/reason.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { LauncherMessage, LauncherReport } from './launcher-thread.ts';

export interface Launch {
  readonly node: string;
  readonly words: readonly string[];
  /** From descriptor 0 on; that of the control stream is `'control'`. */
  readonly stdio: readonly (number | 'ignore' | 'control')[];
  /** The user that the process is to be; null: this one. */
  readonly identity: UserIds | null;
  readonly confine: ConfineMode;
  /** What the cell may use of the file system. */
  readonly paths: readonly PathRule[];
}

export interface Exit {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

export interface LaunchedProcess {
  readonly pid: number;
  readonly control: Socket;
  readonly held: readonly Confinement[];
  readonly exited: Promise<Exit>;
  kill(): void;
}

const FIRST_INHERITED = 3;

/** A thread that was begun ahead of its order. */
let spare: Worker | null = null;

/** Begins the thread that will start the next cell: it takes longer than what it does then. */
export function prepareLaunch(): void {
  if (spare !== null || kernelCalls() === null) return;
  spare = beginLauncher();
  // Perhaps nothing is started after all.
  spare.unref();
}

/** Throws ERR_CELL_LOST when no process can be started, ERR_CANNOT_CONFINE. */
export async function launch(order: Launch): Promise<LaunchedProcess> {
  const kernel = order.confine === 'off' ? null : kernelCalls();
  const pair = kernel?.streamPair() ?? null;
  if (kernel === null || pair === null) return launchFreely(order);
  return launchConfined(kernel, order, pair);
}

async function launchFreely({ node, words, stdio, identity }: Launch): Promise<LaunchedProcess> {
  const child = spawn(node, words, {
    env: {},
    stdio: stdio.map((entry) => (entry === 'control' ? 'pipe' : entry)),
    // With a user id given, the groups of this process are not handed on either.
    ...(identity ?? {}),
  } satisfies SpawnOptions);
  await spawned(child);
  return {
    pid: child.pid as number,
    control: child.stdio[stdio.indexOf('control')] as Socket,
    held: [],
    exited: new Promise((resolve) => {
      child.on('exit', (status, signal) => resolve({ status, signal }));
    }),
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => reject(noProcess(cause.message)));
  });
}

function noProcess(reason: string): HostError {
  return new HostError('ERR_CELL_LOST', 'No process could be started for the guest.', {
    facts: { reason },
  });
}

async function launchConfined(
  kernel: KernelCalls,
  { node, words, stdio, identity, paths }: Launch,
  [ours, theirs]: readonly [number, number],
): Promise<LaunchedProcess> {
  const control = new Socket({ fd: ours, readable: true, writable: true });
  // Node closes its own descriptors when a program starts; others that this process was given it doesn't.
  const alone = kernel.closeOnStart(FIRST_INHERITED);
  const launcher = takeLauncher();
  launcher.postMessage({
    node,
    words,
    identity,
    paths,
    stdio: stdio.map((entry) => (entry === 'control' ? theirs : entry)),
  } satisfies LauncherMessage);
  const exited = Promise.withResolvers<Exit>();
  const begun = Promise.withResolvers<Extract<LauncherReport, { readonly kind: 'begun' }>>();
  launcher.on('message', (report: LauncherReport) => {
    if (report.kind === 'begun') begun.resolve(report);
    else if (report.kind === 'failed') begun.reject(noProcess(report.reason));
    else exited.resolve({ status: report.status, signal: report.signal });
  });
  // The thread ends when its process did; a thread that breaks leaves a cell without a control stream.
  launcher.on('error', (error) => begun.reject(noProcess(reasonOf(error))));
  launcher.on('exit', () => exited.resolve({ status: null, signal: null }));
  try {
    const { pid, held } = await begun.promise;
    return {
      pid,
      control,
      held: alone ? ['descriptors', ...held] : held,
      exited: exited.promise,
      kill: () => launcher.postMessage('kill' satisfies LauncherMessage),
    };
  } catch (error) {
    control.destroy();
    throw error;
  } finally {
    closeSync(theirs);
  }
}

function takeLauncher(): Worker {
  const launcher = spare ?? beginLauncher();
  spare = null;
  launcher.ref();
  return launcher;
}

function beginLauncher(): Worker {
  const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js';
  return new Worker(new URL(`../host/launcher-thread.${extension}`, import.meta.url), {
    env: {},
    // Descriptors are numbers to it.
    trackUnmanagedFds: false,
  });
}
