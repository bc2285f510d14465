import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import {
  createSharedControl,
  type SharedControl,
  STDIN_RING_BYTES,
  viewSharedControl,
  WORD,
} from '../../src/cell/shared-control.ts';
import { createStdinFeeder, type StdinFeeder } from '../../src/cell/stdin-feeder.ts';
import { scratchDirectory } from '../host/scratch.ts';

const scratch = scratchDirectory();

interface Fed {
  readonly shared: SharedControl;
  readonly feeder: StdinFeeder;
}

function feederOf(fd: number): Fed {
  const shared = viewSharedControl(createSharedControl());
  return { shared, feeder: createStdinFeeder(fd, shared) };
}

/** Asks once, as a guest does that found the ring empty, and waits until it is told. */
async function ask({ shared: { words }, feeder }: Fed): Promise<void> {
  const wake = Atomics.load(words, WORD.wake);
  Atomics.store(words, WORD.stdinWanted, 1);
  feeder.feed();
  while (Atomics.load(words, WORD.wake) === wake) await sleep(1);
}

/** Takes out at most `max` bytes, as a guest does. */
function take({ shared: { words, stdin } }: Fed, max: number): Buffer {
  const read = Atomics.load(words, WORD.stdinRead) >>> 0;
  const waiting = (Atomics.load(words, WORD.stdinWritten) - read) >>> 0;
  const count = Math.min(max, waiting);
  const bytes = Buffer.alloc(count);
  for (let at = 0; at < count; at += 1) bytes[at] = stdin[(read + at) % STDIN_RING_BYTES]!;
  Atomics.store(words, WORD.stdinRead, (read + count) | 0);
  return bytes;
}

const state = ({ shared: { words } }: Fed) => Atomics.load(words, WORD.stdinState);

describe('standard input', () => {
  test('comes through the ring byte for byte, also where the counters wrap', async () => {
    const content = Buffer.alloc(300_001, 0).map((_, at) => (at * 7) & 0xff);
    const path = join(scratch, 'content');
    writeFileSync(path, content);
    const fd = openSync(path, 'r');
    const fed = feederOf(fd);
    // Just before the counters of 32 bits begin again.
    for (const word of [WORD.stdinWritten, WORD.stdinRead]) {
      Atomics.store(fed.shared.words, word, -STDIN_RING_BYTES);
    }
    const parts: Buffer[] = [];
    for (let turn = 0; state(fed) !== 2; turn += 1) {
      await ask(fed);
      // Not always all of it, so that reads begin at every place of the ring.
      for (let left = 1; left > 0; ) {
        const part = take(fed, 10_007);
        left = turn % 3 === 0 ? 0 : part.length;
        parts.push(part);
      }
    }
    parts.push(take(fed, STDIN_RING_BYTES));
    expect(Buffer.compare(Buffer.concat(parts), content)).toBe(0);
    closeSync(fd);
  });

  test('is not read before it is wanted, nor beyond the room in the ring', async () => {
    const path = join(scratch, 'large');
    writeFileSync(path, Buffer.alloc(200_000, 1));
    const fed = feederOf(openSync(path, 'r'));
    fed.feeder.feed();
    await sleep(20);
    expect(Atomics.load(fed.shared.words, WORD.stdinWritten)).toBe(0);
    await ask(fed);
    await ask(fed);
    await ask(fed);
    expect(Atomics.load(fed.shared.words, WORD.stdinWritten)).toBe(STDIN_RING_BYTES);
  });

  test('that comes late is waited for, also on a descriptor that does not block', async () => {
    const path = join(scratch, 'fifo');
    execFileSync('mkfifo', [path]);
    const fd = openSync(path, constants.O_RDWR | constants.O_NONBLOCK);
    const fed = feederOf(fd);
    const asked = ask(fed);
    await sleep(30);
    writeSync(fd, 'late');
    await asked;
    expect(take(fed, 10).toString()).toBe('late');
    expect(state(fed)).toBe(1);
    closeSync(fd);
  });

  test('ends once and for all, and fails where it can not be read', async () => {
    const empty = feederOf(openSync('/dev/null', 'r'));
    await ask(empty);
    expect(state(empty)).toBe(2);
    await ask(empty);
    expect(state(empty)).toBe(2);
    const directory = feederOf(openSync(scratch, 'r'));
    await ask(directory);
    expect(state(directory)).toBe(3);
  });
});
