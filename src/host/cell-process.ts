/**
 * One cell as the host sees it: a process and a stream of messages.
 *
 * Invariants:
 * 1. Nothing from the cell is passed on before its shape was checked; a wrong message ends the cell.
 * 2. `ended` settles exactly once, after the process is gone and its last message was delivered.
 */
import { closeSync, readFileSync } from 'node:fs';
import type { CborValue } from '../cbor/cbor.ts';
import { type FrameLimits, FrameReader, frameMessage } from '../cell/framing.ts';
import { readCellMessage } from '../cell/message-shapes.ts';
import type { CellMessage, ConfinedMessage, GuestMessage, HostMessage } from '../cell/protocol.ts';
import { CONFINEMENTS, type ConfineMode, type Confinement } from '../confine/confinement.ts';
import { kernelCalls } from '../confine/kernel-calls.ts';
import { makeRuleset } from '../confine/landlock.ts';
import { HostError } from '../fault/host-error.ts';
import type { UserIds } from '../native/user-rights.ts';
import { type CellGrants, type CellProgram, cellArguments, cellRules } from './cell-command.ts';
import type { GuestStdio } from './guest-streams.ts';
import { launch } from './launch.ts';

/** Room for heads with very deep stacks and very large tables. */
const CBOR_BYTES_MAX = 2 ** 29;
/** An instrumented module and its plan, or an image's pages, come as at most this many attachments. */
const ATTACHMENTS_MAX = 4;
const INSTRUMENTED_BYTES_MAX = 2 ** 30;
const PAGE_BYTES = 65_536;
/**
 * Data that a cell may have: what Node takes by itself (about 1.1 GB counts as such, nearly all of it never
 * touched), a module with its code, and the guest's memory with two copies of it, one on the way from an
 * image and one into it.
 */
const DATA_BYTES = 3 * 2 ** 30;
const DATA_PER_GUEST_BYTE = 3;

export interface CellOptions {
  readonly program: CellProgram;
  readonly grants: CellGrants;
  readonly confine: ConfineMode;
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
    message: GuestMessage,
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
  /** What the kernel holds it by. */
  readonly held: readonly Confinement[];
  /** Whether the kernel can keep book of what its guest writes. */
  readonly tracksWrites: boolean;
  readonly ended: Promise<CellEnd>;
  send(message: HostMessage, attachments?: readonly Uint8Array[]): void;
  /** SIGKILL; nothing that the guest does can delay it. */
  kill(): void;
}

/**
 * Starts a cell, and waits until it is confined. Throws ERR_CELL_LOST when no process can be started, and
 * ERR_CANNOT_CONFINE where the system lacks what `confine` requires.
 */
export async function startCell(options: CellOptions): Promise<CellProcess> {
  const { program, grants, confine, logFd, stdio, identity, furtherFds } = options;
  const orNothing = (fd: number | null): number | 'ignore' => fd ?? 'ignore';
  const kernel = confine === 'off' ? null : kernelCalls();
  const ruleset = kernel === null ? null : makeRuleset(kernel, cellRules(program, grants));
  const descriptors = [
    ...(stdio ?? [null, null, null]).map(orNothing),
    'control' as const,
    ...[logFd, ...furtherFds].map(orNothing),
  ];
  const cell = await launch({
    node: program.node,
    words: cellArguments(program, grants),
    stdio: ruleset === null ? descriptors : [...descriptors, ruleset.hostFd],
    identity,
    confine,
  }).finally(() => {
    if (ruleset !== null) closeSync(ruleset.hostFd);
  });
  const { control } = cell;
  const limits: FrameLimits = {
    cborBytesMax: CBOR_BYTES_MAX,
    attachmentsMax: ATTACHMENTS_MAX,
    attachmentBytesMax: Math.max(options.memoryPages * PAGE_BYTES, INSTRUMENTED_BYTES_MAX),
  };
  const reader = new FrameReader(limits);
  let fault: HostError | null = null;
  const confined = Promise.withResolvers<Pick<ConfinedMessage, 'held' | 'tracksWrites'>>();
  let isConfined = false;

  function receive(message: CellMessage, attachments: readonly Uint8Array<ArrayBuffer>[]): void {
    if ((message.type === 'confined') === isConfined) {
      throw new HostError('ERR_PROTOCOL', 'The cell spoke of its confinement at the wrong time.');
    }
    if (message.type === 'confined') {
      isConfined = true;
      confined.resolve(message);
      return;
    }
    options.onMessage(message, attachments);
  }

  control.on('data', (chunk: Uint8Array) => {
    if (fault !== null) return;
    try {
      for (const { message, attachments } of reader.push(chunk)) {
        receive(readCellMessage(message), attachments);
      }
    } catch (error) {
      if (!(error instanceof HostError)) throw error;
      fault = error;
      cell.kill();
    }
  });
  // A cell that died leaves a broken pipe; its end is told by `close`.
  control.on('error', () => {});
  const closed = new Promise<void>((resolve) => {
    control.on('close', () => resolve());
  });

  const ended = Promise.all([cell.exited, closed]).then(
    ([{ status, signal }]): CellEnd => ({ status, signal, fault }),
  );
  function send(message: HostMessage, attachments: readonly Uint8Array[] = []): void {
    if (control.destroyed) return;
    control.cork();
    for (const part of frameMessage(message as unknown as CborValue, attachments)) {
      control.write(part);
    }
    control.uncork();
  }

  const dataBytes = DATA_BYTES + DATA_PER_GUEST_BYTE * options.memoryPages * PAGE_BYTES;
  send({
    type: 'confine',
    dataBytes: confine === 'off' ? null : dataBytes,
    ruleset: ruleset === null ? null : { ...ruleset, hostFd: descriptors.length },
    postFd: null,
  });
  // A cell that ends before it answers has nothing to be held by; `ended` says what happened.
  const answer = await Promise.race([confined.promise, ended.then(() => null)]);
  const byItself = answer?.held ?? null;
  if (identity !== null && byItself !== null && isTraced(cell.pid)) {
    cell.kill();
    await ended;
    throw new HostError('ERR_CELL_LOST', 'Another process looks into the one of the guest.', {
      hint: 'end the debugger or tracer and do it again',
    });
  }
  const all = CONFINEMENTS.filter((one) => cell.held.includes(one) || byItself?.includes(one));
  if (confine === 'require' && byItself !== null && all.length < CONFINEMENTS.length) {
    cell.kill();
    await ended;
    throw cannotConfine(all);
  }
  const tracksWrites = answer?.tracksWrites ?? false;
  return { pid: cell.pid, held: all, tracksWrites, ended, send, kill: cell.kill };
}

/**
 * A process of the cell's user may have attached to it before it forbade that. Nothing of an image has been sent
 * by then.
 */
function isTraced(pid: number): boolean {
  try {
    return /^TracerPid:\s*[1-9]/m.test(readFileSync(`/proc/${pid}/status`, 'latin1'));
  } catch {
    return false;
  }
}

function cannotConfine(held: readonly Confinement[]): HostError {
  const missing = CONFINEMENTS.filter((one) => !held.includes(one));
  return new HostError(
    'ERR_CANNOT_CONFINE',
    'This system can not confine a guest as --confine require asks.',
    {
      facts: { missing: missing.join(', ') },
      hint: 'run it with --confine auto to take what there is, or on a kernel that has the rest: stasis doctor says what that is',
    },
  );
}
