/**
 * One cell as the host sees it: a process and a stream of messages.
 *
 * Invariants:
 * 1. Nothing from the cell is passed on before its shape was checked; a wrong message ends the cell.
 * 2. `ended` settles exactly once, after the process is gone and its last message was delivered.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import type { CborValue } from '../cbor/cbor.ts';
import { type FrameLimits, FrameReader, frameMessage } from '../cell/framing.ts';
import { readCellMessage } from '../cell/message-shapes.ts';
import type { CellMessage, HostMessage, Preopen } from '../cell/protocol.ts';
import { HostError } from '../fault/host-error.ts';
import type { UserIds } from '../native/user-rights.ts';
import type { PoolGrant } from '../pool/pool-grant.ts';
import { type CellPath, type CellProgram, cellArguments } from './cell-command.ts';
import type { GuestStdio } from './guest-streams.ts';

/** Room for heads with very deep stacks and very large tables. */
const CBOR_BYTES_MAX = 2 ** 29;
/** An instrumented module and its plan, or an image's pages, come as at most this many attachments. */
const ATTACHMENTS_MAX = 4;
const INSTRUMENTED_BYTES_MAX = 2 ** 30;
const PAGE_BYTES = 65_536;

export interface CellOptions {
  readonly program: CellProgram;
  readonly preopens: readonly Preopen[];
  /** The job's own directory for what it keeps of files; null for none. */
  readonly keepingDirectory: string | null;
  readonly pools: readonly PoolGrant[];
  /** What providers need besides. */
  readonly paths: readonly CellPath[];
  readonly memoryPages: number;
  /** Descriptor of the run's log in this process; becomes LOG_FD in the cell. */
  readonly logFd: number | null;
  /** Descriptors of this process that become 0, 1 and 2; null: they are the null device. */
  readonly stdio: GuestStdio | null;
  /** As whom the cell runs, without further groups; null: as this process does. */
  readonly identity: UserIds | null;
  /** Descriptors of this process that the cell has from LOG_FD + 1 on; null: the null device. */
  readonly furtherFds: readonly (number | null)[];
  readonly onMessage: (
    message: CellMessage,
    attachments: readonly Uint8Array<ArrayBuffer>[],
  ) => void;
}

/** Descriptor of the log in the cell. */
export const LOG_FD = 4;

export interface CellEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  /** What was wrong with the cell's messages, when that is why it was ended. */
  readonly fault: HostError | null;
}

export interface CellProcess {
  readonly pid: number;
  readonly ended: Promise<CellEnd>;
  send(message: HostMessage, attachments?: readonly Uint8Array[]): void;
  /** SIGKILL; nothing that the guest does can delay it. */
  kill(): void;
}

/** Starts a cell. Throws ERR_CELL_LOST when no process can be started. */
export async function startCell(options: CellOptions): Promise<CellProcess> {
  const { program, preopens, keepingDirectory, pools, paths } = options;
  const { logFd, stdio, identity, furtherFds } = options;
  const words = cellArguments(program, preopens, keepingDirectory, pools, paths);
  const child = spawn(program.node, words, {
    env: {},
    stdio: [
      ...(stdio ?? [null, null, null]).map((fd) => fd ?? ('ignore' as const)),
      'pipe',
      ...[logFd, ...furtherFds].map((fd) => fd ?? ('ignore' as const)),
    ],
    // With a user id given, the groups of this process are not handed on either.
    ...(identity ?? {}),
  });
  await spawned(child);
  const control = child.stdio[3] as Socket;
  const limits: FrameLimits = {
    cborBytesMax: CBOR_BYTES_MAX,
    attachmentsMax: ATTACHMENTS_MAX,
    attachmentBytesMax: Math.max(options.memoryPages * PAGE_BYTES, INSTRUMENTED_BYTES_MAX),
  };
  const reader = new FrameReader(limits);
  let fault: HostError | null = null;

  control.on('data', (chunk: Uint8Array) => {
    if (fault !== null) return;
    try {
      for (const { message, attachments } of reader.push(chunk)) {
        options.onMessage(readCellMessage(message), attachments);
      }
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      fault = error;
      child.kill('SIGKILL');
    }
  });
  // A cell that died leaves a broken pipe; its end is told by `close`.
  control.on('error', () => {});

  const ended = new Promise<CellEnd>((resolve) => {
    // `close` comes after the process ended and its streams were read to their end.
    child.on('close', (status, signal) => resolve({ status, signal, fault }));
  });

  return {
    pid: child.pid as number,
    ended,
    send: (message, attachments = []) => {
      if (control.destroyed) return;
      control.cork();
      for (const part of frameMessage(message as unknown as CborValue, attachments)) {
        control.write(part);
      }
      control.uncork();
    },
    kill: () => {
      child.kill('SIGKILL');
    },
  };
}

function spawned(child: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) => {
      reject(
        new HostError('ERR_CELL_LOST', 'No process could be started for the guest.', { cause }),
      );
    });
  });
}
