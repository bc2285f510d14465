/**
 * Hostile guests beside honest ones: each hostile one ends by its cap, the honest ones finish with the right
 * output, and nothing of either is left.
 *
 * A few in each run; 200 and 20 with STASIS_NIGHTLY=1. So many processes at once as the machine can bear.
 */
import { readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import wabt from 'wabt';
import { isAlive, type ProcessIdentity } from '../../src/host/process-identity.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { openState } from './open-state.ts';
import { ROOT, reported, stasisIn } from './stasis-command.ts';

const NIGHTLY = process.env['STASIS_NIGHTLY'] === '1';
const ROUNDS = NIGHTLY ? 20 : 1;
const AT_ONCE = 6;

const scratch = scratchDirectory();
const home = join(scratch, 'home');
const stasis = stasisIn(home);
const granted = scratch;
const { parseWat } = await wabt();

const WASI = '(import "wasi_snapshot_preview1"';

function module(name: string, text: string): string {
  const path = join(scratch, `${name}.wasm`);
  writeFileSync(path, parseWat(name, `(module ${text})`, {}).toBinary({}).buffer);
  return path;
}

const MEMORY = '(memory (export "memory") 1)';
const start = (body: string): string => `(func (export "_start") ${body})`;
const forever = (body: string): string => `(loop $l ${body} (br $l))`;

interface Hostile {
  readonly module: string;
  readonly options: readonly string[];
  readonly ending: Readonly<Record<string, unknown>>;
}

const DEADLINE = { kind: 'deadline' };
const TIMED = ['--timeout', '2s'];

const FLOOD = module(
  'flood',
  `${WASI} "fd_write" (func $w (param i32 i32 i32 i32) (result i32))) ${MEMORY}
       (data (i32.const 0) "\\00\\01\\00\\00\\00\\80\\00\\00")
       ${start(forever('(drop (call $w (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 8)))'))}`,
);

const HOSTILE: Readonly<Record<string, Hostile>> = {
  'an endless loop, by time': {
    module: module('loop', MEMORY + start(forever(''))),
    options: TIMED,
    ending: DEADLINE,
  },
  'an endless loop, by fuel': {
    module: module('fuel', MEMORY + start(forever(''))),
    options: ['--fuel', '5000000'],
    ending: { kind: 'limit', limit: 'fuel' },
  },
  'an endless start function': {
    module: module('start', `${MEMORY}(func $s ${forever('')}) (start $s) ${start('')}`),
    options: TIMED,
    ending: DEADLINE,
  },
  'a memory that grows': {
    module: module('grow', MEMORY + start(forever('(drop (memory.grow (i32.const 1)))'))),
    options: ['--max-memory', '64MiB'],
    ending: { kind: 'limit', limit: 'memory' },
  },
  'a table that grows': {
    module: module(
      'table',
      `${MEMORY}(table $t 1 funcref) ${start(forever('(drop (table.grow $t (ref.null func) (i32.const 1000)))'))}`,
    ),
    options: ['--max-table', '100000'],
    ending: { kind: 'limit', limit: 'table' },
  },
  recursion: {
    module: module(
      'recursion',
      `${MEMORY}(func $f (param i32) (result i32) (i32.add (i32.const 1) (call $f (local.get 0)))) ${start('(drop (call $f (i32.const 1)))')}`,
    ),
    options: TIMED,
    ending: { kind: 'trap' },
  },
  'fills of all memory': {
    module: module(
      'fill',
      `(memory (export "memory") 4096) ${start(forever('(memory.fill (i32.const 0) (i32.const 7) (i32.const 268435456))'))}`,
    ),
    options: TIMED,
    ending: DEADLINE,
  },
  'a flood of output, by time': {
    module: FLOOD,
    options: [...TIMED, '--no-log'],
    ending: DEADLINE,
  },
  'a flood of output, by its size': {
    module: FLOOD,
    options: ['--max-output', '3MiB'],
    ending: { kind: 'limit', limit: 'output' },
  },
  'a flood of handles': {
    module: module(
      'handles',
      `${WASI} "path_open" (func $o (param i32 i32 i32 i32 i32 i64 i64 i32 i32) (result i32))) ${MEMORY}
       (data (i32.const 0) ".")
       ${start(
         forever(
           '(drop (call $o (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 1) (i32.const 2) (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 8)))',
         ),
       )}`,
    ),
    options: [...TIMED, '--dir-ro', `${granted}::/`],
    ending: { kind: 'limit', limit: 'handles' },
  },
  'a flood of checkpoints': {
    module: module(
      'checkpoints',
      `(import "stasis" "checkpoint" (func $c (result i32))) ${MEMORY} ${start(forever('(drop (call $c))'))}`,
    ),
    options: ['--max-checkpoints', '20', '--rm'],
    ending: { kind: 'limit', limit: 'checkpoints' },
  },
};

const nqueens = join(ROOT, 'guests', 'build', 'nqueens.wasm');

async function honest(): Promise<{ readonly output: string; readonly ms: number }> {
  const began = performance.now();
  const { status, stdout } = await stasis(['run', nqueens, '8']);
  expect(status).toBe(0);
  return { output: stdout.toString('utf8'), ms: performance.now() - began };
}

async function hostile(name: string): Promise<void> {
  const { module: path, options, ending } = HOSTILE[name]!;
  const run = reported(stasis(['run', '--json', ...options, path]));
  const { report } = await run;
  expect({ name, ending: report.ending }).toMatchObject({ name, ending });
}

/** Runs everything, `AT_ONCE` at a time, in the order given. */
async function together(works: readonly (() => Promise<void>)[]): Promise<void> {
  const left = [...works];
  const lane = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await next();
  };
  await Promise.all(Array.from({ length: AT_ONCE }, lane));
}

