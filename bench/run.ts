/**
 * The benchmark: `npm run bench -- [--quick] [--rounds N] [--only kernels|instrument|pause|changed|safepoints|stacks|pool|wasi|start|stored|scaling|vault] [KERNEL…]`.
 *
 * It prints a table or two for each part, and writes all figures to `bench/results/latest.json` when it ran whole; a part
 * that ran alone takes the place of its own figures there. They are ratios and medians: nothing here
 * passes or fails. `docs/performance.md` says what they mean. The kernels are drawn in `kernels.svg` beside it.
 *
 * `npm run bench -- --compare FILE` measures nothing, and prints what differs by more than a tenth between FILE, results
 * of an earlier run, and `latest.json`.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { ENGINE_FLAGS } from '../src/cell/engine-flags.ts';
import { type CellStartResult, measureCellStarts } from './cell-starts.ts';
import { barChart } from './chart.ts';
import { changesBetween } from './compare.ts';
import { makeScratch, measureApart } from './fresh-process.ts';
import type { InstrumentResult } from './instrument-run.ts';
import { type KernelResult, measureKernels, overall, VARIANTS, type Variant } from './kernels.ts';
import { machineFacts } from './machine.ts';
import type { PauseResult } from './pause-run.ts';
import { benchChanged, benchSafepoints, benchStacks } from './pausing.ts';
import { measurePools, type PoolResult } from './pools.ts';
import { INSTRUMENTED, PAUSED } from './programs.ts';
import { benchScaling } from './scaling.ts';
import { measureStarting, type StartResult } from './starting.ts';
import { benchStored } from './stored.ts';
import { Table } from './table.ts';
import { GROWING, measureVault, type VaultResult } from './vault.ts';
import { measureWasi, type WasiResult } from './wasi-hosts.ts';

const MB = 1e6;
const PARTS = [
  'kernels',
  'instrument',
  'pause',
  'changed',
  'safepoints',
  'stacks',
  'pool',
  'wasi',
  'start',
  'stored',
  'scaling',
  'vault',
] as const;
type Part = (typeof PARTS)[number];

const { values: options, positionals: kernels } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: 'boolean', default: false },
    only: { type: 'string' },
    compare: { type: 'string' },
    rounds: { type: 'string', default: '5' },
  },
});
const { quick, only } = options;
if (only !== undefined && !PARTS.includes(only as Part)) {
  console.error(`--only takes one of ${PARTS.join(', ')}`);
  process.exit(2);
}
const RESULTS = join(import.meta.dirname, 'results');
const LATEST = join(RESULTS, 'latest.json');
/** Less than that is hardly more than noise. */
const CHANGED = 0.1;
const HEADS: Readonly<Record<Variant, string>> = {
  raw: 'raw',
  control: 'raw again',
  ours: '--no-osr',
  replacing: ' ours',
  polledAsyncify: 'Asyncify, same polls',
  asyncify: 'Asyncify, no polls',
};

const kernelRounds = quick ? 2 : Number(options.rounds);
if (!(Number.isSafeInteger(kernelRounds) && kernelRounds > 0)) {
  console.error('--rounds takes a number of rounds, for the kernels');
  process.exit(2);
}
if (options.compare !== undefined) {
  compareWith(options.compare);
  process.exit();
}
const wants = (part: Part): boolean => only === undefined || only === part;
const print = (line: string): void => console.log(line);
const scratch = makeScratch();
const way = { folder: scratch.folder, quick, print };

try {
  const results = {
    date: new Date().toISOString().slice(0, 10),
    quick,
    kernels: wants('kernels') ? benchKernels() : [],
    instrument: wants('instrument') ? benchInstrument() : [],
    pause: wants('pause') ? benchPause() : [],
    changed: wants('changed') ? benchChanged(way) : [],
    safepoints: wants('safepoints') ? benchSafepoints(way) : [],
    stacks: wants('stacks') ? benchStacks(way) : [],
    pool: wants('pool') ? benchPools() : [],
    wasi: wants('wasi') ? await benchWasi() : [],
    start: wants('start') ? await benchStarting() : [],
    cells: wants('start') ? await benchCellStarts() : [],
    stored: wants('stored') ? await benchStored(way) : [],
    scaling: wants('scaling') ? await benchScaling(way) : [],
    vault: wants('vault') ? await benchVault() : null,
    machine: machineFacts(),
  };
  if (kernels.length === 0 && !quick) keep(results);
} finally {
  scratch.remove();
}

/** The machine's facts are those of the last whole run. */
function keep(results: Readonly<Record<string, unknown>>): void {
  mkdirSync(RESULTS, { recursive: true });
  const before = only === undefined ? {} : JSON.parse(readFileSync(LATEST, 'utf8'));
  const own = only === 'start' ? ['start', 'cells'] : [only!];
  const part = Object.fromEntries(own.map((name) => [name, results[name]]));
  const after = only === undefined ? results : { ...before, ...part };
  writeFileSync(LATEST, `${JSON.stringify(after, null, 2)}\n`);
  if (!wants('kernels')) return;
  const rows = results['kernels'] as readonly KernelResult[];
  const shown = VARIANTS.filter((variant) => variant !== 'raw');
  const chart = barChart({
    title: 'Time against the raw module in the same engine; shorter is better',
    series: shown.map((variant) => HEADS[variant].trim()),
    rows: rows.map(({ kernel, ratios }) => ({
      name: kernel,
      values: shown.map((variant) => ratios[variant] ?? null),
    })),
  });
  writeFileSync(join(RESULTS, 'kernels.svg'), chart);
}

