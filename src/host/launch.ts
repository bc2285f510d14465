/**
 * Starts the process of a cell.
 *
 * A cell gives up its rights itself, before anything of a guest's is sent (`cell/confine-self.ts`). What it could not
 * undo any more is done before it begins: the thread that starts it can make no ring and gain no privileges, and
 * hands that on; and it leaves no descriptor open to it but those of `stdio`.
 */
import { type ChildProcess, type SpawnOptions, spawn } from 'node:child_process';
import { closeSync } from 'node:fs';
import { Socket } from 'node:net';
import type { ConfineMode, Confinement } from '../confine/confinement.ts';
import { type KernelCalls, kernelCalls } from '../confine/kernel-calls.ts';
import { starterFilter } from '../confine/seccomp-filter.ts';
import { HostError } from '../fault/host-error.ts';
import type { UserIds } from '../native/user-rights.ts';

export interface Launch {
  readonly node: string;
  readonly words: readonly string[];
  /** From descriptor 0 on; that of the control stream is `'control'`. */
  readonly stdio: readonly (number | 'ignore' | 'control')[];
  /** The user that the process is to be; null: this one. */
  readonly identity: UserIds | null;
  readonly confine: ConfineMode;
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
  /** Whether this process stays as long as that one does; it does unless told otherwise. */
  keepAlive(whether: boolean): void;
}

const FIRST_INHERITED = 3;

/** Throws ERR_CELL_LOST when no process can be started. */
export async function launch(order: Launch): Promise<LaunchedProcess> {
  const { node, words, stdio, identity, confine } = order;
  const kernel = confine === 'off' ? null : kernelCalls();
  const pair = kernel?.streamPair() ?? null;
  // Node closes its own descriptors when a program starts; others that this process was given it doesn't.
  const alone = kernel?.closeOnStart(FIRST_INHERITED) === true;
  if (kernel !== null) holdStarter(kernel);
  try {
    const child = spawn(node, words, {
      env: {},
      stdio: stdio.map((entry) => (entry === 'control' ? (pair?.[1] ?? 'pipe') : entry)),
      // With a user id given, the groups of this process are not handed on either.
      ...(identity ?? {}),
    } satisfies SpawnOptions);
    const exited = new Promise<Exit>((resolve) => {
      child.on('exit', (status, signal) => resolve({ status, signal }));
    });
    await spawned(child);
    const control =
      pair === null
        ? (child.stdio[stdio.indexOf('control')] as Socket)
        : new Socket({ fd: pair[0], readable: true, writable: true });
    return {
      pid: child.pid as number,
      control,
      held: alone ? ['descriptors'] : [],
      exited,
      kill: () => {
        child.kill('SIGKILL');
      },
      keepAlive: (whether) => {
        for (const one of [child, control]) whether ? one.ref() : one.unref();
      },
    };
  } catch (error) {
    if (pair !== null) closeSync(pair[0]);
    throw error;
  } finally {
    if (pair !== null) closeSync(pair[1]);
  }
}

let starterIsHeld = false;

/**
 * Once, and for good, of this thread and every program that it starts. Through a ring that a process has, the
 * kernel does what no filter sees, and Node makes one before a program's first line. Where this fails the kernel
 * knows no filters, and the cell will say that it has none.
 */
function holdStarter(kernel: KernelCalls): void {
  if (starterIsHeld) return;
  starterIsHeld = true;
  if (kernel.forbidNewPrivileges()) {
    kernel.filterCalls(starterFilter(kernel.architecture), 'thread');
  }
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => {
      reject(
        new HostError('ERR_CELL_LOST', 'No process could be started for the guest.', {
          facts: { reason: cause.message },
        }),
      );
    });
  });
}
