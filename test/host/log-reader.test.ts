import { appendFileSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { LOG_HEADER_BYTES, writeLogHeader } from '../../src/cell/log-record.ts';
import type { RunRecord } from '../../src/host/job-records.ts';
import { type LogSegment, logPath, logSegments, readLog } from '../../src/host/log-reader.ts';
import { placesUnder } from '../../src/host/places.ts';
import { scratchDirectory } from './scratch.ts';

const places = placesUnder(scratchDirectory(), '/unused');

function record(text: string, stream: 1 | 2 = 1, timeNs = 5n): Buffer {
  const bytes = Buffer.from(text);
  const header = new Uint8Array(LOG_HEADER_BYTES);
  writeLogHeader(new DataView(header.buffer), { stream, textBytes: bytes.length, timeNs });
  return Buffer.concat([header, bytes]);
}

function writeRun(job: string, run: number, ...records: Buffer[]): number {
  const path = logPath(places, job, run);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, Buffer.concat(records));
  return Buffer.concat(records).length;
}

const runOf = (number: number, parent: RunRecord['parent'] = null) =>
  ({ number, parent }) as RunRecord;
const childOf = (number: number, run: number, logBytes: number) =>
  runOf(number, { run, logBytes, checkpoint: 'c' });

async function readText(
  segments: readonly LogSegment[],
  more = async () => false,
): Promise<string> {
  const parts: string[] = [];
  for await (const { stream, text } of readLog(segments, more)) {
    parts.push(`${stream}:${Buffer.from(text).toString()}`);
  }
  return parts.join('|');
}

describe('the log of a job', () => {
  test('follows the chain of its runs, each record once', async () => {
    const cut = writeRun('a', 1, record('one'), record('two', 2));
    appendFileSync(logPath(places, 'a', 1), record('lost with the host'));
    const second = writeRun('a', 2, record('three'));
    appendFileSync(logPath(places, 'a', 2), record('lost too'));
    writeRun('a', 3, record('four'));
    const runs = [runOf(1), childOf(2, 1, cut), childOf(3, 2, second)];
    expect(await readText(logSegments(places, 'a', runs, 3))).toBe('1:one|2:two|1:three|1:four');
    expect(await readText(logSegments(places, 'a', runs, 2))).toBe(
      '1:one|2:two|1:three|1:lost too',
    );
  });

  test('may go on from the beginning of a run, and skip a run that led nowhere', async () => {
    writeRun('b', 1, record('dead end'));
    writeRun('b', 2, record('dead end'));
    writeRun('b', 3, record('x'));
    const runs = [runOf(1), childOf(2, 1, 0), childOf(3, 1, 0)];
    expect(await readText(logSegments(places, 'b', runs, 3))).toBe('1:x');
  });

  test('does not go round in circles', () => {
    const runs = [childOf(1, 2, 5), childOf(2, 2, 5)];
    expect(logSegments(places, 'c', runs, 2).map(({ run }) => run)).toEqual([2]);
    expect(logSegments(places, 'c', runs, 1).map(({ run }) => run)).toEqual([1]);
  });

  test('leaves out a last record that a crash cut, at whatever byte', async () => {
    const whole = record('whole');
    const last = record('cut');
    for (let kept = 0; kept < last.length; kept += 1) {
      writeRun('d', 1, whole, last);
      truncateSync(logPath(places, 'd', 1), whole.length + kept);
      const text = await readText(logSegments(places, 'd', [runOf(1)], 1));
      expect(text).toBe('1:whole');
    }
  });

  test('is refused where it can not be a record', async () => {
    const whole = record('whole');
    writeRun('e', 1, whole, Buffer.alloc(40, 7));
    await expect(readText(logSegments(places, 'e', [runOf(1)], 1))).rejects.toMatchObject({
      code: 'ERR_IO',
      facts: { run: 1, atByte: whole.length },
    });
  });

  test('comes in pieces when a record is large, and may claim any length', async () => {
    const text = 'y'.repeat(200_000);
    const claim = record('z');
    claim.writeUInt32LE(0x7fff_ffff, 4);
    writeRun('f', 1, record(text), claim);
    const shown = await readText(logSegments(places, 'f', [runOf(1)], 1));
    expect(shown.replaceAll('|1:', '').slice(2)).toBe(text);
  });

  test('that was never kept is told by name', async () => {
    await expect(readText(logSegments(places, 'none', [runOf(1)], 1))).rejects.toMatchObject({
      code: 'ERR_NO_LOG',
    });
  });

  test('can be followed while it grows, also within a record', async () => {
    const next = record('second');
    writeRun('g', 1, record('first'));
    const path = logPath(places, 'g', 1);
    const steps = [next.subarray(0, 3), next.subarray(3, 20), next.subarray(20)];
    const more = async () => {
      const step = steps.shift();
      if (step !== undefined) appendFileSync(path, step);
      return step !== undefined;
    };
    const segments = logSegments(places, 'g', [runOf(1)], 1);
    expect(await readText(segments, more)).toBe('1:first|1:second');
    expect(join(places.jobs, 'g', 'run-1.log')).toBe(path);
  });
});
