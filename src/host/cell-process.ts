/**
 * One cell as the host sees it, from the start of its process on, or of one that was begun ahead.
 */
import { closeSync, readFileSync } from 'node:fs';
import type { HostMessage } from '../cell/protocol.ts';
import { CONFINEMENTS, type ConfineMode, type Confinement } from '../confine/confinement.ts';
import { kernelCalls } from '../confine/kernel-calls.ts';
import { makeRuleset } from '../confine/landlock.ts';
import { HostError } from '../fault/host-error.ts';
import type { UserIds } from '../native/user-rights.ts';
import { canBeEquipped, equip } from './blank-cell.ts';
import { type CellGrants, type CellProgram, cellPermissions, cellRules } from './cell-command.ts';
import { type CellEnd, type CellLink, type GuestReceiver, linkCell } from './cell-link.ts';
import type { BlankSource } from './cell-pool.ts';
import type { GuestStdio } from './guest-streams.ts';
import { type LaunchedProcess, launch } from './launch.ts';
import { permissionLists, wordsWithLists, wordsWithPermissions } from './node-permissions.ts';

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
  /** Where there may be a cell that was begun ahead. */
  readonly blanks?: BlankSource | undefined;
  readonly onMessage: GuestReceiver['onMessage'];
}

const CONTROL_FD = 3;
/** Descriptor of the log in the cell. */
export const LOG_FD = 4;

export interface CellProcess {
  readonly pid: number;
  /** What the kernel holds it by. */
  readonly held: readonly Confinement[];
  /** Whether the kernel can keep book of what its guest writes. */
  readonly tracksWrites: boolean;
  /** By which name the cell knows a granted directory: not always by its own. */
  readonly nameOf: (hostPath: string) => string;
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
  const { confine, identity } = options;
  const { process, link, held, tracksWrites, nameOf } =
    (await equipOneOf(options)) ?? (await begin(options));
  const all = CONFINEMENTS.filter((one) => held?.includes(one));
  const end = async (why: HostError): Promise<never> => {
    process.kill();
    await link.ended;
    throw why;
  };
  // A cell that ended before it answered has nothing to be held by; `ended` says what happened.
  if (held !== null) {
    if (identity !== null && isTraced(process.pid)) await end(traced());
    if (confine === 'require' && all.length < CONFINEMENTS.length) await end(cannotConfine(all));
  }
  link.deliver({
    attachmentBytesMax: options.memoryPages * PAGE_BYTES,
    onMessage: options.onMessage,
  });
  const { ended, send } = link;
  return { pid: process.pid, held: all, tracksWrites, nameOf, ended, send, kill: process.kill };
}

/** A process that is confined, or has ended (null). */
interface ConfinedProcess {
  readonly process: LaunchedProcess;
  readonly link: CellLink;
  readonly held: readonly Confinement[] | null;
  readonly tracksWrites: boolean;
  readonly nameOf: (hostPath: string) => string;
}

/** From descriptor 0 on; null: none. */
function descriptorsOf({ stdio, logFd, furtherFds }: CellOptions): (number | null)[] {
  return [...(stdio ?? [null, null, null]), null, logFd, ...furtherFds];
}

function dataBytesFor({ memoryPages }: CellOptions): number {
  return DATA_BYTES + DATA_PER_GUEST_BYTE * memoryPages * PAGE_BYTES;
}

/** Takes a cell that was begun ahead; null: there is none that will do. */
async function equipOneOf(options: CellOptions): Promise<ConfinedProcess | null> {
  const { blanks, program, grants, identity, confine } = options;
  const equipment = { grants, dataBytes: dataBytesFor(options), fds: descriptorsOf(options) };
  if (blanks === undefined || !canBeEquipped(equipment)) return null;
  const restores = program.entry === program.restoredEntry;
  const blank = blanks.take({ program, restores, identity, confine });
  const equipped = blank === null ? null : await equip(blank, equipment);
  if (blank === null || equipped === null) return null;
  const { process, link, tracksWrites } = blank;
  return { process, link, tracksWrites, ...equipped };
}

async function begin(options: CellOptions): Promise<ConfinedProcess> {
  const { program, grants, confine, identity } = options;
  const calls = kernelCalls();
  const kernel = confine === 'off' ? null : calls;
  const permissions = cellPermissions(program, grants);
  const ruleset = kernel === null ? null : makeRuleset(kernel, cellRules(program, grants));
  const stdio: (number | 'ignore' | 'control')[] = descriptorsOf(options).map((fd, at) =>
    at === CONTROL_FD ? 'control' : (fd ?? 'ignore'),
  );
  const made: number[] = [];
  /** Gives the cell a descriptor that was made for it, and says which one it will be there. */
  const hand = (hostFd: number): number => {
    made.push(hostFd);
    return stdio.push(hostFd) - 1;
  };
  const rulesetFd = ruleset === null ? null : hand(ruleset.hostFd);
  const lists = calls?.memoryFile(Buffer.from(permissionLists(permissions))) ?? null;
  const listsFd = lists === null ? null : hand(lists);
  const nodeWords = listsFd === null ? wordsWithPermissions(permissions) : wordsWithLists(listsFd);
  const words = [...nodeWords, program.entry];
  const process = await launch({ node: program.node, words, stdio, identity, confine }).finally(
    () => made.forEach(closeSync),
  );
  const link = linkCell(process);
  link.send({
    type: 'confine',
    dataBytes: confine === 'off' ? null : dataBytesFor(options),
    ruleset: rulesetFd === null ? null : { hostFd: rulesetFd, holds: ruleset!.holds },
    postFd: null,
    spentFd: listsFd,
  });
  const answer = await link.answer('confined');
  return {
    process,
    link,
    held: answer === null ? null : [...process.held, ...answer.held],
    tracksWrites: answer?.tracksWrites ?? false,
    nameOf: (hostPath) => hostPath,
  };
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

function traced(): HostError {
  return new HostError('ERR_CELL_LOST', 'Another process looks into the one of the guest.', {
    hint: 'end the debugger or tracer and do it again',
  });
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
