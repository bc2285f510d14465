/**
 * What two checkpoints of a run take in the vault, the first and one a twentieth of the run later, against the same
 * memory compressed as it is, and against what a process dumper would write: every anonymous page of the cell's process,
 * as CRIU does it without compression. Bytes, so nothing here depends on the machine's speed.
 */
import assert from 'node:assert/strict';
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { constants, gzipSync, zstdCompressSync } from 'node:zlib';
import { PAGE_BYTES } from '../src/image/image.ts';
import { restorePages } from '../src/image/memory-capture.ts';
import { type OpenState, openState } from '../test/e2e/open-state.ts';
import { reported, stasisIn } from '../test/e2e/stasis-command.ts';
import { CHANGING_HEAP, PAUSED, type Program } from './programs.ts';
import { Table } from './table.ts';

export interface StoredResult {
  readonly program: string;
  /** The first and the second. */
  readonly checkpoints: readonly StoredCheckpoint[];
  /** Anonymous memory of the cell's process shortly before the second; 0 where the system does not say. */
  readonly processBytes: number;
}

export interface StoredCheckpoint {
  /** The guest's whole linear memory. */
  readonly memoryBytes: number;
  /** What the image holds of it, with the stack and the rest. */
  readonly imageBytes: number;
  /** What the vault grew by. */
  readonly storedBytes: number;
  /** The whole memory, compressed by itself: gzip -6, zstd -3. */
  readonly gzipBytes: number;
  readonly zstdBytes: number;
}

/** Units of fuel in which that guest changes 5 % of its memory, once. */
const CHANGED_ONCE = 820n;
const GZIP_LEVEL = 6;
const ZSTD_LEVEL = 3;
const POLL_MS = 10;
const STOPPED = { kind: 'checkpointed' };
const KIB = 1024;

/** Throws when the program is not built. */
export async function benchStored(options: {
  readonly folder: string;
  readonly quick: boolean;
  readonly print: (line: string) => void;
}): Promise<readonly StoredResult[]> {
  const { print, quick } = options;
  print('What a first checkpoint takes, and one a twentieth of the run later, in MB.\n');
  const heads = [
    ' memory',
    '  image',
    ' stored',
    '/ zstd',
    '/ gzip',
    '   zstd',
    '   gzip',
    'process',
  ];
  const table = new Table(['program, checkpoint', ...heads], 24, print);
  const found: StoredResult[] = [];
  const programs = [CHANGING_HEAP, ...PAUSED];
  for (const program of quick ? programs.slice(0, 2) : programs) {
    const folder = join(options.folder, 'stored');
    mkdirSync(folder);
    try {
      const result = await measureProgram(folder, program);
      for (const [at, checkpoint] of result.checkpoints.entries()) {
        table.row([`${result.program}, ${at + 1}`, ...cellsOf(checkpoint, result.processBytes)]);
      }
      found.push(result);
    } finally {
      rmSync(folder, { recursive: true });
    }
  }
  print('');
  return found;
}

function cellsOf(checkpoint: StoredCheckpoint, processBytes: number): string[] {
  const { memoryBytes, imageBytes, storedBytes, zstdBytes, gzipBytes } = checkpoint;
  const mb = (bytes: number): string => (bytes / 1e6).toFixed(3);
  return [
    ...[memoryBytes, imageBytes, storedBytes].map(mb),
    ...[zstdBytes, gzipBytes].map((bytes) => (storedBytes / bytes).toFixed(2)),
    ...[zstdBytes, gzipBytes, processBytes].map(mb),
  ];
}

async function measureProgram(folder: string, program: Program): Promise<StoredResult> {
  const module = join(folder, 'guest.wasm');
  writeFileSync(module, program.bytes());
  // For what Flite says.
  mkdirSync(join(folder, 'out'));
  const stasis = stasisIn(join(folder, 'home'));
  // QuickJS names imports that its scripts don't need.
  const given = ['--trap-unknown-imports', '--dir', `${join(folder, 'out')}::/out`];
  const guest = [...given, module, ...program.args];
  const whole = await reported(stasis(['run', '--json', '--name', 'whole', ...guest]));
  const { ending, fuel } = whole.report;
  assert.deepEqual(ending, { kind: 'exit', code: 0 }, program.name);
  const half = BigInt(fuel!) / 2n;
  const later = half + (program === CHANGING_HEAP ? CHANGED_ONCE : half / 10n);
  const until = (fuel: bigint): string[] => ['--json', ...['--checkpoint-at-fuel', `${fuel}:stop`]];
  const state = await openState(stasis.home);
  try {
    // Stopped at each, so that the second does not wait until the first is sealed.
    const first = stasis(['run', ...until(half), '--name', 'stopped', ...guest]);
    assert.deepEqual((await reported(first)).report.ending, STOPPED, program.name);
    const second = reported(stasis(['restore', ...until(later), 'stopped']));
    const processBytes = await watchProcess(state, second);
    assert.deepEqual((await second).report.ending, STOPPED, program.name);
    return { program: program.name, checkpoints: await readCheckpoints(state), processBytes };
  } finally {
    await state.close();
  }
}

/** The last that was seen of the cell's anonymous memory before the run was over. */
async function watchProcess(state: OpenState, run: ReturnType<typeof reported>): Promise<number> {
  let over = false;
  const end = (): void => {
    over = true;
  };
  run.then(end, end);
  let bytes = 0;
  while (!over) {
    await sleep(POLL_MS);
    bytes = anonymousBytes(state) ?? bytes;
  }
  return bytes;
}

function anonymousBytes(state: OpenState): number | null {
  try {
    const { cell } = state.table.find(state.owner, 'stopped').run;
    const rollup = readFileSync(`/proc/${cell!.pid}/smaps_rollup`, 'latin1');
    const kib = Number(/^Anonymous:\s+(\d+) kB$/m.exec(rollup)?.[1] ?? 0);
    return kib === 0 ? null : kib * KIB;
  } catch {
    // Not there yet, or not any more.
    return null;
  }
}

async function readCheckpoints(state: OpenState): Promise<StoredCheckpoint[]> {
  const found: StoredCheckpoint[] = [];
  for (const { id, imageBytes, storedBytes } of await state.checkpoints('stopped')) {
    const { head, opened } = await state.open(id);
    const views = head.memories.map(({ sizePages }) => new Uint8Array(sizePages * PAGE_BYTES));
    restorePages(views, head.memories, opened.pages);
    const memory = Buffer.concat(views);
    found.push({
      memoryBytes: memory.length,
      imageBytes,
      storedBytes,
      gzipBytes: gzipSync(memory, { level: GZIP_LEVEL }).length,
      zstdBytes: zstdCompressSync(memory, {
        params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL },
      }).length,
    });
  }
  return found;
}
