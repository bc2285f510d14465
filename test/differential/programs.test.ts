/**
 * The same programs on four implementations of WASI: what they print, how they end, what they leave in a
 * file. Where one does otherwise than on ours, the table says so and why.
 */
import { expect, test } from 'vitest';
import type { LayerName } from './layers.ts';
import { PROGRAMS } from './program-list.ts';
import { type ProgramEnd, runProgram } from './run-program.ts';

const MINUTE = 60_000;
const OTHERS = ['wasmer', 'node', 'bjorn3'] as const satisfies readonly LayerName[];

interface Difference extends Partial<ProgramEnd> {
  readonly why: string;
}

type ByLayer = Readonly<Partial<Record<LayerName, Difference>>>;

const DIFFERENCES: Readonly<Record<string, ByLayer>> = {
  'open-files': {
    wasmer: {
      end: 'exit 1',
      stdout: 'differs: lowest free number: got 0xb, want 0xa\n',
      file: '0 bytes, e3b0c44298fc1c14',
      why: 'numbers are counted up and never used again; the program ends there, before it writes',
    },
    bjorn3: {
      end: 'exit 1',
      stdout: 'differs: lowest free number: got 0xa, want 0x9\n',
      file: '0 bytes, e3b0c44298fc1c14',
      why: 'numbers are counted up and never used again; the program ends there, before it writes',
    },
  },
  'sleeping-poll': {
    wasmer: {
      end: 'throws @wasmer/wasi broke down in poll_oneoff: unreachable',
      stdout: '',
      why: 'waiting for a clock gives up',
    },
  },
  'ruby, with files': {
    wasmer: {
      stdout: '"first LINEline\\nsecond!"\n22\n["two"]\nfalse\ntrue\nErrno::ENOENT\nfalse\n',
      why: 'writing in the middle of a file inserts',
    },
  },
};

/** They would not end in any time that a test has. */
const NOT_RUN: Readonly<Record<string, Readonly<Partial<Record<LayerName, string>>>>> = {
  'sleeping-poll': {
    node: 'a sleep until a point in time had not ended after two minutes',
    bjorn3: 'it reads the flag for a point in time in the wrong place, and waits for that long',
  },
};

const done = { programs: 0, runs: 0, differences: 0 };

test.each(Object.entries(PROGRAMS))('%s', { timeout: 5 * MINUTE }, (name, program) => {
  const { bytes, ...options } = program;
  const module = bytes();
  const ours = runProgram('stasis', module, options);
  expect(ours.end).toBe('exit 0');
  expect(ours.stdout + ours.file).not.toBe('');
  done.programs += 1;
  for (const layer of OTHERS) {
    if (NOT_RUN[name]?.[layer] !== undefined) continue;
    const { why, ...different } = DIFFERENCES[name]?.[layer] ?? { why: '' };
    const found = runProgram(layer, module, options);
    expect(found, `${layer}: ${why}`).toEqual({ ...ours, ...different });
    done.runs += 1;
    if (why !== '') {
      expect(found, 'a difference that is gone').not.toEqual(ours);
      done.differences += 1;
    }
  }
});

test('every difference is of a program that was run', () => {
  for (const name of [...Object.keys(DIFFERENCES), ...Object.keys(NOT_RUN)]) {
    expect(Object.keys(PROGRAMS)).toContain(name);
  }
  expect(done.differences).toBe(
    Object.values(DIFFERENCES).reduce((sum, layers) => sum + Object.keys(layers).length, 0),
  );
  process.stdout.write(
    `differential: ${done.programs} programs, ${done.runs} runs on other layers, ` +
      `${done.differences} of them not as on ours\n`,
  );
});
