/**
 * Pages of a pool, copied and in windows: the guest `pool-rates` in a cell of its own, by the command.
 *
 * Both ways run in turns, and the median over the rounds counts; the guest itself gives the least of five.
 */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { median } from './statistics.ts';

const ROOT = join(import.meta.dirname, '..');
const MODULE = join(ROOT, 'guests', 'build', 'pools', 'pool-rates.wasm');
const WAYS = ['copy', 'window'] as const;
export const POOL_PAGE_BYTES = [4096, 65_536] as const;

export interface PoolResult {
  readonly pageBytes: number;
  /** What a round of the guest does, as it names it. */
  readonly work: string;
  /** Nanoseconds for pinning, that work, and unpinning. */
  readonly copyNs: number;
  readonly windowNs: number;
}

/** Nothing where the system has no windows. */
export function measurePools(folder: string, rounds: number): PoolResult[] {
  return POOL_PAGE_BYTES.flatMap((pageBytes) => {
    const found = new Map<string, Record<(typeof WAYS)[number], number[]>>();
    for (let round = 0; round < rounds; round++) {
      for (const way of WAYS) {
        for (const [work, ns] of measureOnce(folder, pageBytes, way)) {
          const times = found.get(work) ?? { copy: [], window: [] };
          times[way].push(ns);
          found.set(work, times);
        }
      }
    }
    return [...found]
      .filter(([, { window }]) => window.length > 0)
      .map(([work, { copy, window }]) => ({
        ...{ pageBytes, work },
        copyNs: median(copy),
        windowNs: median(window),
      }));
  });
}

function measureOnce(
  folder: string,
  pageBytes: number,
  way: (typeof WAYS)[number],
): [string, number][] {
  const file = join(folder, `pages-${pageBytes}`);
  const args = ['--disable-warning=ExperimentalWarning', join(ROOT, 'src', 'cli', 'main.ts')];
  const run = ['run', '--pool', `rates=${file},page=${pageBytes},frames=16`, MODULE];
  let text: string;
  try {
    text = execFileSync(process.execPath, [...args, ...run, String(pageBytes), '2000', way], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'inherit'],
      env: { STASIS_HOME: join(folder, 'home') },
    });
  } catch (error) {
    const { stdout } = error as { readonly stdout?: string };
    // The guest says so when the pool can't be opened: no windows here.
    if (stdout?.startsWith('pool_open: error 58') === true) return [];
    throw error;
  }
  return [...text.matchAll(/^([a-z-]+) (\d+)$/gm)].map(([, work, ns]) => [work!, Number(ns)]);
}
