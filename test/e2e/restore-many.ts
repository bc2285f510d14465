/**
 * A process that restores many checkpoints of one job to their ends, one after the other: each is opened
 * from the vault and goes on in a cell of its own, a new process of the built program. Started by
 * `captured-job.ts`, which reads what it prints: one line of JSON a checkpoint.
 *
 * It does a host's work with a host's code, but is one host for all: what is left out is the command
 * around it, which would take three times as long as the cell.
 */

import assert from 'node:assert/strict';
import { closeSync, ftruncateSync, openSync, readFileSync } from 'node:fs';
import { wallClockNow } from '../../src/cell/wall-clock.ts';
import { type CellProgram, cellProgram, NO_GRANTS } from '../../src/host/cell-command.ts';
import { LOG_FD } from '../../src/host/cell-process.ts';
import { findInstrumented } from '../../src/host/instrument-cache.ts';
import type { RunOutcome } from '../../src/host/job-records.ts';
import { providerDirectories } from '../../src/host/provider-file.ts';
import { type PausedImage, type SealedImage, superviseGuest } from '../../src/host/supervise.ts';
import { INSTRUMENTER_VERSION } from '../../src/instrument/version.ts';
import { UNATTENDED } from '../host/unattended.ts';
import { type FileContents, putFiles } from './files-at.ts';
import { startOf } from './guest-thread.ts';
import { type OpenState, openState } from './open-state.ts';
import { readStreams } from './streams.ts';

/** Standard input: one JSON object. */
export interface ManyRestores {
  readonly home: string;
  /** Directory of the built program that cells run. */
  readonly cellCode: string;
  /** A file for the log; it is written anew by each. */
  readonly logFile: string;
  readonly checkpoints: readonly {
    readonly id: string;
    /** To be written into the granted directory before. */
    readonly files: FileContents;
  }[];
}

/** A line of the output. */
export interface OneRestore {
  readonly id: string;
  readonly outcome: RunOutcome;
  /** What it wrote after the checkpoint, in base64. */
  readonly stdout: string;
  readonly stderr: string;
}

async function restoreMany(order: ManyRestores): Promise<void> {
  const program = cellProgram(process.execPath, order.cellCode);
  const state = await openState(order.home);
  const logFd = openSync(order.logFile, 'a+');
  for (const { id, files } of order.checkpoints) {
    ftruncateSync(logFd);
    const outcome = await restoreOne({ state, program, logFd }, id, files);
    const { stdout, stderr } = readStreams(readFileSync(order.logFile));
    const line: OneRestore = {
      id,
      outcome,
      stdout: stdout.toString('base64'),
      stderr: stderr.toString('base64'),
    };
    process.stdout.write(`${JSON.stringify(line)}\n`);
  }
  closeSync(logFd);
  await state.close();
}

interface Tools {
  readonly state: OpenState;
  readonly program: CellProgram;
  readonly logFd: number;
}

async function restoreOne(
  { state, program, logFd }: Tools,
  id: string,
  files: FileContents,
): Promise<RunOutcome> {
  const { plan, opened } = await state.open(id);
  const { request, module } = plan;
  for (const { hostPath } of request.preopens) putFiles(hostPath, files);
  const key = { module: module.digest, instrumenter: INSTRUMENTER_VERSION };
  const instrumented = findInstrumented(state.places, key, wallClockNow);
  assert(instrumented !== null, 'the run left its instrumented module in the cache');
  let started = 0;
  const guest = await superviseGuest({
    ...UNATTENDED,
    program,
    start: { ...startOf(request), cached: true, restore: opened.head, logFd: LOG_FD },
    attachments: [module.bytes, instrumented.bytes, instrumented.plan, opened.pages],
    grants: {
      ...NO_GRANTS,
      preopens: request.preopens,
      paths: providerDirectories(plan.providers),
    },
    logFd,
    seal: acknowledge,
    onInstrumented: () => assert.fail('it was instrumented before'),
    onStarted: () => {
      started += 1;
    },
    onTrouble: (error) => assert.fail(error),
  });
  assert.notEqual(guest.cellPid, process.pid);
  const outcome = await guest.ended;
  assert.equal(started, 1);
  return outcome;
}

/** The answer to a guest that asks for a checkpoint itself. Nothing is kept: the job has those it had. */
async function acknowledge({ head, pages }: PausedImage): Promise<SealedImage> {
  const imageBytes = head.length + pages.length;
  return { id: '', sequence: 0, stamp: '', imageBytes, storedBytes: 0 };
}

const parts: Buffer[] = [];
for await (const part of process.stdin) parts.push(part as Buffer);
await restoreMany(JSON.parse(Buffer.concat(parts).toString('utf8')) as ManyRestores);
