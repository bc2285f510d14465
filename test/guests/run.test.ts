import { createHash } from 'node:crypto';
import { crc32 } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import { moduleBytes, NEED_PROVIDERS, presentModules } from './built-modules.ts';
import { type GuestOptions, runGuest } from './run-guest.ts';

/** Those that another host than ours can run, with nobody at the other end of a socket. */
const guests = presentModules().filter(
  (name) =>
    !/^(examples|kernels|kv|pools)\//.test(name) &&
    !Object.hasOwn(NEED_PROVIDERS, name) &&
    name !== 'echo-server',
);

const READS_LINES: readonly string[] = ['blocked-stdin', 'copy-stream'];

const numberedLines = (count: number): string =>
  Array.from({ length: count }, (_, at) => `${at + 1} a line\n`).join('');

const optionsOf = (name: string): GuestOptions =>
  READS_LINES.includes(name) ? { stdin: numberedLines(10) } : {};

describe('an uninterrupted guest', () => {
  it.each(guests)('%s finds everything as it must be, the same way each time', (name) => {
    const first = runGuest(moduleBytes(name), optionsOf(name));
    expect(first.lines.at(-1)).toBe(`ok ${name}`);
    expect(first.status).toBe(0);
    expect(first.lines.length).toBeGreaterThan(3);
    expect(runGuest(moduleBytes(name), optionsOf(name))).toEqual(first);
  });
});

describe('self-checkpoint', () => {
  it.each([
    [0, 'checkpointed'],
    [1, 'restarted'],
    [-63, 'refused, errno 63'],
  ])('takes %i for an answer: %s', (checkpointAnswer, word) => {
    const { status, lines } = runGuest(moduleBytes('self-checkpoint'), { checkpointAnswer });
    expect(status).toBe(0);
    expect(lines.filter((line) => line.endsWith(`: ${word}`))).toHaveLength(18);
  });
});

/** Bytes 0 to 250, over and over. */
const turning = (count: number): Uint8Array =>
  Uint8Array.from({ length: count }, (_, at) => at % 251);

/** Lengths of the Collatz sequences of the numbers below `limit`, added up. */
function collatzSteps(limit: number): number {
  let steps = 0;
  for (let number = 1; number < limit; number++) {
    for (let value = number; value !== 1; steps++) {
      value = value % 2 === 0 ? value / 2 : value * 3 + 1;
    }
  }
  return steps;
}

describe('a kernel at a small size', () => {
  const kernels = presentModules().filter((name) => name.startsWith('kernels/'));
  const sizes: Readonly<Record<string, number>> = {
    'kernels/compress': 128,
    'kernels/crc': 128,
    'kernels/fib': 20,
    'kernels/floyd': 40,
    'kernels/gemm': 40,
    'kernels/interp': 2000,
    'kernels/jacobi': 5,
    'kernels/mandelbrot': 30,
    'kernels/objects': 30,
    'kernels/sha256': 64,
    'kernels/sort-hash': 5000,
    'kernels/strings': 500,
  };
  const checksumOf = (name: string): string => {
    const { status, lines } = runGuest(moduleBytes(name), { args: [String(sizes[name])] });
    expect(status).toBe(0);
    expect(lines).toHaveLength(1);
    return /^checksum ([0-9a-f]{16})$/.exec(lines[0]!)![1]!;
  };

  it.each(kernels)('%s prints a checksum, the same each time', (name) => {
    expect(sizes[name]).toBeGreaterThan(0);
    expect(checksumOf(name)).toBe(checksumOf(name));
  });

  it('computes what it says', () => {
    const hex = (value: number): string => value.toString(16).padStart(16, '0');
    expect(checksumOf('kernels/fib')).toBe(hex(6765));
    expect(checksumOf('kernels/interp')).toBe(hex(collatzSteps(2000)));
    const block = turning(65536);
    expect(checksumOf('kernels/crc')).toBe(hex(crc32(block, crc32(block))));
    const digest = createHash('sha256').update(turning(65536)).digest('hex');
    expect(checksumOf('kernels/sha256')).toBe(digest.slice(0, 16));
  });
});
