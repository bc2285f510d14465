/**
 * Many guests at once: what one that waits takes of the machine, and how many checkpoints a second all of them together
 * make. Each is a detached job as `stasis run --detach` starts it: a host and a cell.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { askHost } from '../src/host/control-socket.ts';
import { isAlive } from '../src/host/process-identity.ts';
import { type OpenState, openState } from '../test/e2e/open-state.ts';
import { type Stasis, stasisIn } from '../test/e2e/stasis-command.ts';
import { Table } from './table.ts';

export interface ScalingResult {
  /** Guests that live at once; all of them sleep. */
  readonly guests: number;
  /** From the first command to the last guest that runs. */
  readonly startMs: number;
  /** A guest's share, of both its processes, with a share of what is shared; 0 where the system does not say. */
  readonly hostBytes: number;
  readonly cellBytes: number;
  /** One of each guest, asked for at once: the first, for which each host opens the vault, and another. */
  readonly firstPerSecond: number;
  readonly nextPerSecond: number;
}

const GUEST = join(import.meta.dirname, '..', 'guests', 'build', 'sleeping-poll.wasm');
const SLEEP_MS = 3_600_000;
const COUNTS = [1, 10, 100];
const STARTED_AT_ONCE = 4;
const POLL_MS = 20;
const KIB = 1024;

/** Throws when the program is not built. */
export async function benchScaling(options: {
  readonly folder: string;
  readonly quick: boolean;
  readonly print: (line: string) => void;
}): Promise<readonly ScalingResult[]> {
  const { print, quick } = options;
  print('Guests that sleep, all at once.\n');
  const heads = ['start ms each', 'host MB', 'cell MB', 'checkpoints/s', 'then'];
  const table = new Table(['guests', ...heads], 8, print);
  const found: ScalingResult[] = [];
  for (const guests of quick ? COUNTS.slice(0, 2) : COUNTS) {
    const folder = join(options.folder, 'scaling');
    mkdirSync(folder);
    try {
      const result = await measure(stasisIn(join(folder, 'home')), guests);
      const { startMs, hostBytes, cellBytes, firstPerSecond, nextPerSecond } = result;
      table.row([
        String(guests),
        (startMs / guests).toFixed(0),
        ...[hostBytes, cellBytes].map((bytes) => (bytes / 1e6).toFixed(1)),
        ...[firstPerSecond, nextPerSecond].map((rate) => rate.toFixed(1)),
      ]);
      found.push(result);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  print('');
  return found;
}

async function measure(stasis: Stasis, guests: number): Promise<ScalingResult> {
  const names = Array.from({ length: guests }, (_, at) => `g${at}`);
  const startedMs = performance.now();
  const waiting = [...names];
  async function startSome(): Promise<void> {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      const words = ['run', '--detach', '--name', name, GUEST, String(SLEEP_MS)];
      const { status, stderr } = await stasis(words);
      assert.equal(status, 0, String(stderr));
    }
  }
  const starts = await Promise.allSettled(Array.from({ length: STARTED_AT_ONCE }, startSome));
  const startMs = performance.now() - startedMs;
  const state = await openState(stasis.home);
  try {
    for (const start of starts) if (start.status === 'rejected') throw start.reason;
    const [hostBytes, cellBytes] = memoryOf(state, names);
    const firstPerSecond = await checkpointAll(state, names);
    const nextPerSecond = await checkpointAll(state, names);
    return { guests, startMs, hostBytes, cellBytes, firstPerSecond, nextPerSecond };
  } finally {
    await endAll(state, names);
    await state.close();
  }
}

/** How many a second. */
async function checkpointAll(state: OpenState, names: readonly string[]): Promise<number> {
  const startedMs = performance.now();
  const sockets = names.map((name) => state.table.find(state.owner, name).run.socket!);
  await Promise.all(sockets.map((socket) => askHost(socket, { ask: 'checkpoint', stop: false })));
  return (names.length / (performance.now() - startedMs)) * 1000;
}

/** Means, of hosts and of cells. */
function memoryOf(state: OpenState, names: readonly string[]): readonly [number, number] {
  let [hosts, cells] = [0, 0];
  for (const name of names) {
    const { host, cell } = state.table.find(state.owner, name).run;
    hosts += residentBytes(host.pid);
    cells += residentBytes(cell!.pid);
  }
  return [hosts / names.length, cells / names.length];
}

/** With its share of pages that others have mapped too. */
function residentBytes(pid: number): number {
  try {
    const rollup = readFileSync(`/proc/${pid}/smaps_rollup`, 'latin1');
    return Number(/^Pss:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0) * KIB;
  } catch {
    return 0;
  }
}

async function endAll(state: OpenState, names: readonly string[]): Promise<void> {
  const started = new Set(state.table.list(state.owner).map(({ job }) => job.name));
  for (const name of names.filter((one) => started.has(one))) {
    const { socket, host } = state.table.find(state.owner, name).run;
    await askHost(socket!, { ask: 'kill', signal: 'SIGTERM' });
    while (isAlive(host)) await sleep(POLL_MS);
  }
}
