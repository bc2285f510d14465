/**
 * A cell that was begun before it is known what its guest is: confined, with its code loaded and warm
 * (`cell/rehearsal.ts`), and with nothing of anybody's in it.
 *
 * What depends on the guest comes when it is *equipped*, over a socket of its own (`POST_FD`): descriptors that take
 * the places of null devices, among them a ruleset of Landlock and the granted directories, which the cell knows by
 * `/proc/self/fd` alone. Names of files are nowhere in its command line.
 *
 * Invariants:
 * 1. One blank cell, one guest: it is equipped once, and never blank again.
 * 2. Before it is equipped it holds no grant: all system calls that are not for itself are refused, but no file is.
 *    Nothing of a guest's is in it by then.
 * 3. It ends with the process that has its control stream.
 */
import { closeSync, constants, openSync } from 'node:fs';
import type { ConfineMode, Confinement } from '../confine/confinement.ts';
import { kernelCalls } from '../confine/kernel-calls.ts';
import { makeRuleset } from '../confine/landlock.ts';
import { descriptorPost } from '../native/descriptors.ts';
import { type UserIds, withUserRights } from '../native/user-rights.ts';
import {
  blankPermissions,
  type CellGrants,
  type CellProgram,
  cellRules,
  goesByDescriptor,
} from './cell-command.ts';
import { type CellLink, linkCell } from './cell-link.ts';
import { type LaunchedProcess, launch } from './launch.ts';
import { wordsWithPermissions } from './node-permissions.ts';

/** Descriptors from 4 on that can be given to a blank cell; standard streams besides. */
const FIRST_PLACE = 4;
const PLACES = 32;
const POST_FD = FIRST_PLACE + PLACES;
/** Until it is known how much a guest may have. */
const DATA_BYTES_AT_FIRST = 2 ** 46;
const O_PATH = 0x20_0000;

export interface BlankOrder {
  readonly program: CellProgram;
  /** Whether its guest is to go on from an image: that takes another stack. */
  readonly restores: boolean;
  readonly identity: UserIds | null;
  readonly confine: ConfineMode;
}

export interface BlankCell {
  readonly order: BlankOrder;
  readonly process: LaunchedProcess;
  readonly link: CellLink;
  /** This end of the socket for descriptors; closed when the cell is equipped. */
  readonly postFd: number;
  readonly held: readonly Confinement[];
  readonly tracksWrites: boolean;
}

/** Null where the system can't hand descriptors over, or the cell did not come up. */
export async function beginBlank(order: BlankOrder): Promise<BlankCell | null> {
  const { program, restores, identity, confine } = order;
  const post = kernelCalls()?.streamPair() ?? null;
  if (post === null) return null;
  const entry = restores ? program.restoredEntry : program.entry;
  const [postFd, theirs] = post;
  const nothing = openSync('/dev/null', constants.O_RDWR);
  let process: LaunchedProcess;
  try {
    process = await launch({
      node: program.node,
      // Nothing that is anybody's.
      words: [...wordsWithPermissions(blankPermissions(program)), entry],
      stdio: [
        'ignore',
        'ignore',
        'ignore',
        'control',
        ...Array.from({ length: PLACES }, () => nothing),
        theirs,
      ],
      identity,
      confine,
    });
  } catch (error) {
    closeSync(postFd);
    throw error;
  } finally {
    closeSync(nothing);
    closeSync(theirs);
  }
  const link = linkCell(process);
  const dataBytes = confine === 'off' ? null : DATA_BYTES_AT_FIRST;
  link.send({ type: 'confine', dataBytes, ruleset: null, postFd: POST_FD, spentFd: null });
  const answer = await link.answer('confined');
  if (answer !== null) {
    const { tracksWrites } = answer;
    const held = [...process.held, ...answer.held];
    return { order, process, link, postFd, held, tracksWrites };
  }
  closeSync(postFd);
  return null;
}

/** A descriptor of this process and its number in the cell. */
interface Placed {
  readonly fd: number;
  readonly place: number;
}

/** What a cell is equipped with. */
export interface Equipment {
  readonly grants: CellGrants;
  readonly dataBytes: number;
  /** Descriptors of this process that become 0 and so on; null: that one stays the null device. */
  readonly fds: readonly (number | null)[];
}

export interface EquippedCell {
  readonly held: readonly Confinement[];
  /** By which name the cell knows a directory. */
  readonly nameOf: (hostPath: string) => string;
}

/** Whether a blank cell can be given that; else one is to be begun for it. */
export function canBeEquipped({ grants, fds }: Pick<Equipment, 'grants' | 'fds'>): boolean {
  const directories = directoriesOf(grants).length;
  return goesByDescriptor(grants) && fds.length + directories < POST_FD;
}

/** Gives a blank cell all that its guest has. Null when it ended, or could not be given it: it is of no use then. */
export async function equip(blank: BlankCell, equipment: Equipment): Promise<EquippedCell | null> {
  const { order, link, postFd, process } = blank;
  const { grants, dataBytes, fds } = equipment;
  const kernel = order.confine === 'off' ? null : kernelCalls();
  const placed = fds.flatMap((fd, place): Placed[] =>
    fd === null || place === FIRST_PLACE - 1 ? [] : [{ fd, place }],
  );
  const names = new Map<string, string>();
  const opened: number[] = [];
  const add = (fd: number): number => {
    const place = Math.max(fds.length, FIRST_PLACE) + opened.length;
    opened.push(fd);
    placed.push({ fd, place });
    return place;
  };
  try {
    for (const hostPath of directoriesOf(grants)) {
      if (names.has(hostPath)) continue;
      const fd = withUserRights(() => openSync(hostPath, O_PATH | constants.O_DIRECTORY));
      names.set(hostPath, `/proc/self/fd/${add(fd)}`);
    }
    const ruleset = kernel === null ? null : makeRuleset(kernel, cellRules(order.program, grants));
    const rulesetFd = ruleset === null ? null : add(ruleset.hostFd);
    const sent = descriptorPost()?.send(
      postFd,
      new Uint8Array(1),
      placed.map(({ fd }) => fd),
    );
    if (sent !== 0) return null;
    link.send({
      type: 'equip',
      dataBytes: order.confine === 'off' ? null : dataBytes,
      places: placed.map(({ place }) => place),
      ruleset: rulesetFd === null ? null : { hostFd: rulesetFd, holds: ruleset!.holds },
    });
    const answer = await link.answer('equipped');
    if (answer === null) return null;
    return {
      held: [...blank.held, ...answer.held],
      nameOf: (hostPath) => names.get(hostPath) ?? hostPath,
    };
  } catch {
    process.kill();
    return null;
  } finally {
    for (const fd of opened) closeSync(fd);
    closeSync(postFd);
  }
}

/** Ends a cell that nobody will use. */
export function discard({ process, postFd }: BlankCell): void {
  process.kill();
  closeSync(postFd);
}

function directoriesOf({ preopens, keepingDirectory }: CellGrants): string[] {
  const paths = preopens.map(({ hostPath }) => hostPath);
  return keepingDirectory === null ? paths : [...paths, keepingDirectory];
}