/** The time that 99 of 100 stay below; of fewer, the longest. */
function p99(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  return `${sorted[Math.ceil(sorted.length * 0.99) - 1]!.toFixed(0)} ms`;
}

/** What lies below `directory`, by its length in bytes. */
function bytesBelow(directory: string): number {
  let total = 0;
  for (const entry of readdirSync(directory, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) total += statSync(join(entry.parentPath, entry.name)).size;
  }
  return total;
}

/** Databases keep what they had at their largest; beside it nothing may be left. */
const LEFT_BYTES_MAX = 2 * 2 ** 20;

test('hostile guests end by their caps, honest ones as ever, and nothing is left', async () => {
  const quiet: number[] = [];
  const alone = await honest();
  for (let round = 0; round < 2 * ROUNDS; round++) quiet.push((await honest()).ms);

  const state = await openState(home);
  const seen = new Map<number, ProcessIdentity>();
  const watching = setInterval(() => {
    for (const { run } of state.table.list(state.owner)) {
      for (const one of [run.host, run.cell]) if (one !== null) seen.set(one.pid, one);
    }
  }, 50);

  const stored = (): number => bytesBelow(home) - bytesBelow(join(home, 'cache'));
  const bytesBefore = stored();
  const descriptorsBefore = readdirSync('/proc/self/fd').length;
  const beside: number[] = [];
  const works = Array.from({ length: ROUNDS }, () => {
    const names = Object.keys(HOSTILE).map((name) => () => hostile(name));
    const good = async (): Promise<void> => {
      const { output, ms } = await honest();
      expect(output).toBe(alone.output);
      beside.push(ms);
    };
    return [...names.slice(0, 5), good, ...names.slice(5), good];
  }).flat();
  await together(works);
  const count = Object.keys(HOSTILE).length * ROUNDS;
  console.log(
    `storm: ${count} hostile guests, ${beside.length} honest, ${seen.size} processes seen; p99 of honest runs ${p99(quiet)} alone, ${p99(beside)} in the storm`,
  );

  clearInterval(watching);
  await state.close();
  expect(seen.size).toBeGreaterThan(count);
  expect([...seen.values()].filter(isAlive)).toEqual([]);
  const { stdout } = await stasis(['ps', '--all', '--json']);
  expect(JSON.parse(stdout.toString('utf8'))).toEqual({ jobs: [] });
  for (const place of ['jobs', 'run', 'modules']) {
    expect([place, readdirSync(join(home, place))]).toEqual([place, []]);
  }
  const { status } = await stasis(['vault', 'gc']);
  expect(status).toBe(0);
  const grown = stored() - bytesBefore;
  console.log(`storm: the state directory has ${grown} bytes more, its cache aside`);
  expect(grown).toBeLessThan(LEFT_BYTES_MAX);
  expect(readdirSync('/proc/self/fd').length).toBeLessThanOrEqual(descriptorsBefore);
});
