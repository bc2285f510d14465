/** How long a request waits for a safepoint, and the pauses of a heap of which little changed and of deep stacks. */
import { readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { ENGINE_FLAGS } from '../src/cell/engine-flags.ts';
import { openTracking } from '../src/native/write-tracking.ts';
import { measureApart } from './fresh-process.ts';
import type { PauseResult } from './pause-run.ts';
import { CHANGING_HEAP, DEEP, PAUSED } from './programs.ts';
import type { SafepointResult } from './safepoint-run.ts';
import { Table } from './table.ts';

const KERNELS = join(import.meta.dirname, '..', 'guests', 'build', 'kernels');

interface Options {
  readonly folder: string;
  readonly quick: boolean;
  readonly print: (line: string) => void;
}

export function benchSafepoints({ folder, print }: Options): readonly SafepointResult[] {
  print('From a request at a random time to the next poll, in processor time of the guest.\n');
  const table = new Table(['guest', 'p50 ms', 'p99 ms', 'worst ms', 'most fuel'], 23, print);
  const kernels = readdirSync(KERNELS)
    .filter((name) => name.endsWith('.wasm'))
    .map((name) => `kernel:${basename(name, '.wasm')}`);
  const programs = PAUSED.map(({ name }) => name).filter((name) => /^[A-Z]/.test(name));
  const found = [...kernels, ...programs].map((name) => {
    const result = measureApart<SafepointResult>(folder, 'safepoint-run.ts', [name], ENGINE_FLAGS);
    const { program, p50Ms, p99Ms, worstMs, worstFuel } = result;
    const times = [p50Ms, p99Ms, worstMs].map((ms) => ms.toFixed(2));
    table.row([program, ...times, String(worstFuel)]);
    return result;
  });
  print('');
  return found;
}

export function benchChanged({ folder, quick, print }: Options): readonly PauseResult[] {
  print('The pause of 64 MB of which 5 % changed, against a memcpy of all of it.\n');
  const heads = ['pause ms', 'memcpy ms', 'pause / memcpy', 'busy / busy', 'sent MB'];
  const table = new Table(['what changed, by', ...heads], 18, print);
  const ways = openTracking() === null ? ['kept', 'all'] : ['book', 'kept', 'all'];
  const found = ways.map((way) => {
    const args = [CHANGING_HEAP.name, quick ? '4' : '15', way];
    const result = measureApart<PauseResult>(folder, 'pause-run.ts', args, ENGINE_FLAGS);
    const { pauseMs, memcpyMs, busy, changedBytes } = result;
    table.row([
      way,
      pauseMs.toFixed(2),
      memcpyMs.toFixed(2),
      (pauseMs / memcpyMs).toFixed(2),
      busy === null ? '–' : (busy.pauseMs / busy.memcpyMs).toFixed(2),
      (changedBytes / 1e6).toFixed(2),
    ]);
    return result;
  });
  print('');
  return found;
}

export function benchStacks({ folder, quick, print }: Options): readonly PauseResult[] {
  print('The pause deep in calls, in ms, and the stack in an image.\n');
  const heads = [
    'frames',
    '  bytes',
    '/ frame',
    '  first',
    ' unwind',
    'capture',
    ' rewind',
    'restore',
  ];
  const table = new Table(['guest', ...heads], 19, print);
  const found = DEEP.map(({ name }) => {
    const args = [name, quick ? '3' : '9'];
    const result = measureApart<PauseResult>(folder, 'stack-run.ts', args, ENGINE_FLAGS);
    const { frames, imageBytes, memoryBytes } = result;
    const stackBytes = imageBytes - memoryBytes;
    const { firstMs, unwindMs, captureMs, rewindMs, restoreMs } = result;
    const times = [firstMs, unwindMs, captureMs, rewindMs, restoreMs].map((ms) => ms.toFixed(2));
    table.row([
      name,
      String(frames),
      String(stackBytes),
      (stackBytes / frames).toFixed(0),
      ...times,
    ]);
    return result;
  });
  print('');
  return found;
}
