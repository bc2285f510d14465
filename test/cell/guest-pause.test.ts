import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { createDescriptorStdin } from '../../src/cell/descriptor-stdin.ts';
import { createGuestPause } from '../../src/cell/guest-pause.ts';
import { createOutputBudget, createOutputSink } from '../../src/cell/output-sink.ts';
import {
  createSharedControl,
  type SharedControl,
  viewSharedControl,
  WORD,
  wakeGuest,
} from '../../src/cell/shared-control.ts';
import { monotonicNs } from '../../src/cell/wall-clock.ts';
import { nativeDescriptors } from '../../src/handle/native-descriptors.ts';
import { scratchDirectory } from '../host/scratch.ts';

const scratch = scratchDirectory();
const native = nativeDescriptors()!;
const LATER_MS = 50;
let fifos = 0;
let pipe: { readonly read: number; readonly write: number };

/** A pipe both of whose ends do not block. */
beforeEach(() => {
  fifos += 1;
  const path = join(scratch, `fifo-${fifos}`);
  execFileSync('mkfifo', [path]);
  const read = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  pipe = { read, write: openSync(path, constants.O_WRONLY | constants.O_NONBLOCK) };
});

afterEach(() => {
  closeSync(pipe.read);
  closeSync(pipe.write);
});

function pauseOf(shared: SharedControl, way: 'native' | 'portable') {
  return createGuestPause({
    shared,
    clock: { monotonicNs },
    isRequested: () => Atomics.load(shared.words, WORD.request) !== 0,
    stdin: { hostFd: pipe.read },
    native: way === 'native' ? native : null,
  });
}

/** What the main thread of a cell does when a checkpoint is asked for, some time from now. */
function requestLater(buffer: SharedArrayBuffer): Worker {
  return new Worker(
    `const { workerData } = require('node:worker_threads');
     const words = new Int32Array(workerData.buffer);
     setTimeout(() => {
       Atomics.store(words, ${WORD.request}, 1);
       Atomics.add(words, ${WORD.wake}, 1);
       Atomics.notify(words, ${WORD.wake});
       const fd = Atomics.load(words, ${WORD.wakeFd});
       if (fd > 0) require('node:fs').writeSync(fd, new BigUint64Array([1n]));
     }, ${LATER_MS});`,
    { eval: true, workerData: { buffer } },
  );
}

describe.each(['native', 'portable'] as const)('a wait for descriptors, %s', (way) => {
  const awaited = (read: boolean) => [
    { hostFd: read ? pipe.read : pipe.write, read, write: !read },
  ];

  test('ends when one is ready', () => {
    const pause = pauseOf(viewSharedControl(createSharedControl()), way);
    expect(pause.wait(null, { stdin: false, descriptors: awaited(false) })).toBe('ready');
    writeSync(pipe.write, 'x');
    expect(pause.wait(null, { stdin: false, descriptors: awaited(true) })).toBe('ready');
    expect(pause.wait(null, { stdin: true })).toBe('ready');
  });

  test('ends when a checkpoint is asked for, before it or in it', async () => {
    const buffer = createSharedControl();
    const shared = viewSharedControl(buffer);
    const pause = pauseOf(shared, way);
    const worker = requestLater(buffer);
    // Without the system's help it comes back now and then, and is called again.
    let ended = 'ready';
    while (ended === 'ready') ended = pause.wait(null, { stdin: true });
    expect(ended).toBe('interrupted');
    expect(pause.wait(null, { stdin: true })).toBe('interrupted');
    Atomics.store(shared.words, WORD.request, 0);
    // What woke it is used up: the next wait is one.
    wakeGuest(shared);
    const untilNs = monotonicNs() + 20_000_000n;
    let after = 'ready';
    while (after === 'ready') after = pause.wait(untilNs, { stdin: true });
    expect(after).toBe('timeout');
    expect(monotonicNs()).toBeGreaterThanOrEqual(untilNs);
    await worker.terminate();
  });
});

describe('a stream that does not block', () => {
  test('stdin gives what is there, says when there is nothing, and ends', () => {
    const stdin = createDescriptorStdin({ fd: pipe.read, isOwn: true }, native);
    const into = new Uint8Array(8);
    expect(stdin.read(into)).toBe('empty');
    writeSync(pipe.write, 'hello');
    expect(stdin.read(into)).toBe(5);
    expect(Buffer.from(into.subarray(0, 5)).toString()).toBe('hello');
    expect(stdin.position()).toBeNull();
    closeSync(pipe.write);
    expect(stdin.read(into)).toBe('end');
    pipe = { ...pipe, write: openSync('/dev/null', 'w') };
  });

  test.each([true, false])('output takes what a pipe has room for (its own: %s)', (isOwn) => {
    const sink = createOutputSink({
      budget: createOutputBudget(null),
      stream: 1,
      logFd: null,
      hostFd: pipe.write,
      isOwn,
      native,
      nowNs: () => 0n,
    });
    const whole = Buffer.alloc(1_000_000).map((_, at) => at * 13);
    const parts = [whole.subarray(0, 3), whole.subarray(3)];
    let written = 0;
    let full = 0;
    const read: Buffer[] = [];
    const part = Buffer.alloc(50_000);
    while (written < whole.length) {
      const taken = sink.write(parts, written);
      expect(taken).toBeGreaterThanOrEqual(0);
      written += taken;
      if (taken > 0 && written < whole.length) continue;
      if (taken === 0) full += 1;
      read.push(Buffer.from(part.subarray(0, readSync(pipe.read, part))));
    }
    for (let count = 1; Buffer.concat(read).length < whole.length; ) {
      count = readSync(pipe.read, part);
      read.push(Buffer.from(part.subarray(0, count)));
    }
    expect(full).toBeGreaterThan(5);
    expect(Buffer.compare(Buffer.concat(read), whole)).toBe(0);
    closeSync(pipe.read);
    expect(sink.write(parts, 0)).toBe(-64);
    pipe = { ...pipe, read: openSync('/dev/null', 'r') };
  });
});
