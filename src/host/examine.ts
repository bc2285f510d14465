/**
 * What this system offers a cell, found out by using it: a cell is started, confined and ended, and each way
 * that needs the C library is asked whether it is there.
 */
import { release } from 'node:os';
import { CONFINEMENTS, type Confinement } from '../confine/confinement.ts';
import { kernelCalls } from '../confine/kernel-calls.ts';
import { nativeCalls } from '../handle/native-calls.ts';
import { nativeDescriptors } from '../handle/native-descriptors.ts';
import { poolCalls } from '../pool/pool-calls.ts';
import { type CellProgram, NO_GRANTS } from './cell-command.ts';
import { type CellProcess, startCell } from './cell-process.ts';

/** One thing that is there or not. */
export interface Finding {
  readonly name: string;
  readonly works: boolean;
  /** What it is good for. */
  readonly gives: string;
  /** What happens without it. */
  readonly otherwise: string;
}

export interface Examination {
  /** Versions of Node and of its engine. */
  readonly node: string;
  readonly engine: string;
  readonly system: string;
  /** Version of Landlock's interface; 0: none. */
  readonly landlock: number;
  /** What holds a cell here, and what would if the kernel had it. */
  readonly confinement: readonly Finding[];
  readonly ways: readonly Finding[];
}

const CONFINEMENT_FACTS: Readonly<Record<Confinement, readonly [string, string]>> = {
  descriptors: [
    'a cell inherits no open file that it was not given',
    'stray descriptors are inherited',
  ],
  files: [
    'the kernel keeps a cell to the granted directories (Landlock)',
    "only Node's permission model does",
  ],
  network: [
    'no TCP connection, no port (Landlock 4)',
    "only seccomp and Node's permission model stop it",
  ],
  signals: ['no signal to other processes (Landlock 6)', 'only seccomp stops it'],
  privileges: ['no capability, and none to be gained', 'a cell of root keeps what root may do'],
  limits: ['bounds on data and descriptors, no core dump', "only the guest's own limits hold"],
  memory: ["other processes of the user can't look into a cell", 'they can, as into any process'],
  calls: ['every system call is judged (seccomp)', 'a guest that broke out may call anything'],
};

/** Throws ERR_CELL_LOST where no cell can be started. */
export async function examine(program: CellProgram): Promise<Examination> {
  const { held, tracksWrites } = await cellHere(program);
  return {
    node: process.versions.node,
    engine: `v8 ${process.versions.v8}`,
    system: `${process.platform} ${release()} ${process.arch}`,
    landlock: kernelCalls()?.landlockVersion() ?? 0,
    confinement: CONFINEMENTS.map((name) => {
      const [gives, otherwise] = CONFINEMENT_FACTS[name];
      return { name, works: held.includes(name), gives, otherwise };
    }),
    ways: [
      {
        name: 'durable files',
        works: nativeCalls() !== null,
        gives: 'fsync, exact times and allocation for guests',
        otherwise: 'a guest is told that it can not sync, and times are cut to microseconds',
      },
      {
        name: 'sockets and waiting',
        works: nativeDescriptors() !== null,
        gives: '--listen, and input read by the guest itself',
        otherwise: '--listen is refused, and input takes a longer way',
      },
      {
        name: 'windows of pools',
        works: poolCalls() !== null,
        gives: 'frames mapped into the memories of guests, locks on ranges',
        otherwise: 'pages are copied, and locks are files',
      },
      {
        name: 'book of writes',
        works: tracksWrites,
        gives:
          'a checkpoint copies what was written since the one before (userfaultfd, PAGEMAP_SCAN)',
        otherwise: 'all pages are compared with those of the checkpoint before',
      },
    ],
  };
}

async function cellHere(program: CellProgram): Promise<Pick<CellProcess, 'held' | 'tracksWrites'>> {
  const cell = await startCell({
    program,
    grants: NO_GRANTS,
    confine: 'auto',
    memoryPages: 1,
    logFd: null,
    stdio: null,
    identity: null,
    furtherFds: [],
    onMessage: () => {},
  });
  cell.kill();
  await cell.ended;
  return cell;
}
