/**
 * What a guest's process costs: a small guest from the request to its end, in a cell that is begun for it and in one
 * that was begun ahead, confined and not, in turns.
 */

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import wabt from 'wabt';
import { EMPTY_START } from '../src/cell/empty-start.ts';
import type { StartMessage } from '../src/cell/protocol.ts';
import type { ConfineMode } from '../src/confine/confinement.ts';
import { cellProgram, NO_GRANTS } from '../src/host/cell-command.ts';
import { CellPool } from '../src/host/cell-pool.ts';
import { superviseGuest } from '../src/host/supervise.ts';
import { instrument } from '../src/instrument/instrument.ts';
import { median } from './statistics.ts';

export interface CellStartResult {
  readonly confine: ConfineMode;
  readonly ahead: boolean;
  /** Median, from the request to the end of the process. */
  readonly wallMs: number;
  /** Median of each round's ratio to the first variant: unconfined, not begun ahead. */
  readonly ratio: number;
}

const START: StartMessage = {
  ...EMPTY_START,
  cached: true,
  limits: { ...EMPTY_START.limits, memoryPages: 16, tableEntries: 16 },
};

const VARIANTS = (['off', 'auto'] as const).flatMap((confine) =>
  [false, true].map((ahead) => ({ confine, ahead })),
);

/** The program has to be built. */
export async function measureCellStarts(rounds: number): Promise<readonly CellStartResult[]> {
  const program = cellProgram(process.execPath, join(import.meta.dirname, '../dist/'));
  const { parseWat } = await wabt();
  const text = readFileSync(join(import.meta.dirname, 'hello.wat'), 'utf8');
  const module = Uint8Array.from(parseWat('hello.wat', text).toBinary({}).buffer);
  const { bytes, plan } = instrument(module);

  async function run(confine: ConfineMode, ahead: boolean): Promise<number> {
    const pool = new CellPool({
      program,
      confine,
      identity: null,
      fresh: ahead ? 1 : 0,
      restored: 0,
    });
    await pool.settled();
    if (pool.size !== Number(ahead)) throw new Error('no cell could be begun ahead');
    const begunMs = performance.now();
    const guest = await superviseGuest({
      program,
      blanks: pool,
      start: START,
      attachments: [module, bytes, plan],
      grants: NO_GRANTS,
      confine,
      logFd: null,
      stdio: null,
      identity: null,
      furtherFds: [],
      timeoutMs: null,
      checkpointEveryMs: null,
      seal: () => Promise.reject(new Error('nothing is captured here')),
      onInstrumented: () => {},
      onStarted: () => {},
      onTrouble: () => {},
    });
    // Another one is not to be begun beside it.
    pool.close();
    const { ending } = await guest.ended;
    const wallMs = performance.now() - begunMs;
    if (ending.kind !== 'exit' || ending.code !== 0) throw new Error(JSON.stringify(ending));
    return wallMs;
  }

  const times: number[][] = [];
  for (let round = 0; round <= rounds; round++) {
    const found: number[] = [];
    for (const { confine, ahead } of VARIANTS) found.push(await run(confine, ahead));
    // The first one brings files into memory.
    if (round > 0) times.push(found);
  }
  return VARIANTS.map((variant, at) => ({
    ...variant,
    wallMs: median(times.map((found) => found[at]!)),
    ratio: median(times.map((found) => found[at]! / found[0]!)),
  }));
}