function compareWith(file: string): void {
  const read = (path: string): unknown => JSON.parse(readFileSync(path, 'utf8'));
  const changes = changesBetween(read(file), read(LATEST), CHANGED);
  const table = new Table(['what', '    before', '     after', 'after / before'], 60, console.log);
  for (const { path, before, after } of changes) {
    const ratio = before === 0 ? '–' : (after / before).toFixed(2);
    table.row([path, before.toPrecision(4), after.toPrecision(4), ratio]);
  }
}

async function benchWasi(): Promise<readonly WasiResult[]> {
  print(
    'Calls of WASI from inside a guest: a second of processor time, and as ratios to node:wasi.\n',
  );
  const heads = [
    'node:wasi',
    '     ours',
    ' in-memory shim',
    'ours / node',
    'shim / node',
    'noise ±',
  ];
  const table = new Table(['call', ...heads], 20, print);
  const found = await measureWasi({ folder: scratch.folder, rounds: quick ? 1 : 5 });
  for (const { call, perSecond, ratios, noise } of found) {
    const rates = [perSecond.node, perSecond.stasis, perSecond.bjorn3];
    const cells = rates.map((rate) =>
      rate < 1000 ? rate.toFixed(1) : Math.round(rate).toString(),
    );
    const compared = [ratios.stasis, ratios.bjorn3, noise].map((ratio) => ratio.toFixed(2));
    table.row([call, ...cells, ...compared]);
  }
  print('');
  return found;
}

async function benchStarting(): Promise<readonly StartResult[]> {
  print(
    'A guest that writes a line, from the start of the command to its exit, and other commands.\n',
  );
  const heads = ['wall ms', 'processor ms', 'wall / node:wasi', 'noise ±'];
  const table = new Table(['command', ...heads], 18, print);
  const found = await measureStarting({ folder: scratch.folder, rounds: quick ? 3 : 21 });
  for (const { what, wallMs, cpuMs, ratio, noise } of found) {
    table.row([what, wallMs.toFixed(0), cpuMs.toFixed(0), ratio.toFixed(2), noise.toFixed(2)]);
  }
  print('');
  return found;
}

async function benchCellStarts(): Promise<readonly CellStartResult[]> {
  print('A small guest from the request to its end, in a cell begun for it or ahead.\n');
  const heads = ['wall ms', '/ unconfined, not ahead'];
  const table = new Table(['cell', ...heads], 24, print);
  const found = await measureCellStarts(quick ? 3 : 15);
  for (const { confine, ahead, wallMs, ratio } of found) {
    const what = `${confine === 'off' ? 'unconfined' : 'confined'}${ahead ? ', begun ahead' : ''}`;
    table.row([what, wallMs.toFixed(1), ratio.toFixed(2)]);
  }
  print('');
  return found;
}

function benchKernels(): readonly KernelResult[] {
  const variants: readonly Variant[] = quick ? ['raw', 'control', 'ours', 'replacing'] : VARIANTS;
  print('Time of a kernel against the raw module, medians of runs in turns.\n');
  const shown = variants.filter((variant) => variant !== 'raw');
  const names = shown.map((variant) => HEADS[variant]);
  const table = new Table(['kernel', ' raw ms', ...names, 'noise ±'], 12, print);
  const found = measureKernels({
    folder: scratch.folder,
    rounds: kernelRounds,
    variants,
    kernels,
    onKernel: ({ kernel, rawMs, ratios, noise }) => {
      const cells = shown.map((variant) => ratios[variant]?.toFixed(2) ?? '–');
      table.row([kernel, rawMs.toFixed(0), ...cells, noise.toFixed(2)]);
    },
  });
  table.row(['geomean', '', ...shown.map((variant) => overall(found, variant).toFixed(3)), '']);
  print('');
  return found;
}

function benchInstrument(): readonly InstrumentResult[] {
  print('Instrumenting: processor time of one thread, a fresh process each.\n');
  const heads = ['code MB', 'first ms', ' best ms', 'first MB/s', 'best MB/s', 'code grows'];
  const engine = ['compile raw ms', 'instrumented ms'];
  const table = new Table(['module', ...heads, ...engine], 18, print);
  const found = INSTRUMENTED.map(({ name }) => {
    const args = [name, quick ? '3' : '6'];
    const result = measureApart<InstrumentResult>(scratch.folder, 'instrument-run.ts', args);
    const { codeBytes, firstMs, bestMs, instrumentedCodeBytes, compileRawMs, compileMs } = result;
    table.row([
      name,
      (codeBytes / MB).toFixed(2),
      firstMs.toFixed(0),
      bestMs.toFixed(0),
      (codeBytes / firstMs / 1000).toFixed(1),
      (codeBytes / bestMs / 1000).toFixed(1),
      `${((instrumentedCodeBytes / codeBytes - 1) * 100).toFixed(0)} %`,
      compileRawMs.toFixed(1),
      compileMs.toFixed(1),
    ]);
    return result;
  });
  print('');
  return found;
}

