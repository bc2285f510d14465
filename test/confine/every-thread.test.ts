/** A call on every thread of a process, one of them just begun. */
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { kernelCalls } from '../../src/confine/kernel-calls.ts';
import type { Probed } from './every-thread-probe.ts';

const probe = fileURLToPath(new URL('every-thread-probe.ts', import.meta.url));

function run(...options: readonly string[]): Probed {
  const { status, signal, stdout, stderr } = spawnSync(
    process.execPath,
    [...options, '--disable-warning=ExperimentalWarning', probe],
    { encoding: 'utf8' },
  );
  expect({ status, signal, stderr }).toEqual({ status: 0, signal: null, stderr: '' });
  return JSON.parse(stdout) as Probed;
}

describe.runIf(kernelCalls() !== null)('a call on every thread', () => {
  test('is made by each of them, and its refusal told', () => {
    const { threads, done, slacks } = run('--disable-sigusr1');
    console.log(`every thread: ${threads} threads`);
    expect(threads).toBeGreaterThan(2);
    expect(done).toEqual([true, true, false, true]);
    expect(slacks).toEqual([['61234'], ['71234']]);
  });

  test('is not said to be made where a thread takes no signals, and the process lives', () => {
    // Node's thread that waits for SIGUSR1 blocks all others; a cell has none.
    const { done } = run();
    expect(done).toEqual([false, false, false, false]);
  });
});
