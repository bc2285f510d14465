/** The guests' own checks are worth something only if they can fail: here each is made to. */

import { appendFileSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { moduleBytes } from './built-modules.ts';
import { type GuestOptions, type Running, runGuest } from './run-guest.ts';

/** The module with one occurrence of `from` replaced by `to`, which is as long. */
function patched(
  name: string,
  from: readonly number[],
  to: readonly number[],
): Uint8Array<ArrayBuffer> {
  const bytes = moduleBytes(name);
  const search = Buffer.from(bytes.buffer);
  const at = search.indexOf(Buffer.from(from));
  expect(at).toBeGreaterThan(0);
  expect(search.indexOf(Buffer.from(from), at + 1)).toBe(-1);
  bytes.set(to, at);
  return bytes;
}

const u32 = (...values: number[]): number[] => [...new Uint8Array(Uint32Array.from(values).buffer)];
const text = (value: string): number[] => [...Buffer.from(value)];

function expectDiffers(
  bytes: Uint8Array<ArrayBuffer>,
  what: string | RegExp,
  options: GuestOptions = {},
): void {
  const { status, lines } = runGuest(bytes, options);
  expect(lines.at(-1)).toMatch(what);
  expect(lines.at(-1)).toMatch(/^differs: /);
  expect(status).toBe(1);
}

/** Flips one bit of each byte of memory from `from` to `to`, `stride` bytes apart. */
function flip({ memory }: Running, from: number, to: number, stride: number): void {
  const bytes = new Uint8Array(memory.buffer);
  for (let at = from; at < to; at += stride) bytes[at]! ^= 1;
}

describe('a guest notices', () => {
  it('nqueens: another number of solutions', () => {
    const spoiled = patched('nqueens', u32(92, 352, 724), u32(92, 351, 724));
    expectDiffers(spoiled, /solutions/, { args: ['9'] });
    expect(runGuest(spoiled, { args: ['8'] }).status).toBe(0);
  });

  it('heap: a changed byte in a block', () => {
    expectDiffers(moduleBytes('heap'), /byte of a heap block/, {
      onLine: (count, running) => {
        if (count === 20) flip(running, 0x20_0000, 0x40_0000, 4096);
      },
    });
  });

  it('recursion: a changed byte in the stack of a caller', () => {
    expectDiffers(moduleBytes('recursion'), /stack slot/, {
      onLine: (count, running) => {
        // The stack ends at 1 MiB and grows down; the first frames lie at its end.
        if (count === 3) flip(running, 0x10_0000 - 4096, 0x10_0000 - 4096 + 32, 8);
      },
    });
  });

  it('floats: a NaN with another payload', () => {
    expectDiffers(moduleBytes('floats'), /f(32|64)/, {
      onLine: (count, { memory }) => {
        const bytes = Buffer.from(memory.buffer);
        const payload = Buffer.from('efbe0000addef4ff', 'hex');
        if (count === 3) bytes.set([0], bytes.indexOf(payload));
      },
    });
  });

  it('bulk-memory: a changed byte', () => {
    expectDiffers(moduleBytes('bulk-memory'), /byte/, {
      onLine: (count, running) => {
        if (count === 5) flip(running, 0x10_1000, 0x10_3000, 1);
      },
    });
  });

  it.each([
    ['lost', '1 a\n3 c\n', /number of the line/],
    ['seen twice', '1 a\n2 b\n2 b\n', /number of the line/],
    ['missing at the end', '1 a\n2 b\n', /lines before the end/],
    ['too many', '1 a\n2 b\n3 c\n4 d\n', /after the last line/],
  ])('blocked-stdin: a line %s', (_what, stdin, what) => {
    expectDiffers(moduleBytes('blocked-stdin'), what, { args: ['3'], stdin });
  });

  it('open-files: an offset that is one off', () => {
    expectDiffers(moduleBytes('open-files'), /offset|byte|record/, {
      onLine: (count, { memory, wasi }) => {
        if (count !== 4) return;
        const SEEK_FROM_HERE = 1;
        const lowestOpened = 4; // 3 is /data
        const kept = new Uint8Array(memory.buffer, 0, 8).slice();
        expect(wasi['fd_seek']!(lowestOpened + 1, 1n, SEEK_FROM_HERE, 0)).toBe(0);
        new Uint8Array(memory.buffer).set(kept, 0);
      },
    });
  });

  it('append-records: a record that is there twice', () => {
    expectDiffers(moduleBytes('append-records'), /record/, {
      onLine: (count, { data }) => {
        const log = join(data, 'log');
        if (count === 2) appendFileSync(log, readFileSync(log).subarray(-24));
      },
    });
  });

  it('directory-walk: names that are gone', () => {
    expectDiffers(moduleBytes('directory-walk'), /files in a directory/, {
      onLine: (count, { data }) => {
        if (count !== 1) return;
        for (const directory of ['0', '1', '2']) {
          const path = join(data, 'directory-walk', directory);
          for (const name of readdirSync(path).slice(40)) rmSync(join(path, name));
        }
      },
    });
  });

  it('sleeping-poll: a sleep that was too short', () => {
    expectDiffers(moduleBytes('sleeping-poll'), /ns slept/, { sleepFactor: 0.9 });
  });

  it('self-checkpoint: an answer that is none', () => {
    expectDiffers(moduleBytes('self-checkpoint'), /answer of the host/, { checkpointAnswer: 7 });
  });

  it('table-segments: other data in a passive segment', () => {
    const spoiled = patched('table-segments', text('0123456789abc'), text('0123456789abd'));
    expectDiffers(spoiled, /a place in the table/);
  });

  it('globals-and-start: data segments written a second time', () => {
    expectDiffers(moduleBytes('globals-and-start'), /a global/, {
      onLine: (_count, { memory }) => new DataView(memory.buffer).setUint32(16, 1, true),
    });
  });
});