async function benchVault(): Promise<VaultResult> {
  const found = await measureVault({
    folder: scratch.folder,
    pages: quick ? 240 : 960,
    rounds: quick ? 1 : 5,
    checkpoints: quick ? [100, 1000] : [100, 1000, 10_000],
  });
  const { rates, anchors, growth } = found;
  print(
    `The vault with ${(found.dataBytes / MB).toFixed(0)} MB, beside a backup-like pass in the same run.\n`,
  );
  const heads = ['   MB/s', '/ memcpy', '/ AES-GCM', '/ SHA-256', '/ backup-like'];
  const table = new Table(['work', ...heads], 28, print);
  const works = [
    ['seal', rates.seal],
    ['seal again, 5 % changed', rates.sealAgain],
    ['backup-like', rates.backupLike],
    ['verify --read-data, of two', rates.verify],
    ['restore', rates.restore],
    ['memcpy', anchors.memcpy],
    ['AES-GCM', anchors.aesGcm],
    ['SHA-256', anchors.sha256],
  ] as const;
  for (const [work, rate] of works) {
    const bases = [anchors.memcpy, anchors.aesGcm, anchors.sha256, rates.backupLike];
    table.row([work, rate.toFixed(0), ...bases.map((base) => (rate / base).toFixed(2))]);
  }
  print(
    `A sync takes ${anchors.fdatasyncMs.toFixed(1)} ms. Stored: ${(found.storedShare * 100).toFixed(1)} % of the data, ` +
      `then ${(found.storedAgainShare * 100).toFixed(1)} % of that.\n`,
  );
  const times = new Table(
    ['ms / processor ms', ...GROWING.map((name) => name.padStart(13))],
    22,
    print,
  );
  for (const row of growth) {
    const many = `${row.checkpoints} of ${row.owners}`;
    const cells = GROWING.map((name) => row[name]);
    times.row([
      many,
      ...cells.map(({ ms, processorMs }) => `${ms.toFixed(1)} / ${processorMs.toFixed(1)}`),
    ]);
  }
  print('');
  return found;
}

function benchPools(): readonly PoolResult[] {
  print('Pinning and unpinning a page of a pool, copied and in a window.\n');
  const heads = ['page bytes', ' copied us', 'window us', 'window / copied'];
  const table = new Table(['work', ...heads], 16, print);
  const found = measurePools(scratch.folder, quick ? 1 : 5);
  for (const { work, pageBytes, copyNs, windowNs } of found) {
    const cells = [copyNs / 1000, windowNs / 1000, windowNs / copyNs];
    table.row([work, String(pageBytes), ...cells.map((cell) => cell.toFixed(2))]);
  }
  if (found.length === 0) print('There are no windows on this system.');
  print('');
  return found;
}

function benchPause(): readonly PauseResult[] {
  print('A checkpoint’s pause against a memcpy: on the wall / of the guest’s thread alone.\n');
  const heads = [
    'frames',
    'image MB',
    '  memcpy ms',
    '   pause ms',
    '      least',
    '        first',
  ];
  const parts = ['       aim', '     ahead ms', 'lacked twins', 'restore ms'];
  const table = new Table(['guest', ...heads, ...parts], 23, print);
  const found = PAUSED.map(({ name }) => {
    const args = [name, quick ? '4' : '15'];
    const result = measureApart<PauseResult>(scratch.folder, 'pause-run.ts', args, ENGINE_FLAGS);
    table.row([
      name,
      String(result.frames),
      (result.imageBytes / MB).toFixed(2),
      both(result.memcpyMs, result.busy?.memcpyMs, 2),
      both(result.pauseMs, result.busy?.pauseMs),
      both(result.leastMs, result.busy?.leastMs),
      both(result.firstMs, result.busy?.firstMs),
      both(aim(result.memcpyMs), aim(result.busy?.memcpyMs ?? 0)),
      `${result.aheadMs.toFixed(0)}, ≤ ${result.aheadMostMs.toFixed(0)}`,
      `${result.waited} of ${result.checkpoints}`,
      result.restoreMs.toFixed(1),
    ]);
    return result;
  });
  print('');
  return found;
}

/** What a pause may take for that memcpy, in milliseconds. */
function aim(memcpyMs: number): number {
  return memcpyMs * 1.5 + 5;
}

/** On the wall, and of the thread alone where that is known. */
function both(wallMs: number, busyMs: number | undefined, digits = 1): string {
  return `${wallMs.toFixed(digits)} / ${busyMs?.toFixed(digits) ?? '–'}`;
}
