/**
 * Reads what a job wrote, over all of its runs, each line once.
 *
 * A run that began at a checkpoint goes on from there: of its parent's log only the bytes before that
 * checkpoint belong to it, and so on up to the first run. The records are those of
 * `../cell/log-record.ts`.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import { LOG_HEADER_BYTES, readLogHeader } from '../cell/log-record.ts';
import { HostError } from '../fault/host-error.ts';
import { errorCode, ioFailure } from '../fault/io-failure.ts';
import type { RunRecord } from './job-records.ts';
import type { Places } from './places.ts';

/** Larger records come in pieces. */
const PIECE_BYTES = 65_536;

export interface LogPiece {
  readonly stream: 1 | 2;
  readonly timeNs: bigint;
  readonly text: Uint8Array;
}

/** A log, or the part of one before a checkpoint. */
export interface LogSegment {
  readonly run: number;
  readonly path: string;
  /** null: as far as it goes. */
  readonly bytesMax: number | null;
}

export function logPath(places: Places, job: string, run: number): string {
  return join(places.jobs, job, `run-${run}.log`);
}

/** The segments that make up the output of run `last`, in order. */
export function logSegments(
  places: Places,
  job: string,
  runs: readonly RunRecord[],
  last: number,
): LogSegment[] {
  const segments: LogSegment[] = [];
  let bytesMax: number | null = null;
  for (let number: number | null = last; number !== null; ) {
    segments.unshift({ run: number, path: logPath(places, job, number), bytesMax });
    const parent: RunRecord['parent'] = runs.find((run) => run.number === number)?.parent ?? null;
    // A parent is always an earlier run; a row that says otherwise must not make a circle.
    if (parent !== null && parent.run >= number) return segments;
    bytesMax = parent?.logBytes ?? null;
    number = parent?.run ?? null;
  }
  return segments;
}

/**
 * The pieces of all segments. `more` is asked at the end of the last one: true means that there may be
 * more after a while. A last record that a crash cut short is left out.
 *
 * Throws ERR_NO_LOG when a file is missing, ERR_IO.
 */
export async function* readLog(
  segments: readonly LogSegment[],
  more: () => Promise<boolean>,
): AsyncGenerator<LogPiece> {
  for (const [at, segment] of segments.entries()) {
    const last = at === segments.length - 1;
    yield* readSegment(segment, last ? more : async () => false);
  }
}

async function* readSegment(
  segment: LogSegment,
  more: () => Promise<boolean>,
): AsyncGenerator<LogPiece> {
  const file = await openLog(segment);
  try {
    const header = Buffer.alloc(LOG_HEADER_BYTES);
    const view = new DataView(header.buffer, header.byteOffset, LOG_HEADER_BYTES);
    const end = segment.bytesMax ?? Number.POSITIVE_INFINITY;
    let offset = 0;
    for (;;) {
      if (offset + LOG_HEADER_BYTES > end) return;
      if (!(await readWhole(file, header, offset, more))) return;
      const found = readLogHeader(view, 0);
      if (found === null) throw damagedLog(segment.run, offset);
      const { stream, timeNs } = found;
      let at = offset + LOG_HEADER_BYTES;
      offset = at + found.textBytes;
      if (offset > end) return;
      while (at < offset) {
        const text = Buffer.alloc(Math.min(PIECE_BYTES, offset - at));
        if (!(await readWhole(file, text, at, more))) return;
        at += text.length;
        yield { stream, timeNs, text };
      }
    }
  } finally {
    await file.close();
  }
}

/** Fills `into` from `offset`. False when the file ends before and nothing more is to come. */
async function readWhole(
  file: FileHandle,
  into: Buffer,
  offset: number,
  more: () => Promise<boolean>,
): Promise<boolean> {
  let filled = 0;
  for (;;) {
    const { bytesRead } = await file.read(into, filled, into.length - filled, offset + filled);
    filled += bytesRead;
    if (filled === into.length) return true;
    if (bytesRead === 0 && !(await more())) return false;
  }
}

async function openLog(segment: LogSegment): Promise<FileHandle> {
  try {
    return await open(segment.path, 'r');
  } catch (error) {
    if (errorCode(error) !== 'ENOENT') throw ioFailure('open the log', error);
    throw new HostError('ERR_NO_LOG', `Run ${segment.run} of the job has no log.`, {
      hint: 'a job that is run with --no-log keeps none',
    });
  }
}

function damagedLog(run: number, offset: number): HostError {
  return new HostError('ERR_IO', `The log of run ${run} is damaged.`, {
    facts: { run, atByte: offset },
  });
}
