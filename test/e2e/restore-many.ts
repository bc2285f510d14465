/**
 * A process that restores many checkpoints of one job to their ends, one after the other, each opened
 * from the vault and in an instance of its own. Started by `captured-job.ts`, which reads what it prints:
 * one line of JSON a checkpoint.
 */
import assert from 'node:assert/strict';
import { wallClockNow } from '../../src/cell/wall-clock.ts';
import { findInstrumented } from '../../src/host/instrument-cache.ts';
import { INSTRUMENTER_VERSION } from '../../src/instrument/version.ts';
import { type FileContents, putFiles } from './files-at.ts';
import { openState } from './open-state.ts';
import { type RestoredRun, restoredRun } from './restored-run.ts';

/** Standard input: one JSON object. */
export interface ManyRestores {
  readonly home: string;
  readonly logFile: string;
  readonly checkpoints: readonly {
    readonly id: string;
    readonly lines: readonly string[];
    /** To be written into the granted directory before. */
    readonly files: FileContents;
  }[];
}

/** A line of the output. */
export interface OneRestore {
  readonly id: string;
  readonly run: RestoredRun;
}

async function restoreMany({ home, logFile, checkpoints }: ManyRestores): Promise<void> {
  const state = await openState(home);
  for (const { id, lines, files } of checkpoints) {
    const { plan, opened } = await state.open(id);
    for (const { hostPath } of plan.request.preopens) putFiles(hostPath, files);
    const key = { module: plan.module.digest, instrumenter: INSTRUMENTER_VERSION };
    const instrumented = findInstrumented(state.places, key, wallClockNow);
    assert(instrumented !== null, 'the run left its instrumented module in the cache');
    const run = await restoredRun({
      request: plan.request,
      module: plan.module.bytes,
      instrumented,
      head: opened.head,
      pages: opened.pages,
      logFile,
      lines,
    });
    process.stdout.write(`${JSON.stringify({ id, run } satisfies OneRestore)}\n`);
  }
  await state.close();
}

const parts: Buffer[] = [];
for await (const part of process.stdin) parts.push(part as Buffer);
// As in a cell: unwinding throws once a frame, and traces would make a deep stack cost its square.
Error.stackTraceLimit = 0;
await restoreMany(JSON.parse(Buffer.concat(parts).toString('utf8')) as ManyRestores);
