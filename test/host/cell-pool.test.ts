/**
 * Cells that were begun before it was known what their guests are: they run guests as others do, with what these are
 * granted and nothing else; and what becomes of those that nobody takes.
 */

import { mkdirSync, openSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, describe, expect, test } from 'vitest';
import { EMPTY_START } from '../../src/cell/empty-start.ts';
import type { StartMessage } from '../../src/cell/protocol.ts';
import { CONFINEMENTS } from '../../src/confine/confinement.ts';
import { kernelCalls } from '../../src/confine/kernel-calls.ts';
import { discard } from '../../src/host/blank-cell.ts';
import { type CellGrants, cellProgram, NO_GRANTS } from '../../src/host/cell-command.ts';
import { type BlankSource, CellPool, type CellPoolOptions } from '../../src/host/cell-pool.ts';
import { LOG_FD } from '../../src/host/cell-process.ts';
import { superviseGuest } from '../../src/host/supervise.ts';
import { readStreams } from '../e2e/streams.ts';
import { scratchDirectory } from './scratch.ts';
import { UNATTENDED } from './unattended.ts';
import { watchedPool } from './watched-pool.ts';

const scratch = scratchDirectory();
const program = cellProgram(process.execPath);
const options: CellPoolOptions = {
  program,
  identity: null,
  confine: 'auto',
  fresh: 1,
  restored: 0,
};
const guests = fileURLToPath(new URL('../../guests/build/', import.meta.url));
const pools: CellPool[] = [];
afterAll(() => {
  for (const pool of pools) pool.close();
});

async function poolOf(change: Partial<CellPoolOptions> = {}): Promise<CellPool> {
  const pool = new CellPool({ ...options, ...change });
  pools.push(pool);
  await pool.settled();
  return pool;
}

let runs = 0;

/** Runs a guest to its end: how, what it wrote, what held it, and its process. */
async function run(
  pool: BlankSource,
  guest: string,
  change: Partial<StartMessage> = {},
  grants: CellGrants = NO_GRANTS,
) {
  runs += 1;
  const log = join(scratch, `log-${runs}`);
  const { blanks, taken } = watchedPool(pool);
  const supervised = await superviseGuest({
    ...UNATTENDED,
    program,
    blanks,
    start: {
      ...EMPTY_START,
      limits: { ...EMPTY_START.limits, memoryPages: 1024, tableEntries: 1000 },
      logFd: LOG_FD,
      preopens: grants.preopens,
      ...change,
    },
    attachments: [readFileSync(join(guests, guest))],
    grants,
    logFd: openSync(log, 'ax+'),
  });
  // A run that falls back to a cell of its own would hide that the other one was of no use.
  if (taken() !== null) expect(supervised.cellPid).toBe(taken());
  const { ending, fuel } = await supervised.ended;
  const stdout = readStreams(readFileSync(log)).stdout.toString();
  return { ending, fuel, stdout, held: supervised.held, pid: supervised.cellPid };
}

describe.runIf(kernelCalls() !== null)('cells that were begun ahead', () => {
  test('run a guest as others do, one each, and are made up for', async () => {
    const [pool, none] = [await poolOf(), await poolOf({ fresh: 0 })];
    const ahead = pool.take({ ...options, restores: false });
    expect(ahead).not.toBeNull();
    const { pid } = ahead!.process;
    ahead!.process.kill();
    await ahead!.link.ended;
    await new Promise((resolve) => setImmediate(resolve));
    await pool.settled();
    expect(pool.size).toBe(1);

    const args = ['nqueens', '6'];
    const cold = await run(none, 'nqueens.wasm', { args });
    expect(pool.size).toBe(1);
    const warm = await run(pool, 'nqueens.wasm', { args });
    expect(cold.stdout).toContain('6 queens: 4 solutions');
    const { pid: _, ...seen } = warm;
    expect(seen).toEqual({ ...cold, pid: undefined });
    expect(warm.held).toEqual(CONFINEMENTS.filter((one) => cold.held.includes(one)));
    expect(warm.pid).not.toBe(pid);
  });

  test('have granted directories by their descriptors, and no other', async () => {
    const pool = await poolOf();
    const [cold, warm, untouched, keeping] = ['cold', 'warm', 'untouched', 'keeping'].map((name) =>
      join(scratch, name),
    );
    for (const directory of [cold!, warm!, untouched!, keeping!]) mkdirSync(directory);
    const none = await poolOf({ fresh: 0 });
    const walk = (from: CellPool, hostPath: string, policy: 'reopen' | 'private') => {
      const preopens = [{ hostPath, guestPath: '/data', readOnly: false, policy }];
      return run(
        from,
        'directory-walk.wasm',
        { args: ['walk', '1', '5'], keeping: { directory: keeping!, carryBytesMax: 2 ** 20 } },
        { ...NO_GRANTS, preopens, keepingDirectory: keeping! },
      );
    };
    const expected = await walk(none, cold!, 'reopen');
    expect(expected.ending).toEqual({ kind: 'exit', code: 0 });
    expect(await walk(pool, warm!, 'reopen')).toEqual({ ...expected, pid: expect.any(Number) });
    const made = readdirSync(cold!, { recursive: true }).sort();
    expect(made.length).toBeGreaterThan(15);
    expect(readdirSync(warm!, { recursive: true }).sort()).toEqual(made);
    await pool.settled();
    expect(pool.size).toBe(1);
    expect((await walk(pool, untouched!, 'private')).ending).toEqual({ kind: 'exit', code: 0 });
    expect(readdirSync(untouched!)).toEqual([]);
  });

  test('are none for what has to be opened by its name, for another user or program', async () => {
    const pool = await poolOf();
    const wanted = { ...options, restores: false };
    expect(pool.take({ ...wanted, restores: true })).toBeNull();
    expect(pool.take({ ...wanted, confine: 'off' })).toBeNull();
    expect(pool.take({ ...wanted, identity: { uid: 64_321, gid: 64_321 } })).toBeNull();
    expect(pool.take({ ...wanted, program: { ...program, codeDirectories: ['/x'] } })).toBeNull();
    expect(pool.size).toBe(1);
  });

  test('end with their pool, and the one that ends by itself is not counted', async () => {
    const pool = await poolOf({ fresh: 2, restored: 1 });
    expect(pool.size).toBe(3);
    const other = pool.take({ ...options, restores: true })!;
    pool.close();
    expect(pool.size).toBe(0);
    expect(pool.take({ ...options, restores: false })).toBeNull();
    discard(other);
    expect(await other.link.ended).toMatchObject({ signal: 'SIGKILL', fault: null });
  });
});
