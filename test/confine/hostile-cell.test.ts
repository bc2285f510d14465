/**
 * What a guest that broke out of the engine can do in its process: nothing beyond what its run was granted.
 * Each attack is tried without confinement as well, so that none passes for refused that could not be made.
 */

import {
  chmodSync,
  closeSync,
  mkdirSync,
  openSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { EMPTY_START } from '../../src/cell/empty-start.ts';
import { CONFINEMENTS, type ConfineMode, type Confinement } from '../../src/confine/confinement.ts';
import { cellProgram, NO_GRANTS } from '../../src/host/cell-command.ts';
import { CellPool } from '../../src/host/cell-pool.ts';
import { startCell } from '../../src/host/cell-process.ts';
import { openNativeLibrary } from '../../src/native/library.ts';
import type { UserIds } from '../../src/native/user-rights.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { watchedPool } from '../host/watched-pool.ts';
import type { Targets } from './hostile-cell.ts';

const scratch = scratchDirectory();
const here = fileURLToPath(new URL('.', import.meta.url));
const own = cellProgram(process.execPath);
const program = {
  ...own,
  entry: join(here, 'hostile-cell.ts'),
  codeDirectories: [...own.codeDirectories, here],
};
const IS_ROOT = process.geteuid?.() === 0;

/** What the run grants, and so what has to be possible. */
const GRANTED = ['read the granted directory', 'write below the writable directory'];
/** What any process of an ordinary user can do, and so what the attacks must manage without confinement. */
const ORDINARY = [
  'read a secret file',
  'read /etc/passwd',
  'list the root',
  'write beside its code',
  'make a directory in /tmp',
  'remove the secret file',
  'make a socket',
  'make a unix socket',
  'make a netlink socket',
  'connect to a port',
  'fork',
  'signal the host',
  'trace the host',
  'hold the host by a descriptor',
  "change the host's limits",
  'make a file in memory',
  'be dumpable again',
  "find the host's secret in a descriptor",
];

const server = createServer((socket) => socket.destroy());
let leaked = -1;

beforeAll(async () => {
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
});
afterAll(() => {
  server.close();
  if (leaked >= 0) closeSync(leaked);
  // What the attack without confinement left beside its code.
  rmSync(join(here, 'made'), { force: true });
});

interface Attacked {
  readonly held: readonly Confinement[];
  /** Of a thread that was there before the cell was confined. */
  readonly before: Readonly<Record<string, string>>;
  readonly main: Readonly<Record<string, string>>;
}

async function attack(
  confine: ConfineMode,
  identity: UserIds | null,
  ahead = false,
): Promise<Attacked> {
  const place = join(scratch, `${confine}-${identity?.uid ?? 'own'}-${ahead}`);
  const [readOnly, writable] = [join(place, 'ro'), join(place, 'rw')];
  for (const directory of [place, readOnly, writable]) mkdirSync(directory);
  for (const directory of [scratch, place, readOnly]) chmodSync(directory, 0o755);
  chmodSync(writable, 0o777);
  const targets: Targets = {
    secret: join(place, 'secret'),
    secretText: `the secret of ${process.pid}`,
    readOnly,
    writable,
    hostPid: process.pid,
    port: (server.address() as { readonly port: number }).port,
  };
  writeFileSync(targets.secret, targets.secretText);
  writeFileSync(`${targets.secret}-other`, '');
  leaked = inheritable(openSync(targets.secret, 'r'));
  const log = join(place, 'log');
  const logFd = openSync(log, 'wx');
  const pool = new CellPool({ program, identity, confine, fresh: ahead ? 1 : 0, restored: 0 });
  await pool.settled();
  expect(pool.size).toBe(ahead ? 1 : 0);
  const { blanks, taken } = watchedPool(pool);
  const cell = await startCell({
    program,
    blanks,
    grants: {
      ...NO_GRANTS,
      preopens: [
        { hostPath: readOnly, guestPath: '/ro', readOnly: true },
        { hostPath: writable, guestPath: '/rw', readOnly: false },
      ],
    },
    confine,
    memoryPages: 1,
    logFd,
    stdio: null,
    identity,
    furtherFds: [],
    onMessage: () => {},
  });
  cell.send({ ...EMPTY_START, args: [JSON.stringify(targets)] });
  expect(taken()).toBe(ahead ? cell.pid : null);
  await cell.ended;
  pool.close();
  closeSync(logFd);
  return { held: cell.held, ...JSON.parse(readFileSync(log, 'utf8')) };
}

/** A copy of the descriptor as a careless program leaves it: it survives the start of another program. */
function inheritable(fd: number): number {
  const library = openNativeLibrary({ dup: { arguments: ['int32'], return: 'int32' } }, () => true);
  const copy = Number(library!.functions.dup(fd));
  closeSync(fd);
  return copy;
}

function succeeded(results: Readonly<Record<string, string>>): string[] {
  return Object.keys(results).filter((name) => results[name] === 'done');
}

describe.runIf(process.platform === 'linux')('a cell that turned hostile', () => {
  test('can do without confinement what any process can', async () => {
    const { held, before, main } = await attack('off', null);
    expect(held).toEqual([]);
    expect(succeeded(before)).toEqual(expect.arrayContaining([...ORDINARY, ...GRANTED]));
    // The other thread has done it.
    const done = ['make a directory in /tmp', 'remove the secret file', 'trace the host'];
    const ordinary = ORDINARY.filter((name) => !done.includes(name));
    expect(succeeded(main)).toEqual(expect.arrayContaining([...ordinary, ...GRANTED]));
  });

  const users = IS_ROOT ? [null, { uid: 64_321, gid: 64_321 }] : [null];
  test.each(users.flatMap((user) => [false, true].map((ahead) => [user, ahead] as const)))(
    'can do only what the run was granted, as user %o, begun ahead: %s',
    async (identity, ahead) => {
      const { held, before, main } = await attack('require', identity, ahead);
      expect(held).toEqual([...CONFINEMENTS]);
      expect(succeeded(before)).toEqual(GRANTED);
      expect(succeeded(main)).toEqual(GRANTED);
      const tried = Object.keys(before).length;
      console.log(`hostile cell: ${tried} attacks a thread, ${GRANTED.length} of them granted`);
      expect(tried).toBeGreaterThan(40);
    },
  );
});
