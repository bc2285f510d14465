/**
 * Calls of WASI a second, from inside a guest: ours, `node:wasi` and the browser shim, in turns, each run a
 * process of its own. Ratios are to `node:wasi` of the same round.
 */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import wabt from 'wabt';
import { measureApart } from './fresh-process.ts';
import { halfSpread, median } from './statistics.ts';

export const HOSTS = ['node', 'stasis', 'bjorn3'] as const;
export type Host = (typeof HOSTS)[number];

/** In the order of the guest's numbers, with how often it makes each; a listing counts as one call. */
const KINDS = [
  ['clock', 1_000_000],
  ['read 64 bytes', 100_000],
  ['write 64 bytes', 100_000],
  ['read 64 KiB', 3000],
  ['write 64 KiB', 1000],
  ['open and close', 20_000],
  ['list 10,000 entries', 3],
] as const;

export interface WasiResult {
  readonly call: string;
  /** Medians, calls a second of processor time. */
  readonly perSecond: Readonly<Record<Host, number>>;
  /** Medians of each round's ratio to `node:wasi`. */
  readonly ratios: Readonly<Record<Host, number>>;
  /** How far our ratios lay apart, halved. */
  readonly noise: number;
}

const DATA_BYTES = 8 * 1024 * 1024;
const ENTRIES = 10_000;
/** A directory that was changed just now is not listed in the short way: see `handle/listing.ts`. */
const SETTLE_MS = 2500;

export async function measureWasi(options: {
  readonly folder: string;
  readonly rounds: number;
}): Promise<readonly WasiResult[]> {
  const folder = join(options.folder, 'wasi');
  try {
    return compared(await rounds(folder, options));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

type Times = Readonly<Record<Host, readonly number[]>>;

async function rounds(
  folder: string,
  { folder: cache, rounds: count }: { readonly folder: string; readonly rounds: number },
): Promise<readonly Times[]> {
  const files = join(folder, 'files');
  mkdirSync(join(files, 'many'), { recursive: true });
  writeFileSync(join(files, 'data'), new Uint8Array(DATA_BYTES));
  writeFileSync(join(files, 'out'), new Uint8Array(DATA_BYTES));
  for (let index = 0; index < ENTRIES; index++) {
    writeFileSync(join(files, 'many', `entry-number-${index}`), '');
  }
  const module = join(folder, 'calls.wasm');
  writeFileSync(module, await assembled());
  await sleep(SETTLE_MS);
  const all: Times[] = [];
  for (let round = 0; round < count; round++) {
    const times: Partial<Record<Host, readonly number[]>> = {};
    for (let turn = 0; turn < HOSTS.length; turn++) {
      const host = HOSTS[(round + turn) % HOSTS.length]!;
      const flags = ['--disable-warning=ExperimentalWarning'];
      times[host] = measureApart<number[]>(cache, 'wasi-run.ts', [host, folder, module], flags);
    }
    all.push(times as Times);
  }
  return all;
}

async function assembled(): Promise<Uint8Array> {
  const { parseWat } = await wabt();
  const text = await readFile(join(import.meta.dirname, 'wasi-calls.wat'), 'utf8');
  const module = parseWat('wasi-calls.wat', text);
  const { buffer } = module.toBinary({});
  module.destroy();
  return buffer;
}

function compared(all: readonly Times[]): readonly WasiResult[] {
  return KINDS.map(([call, count], kind) => {
    const ratiosOf = (host: Host) => all.map((times) => times.node[kind]! / times[host][kind]!);
    const byHost = (figure: (host: Host) => number) =>
      Object.fromEntries(HOSTS.map((host) => [host, figure(host)])) as Record<Host, number>;
    return {
      call,
      perSecond: byHost((host) => median(all.map((times) => (count * 1e9) / times[host][kind]!))),
      ratios: byHost((host) => median(ratiosOf(host))),
      noise: halfSpread(ratiosOf('stasis')),
    };
  });
}
