/**
 * A program in C that traps, through the command: it tells the functions of the C source, and the offsets that the
 * engine gives for the module as it is.
 */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { TRAP_FRAMES_MAX } from '../../src/cell/protocol.ts';
import { callsOfError } from '../../src/cell/stack-trace.ts';
import { NOTED_FRAMES_MAX } from '../../src/cell/trace-limit.ts';
import { moduleBytes } from '../guests/built-modules.ts';
import { scratchDirectory } from '../host/scratch.ts';
import { runRaw } from '../instrument/raw-run.ts';
import { ROOT, reported, stasisIn } from './stasis-command.ts';

const stasis = stasisIn(join(scratchDirectory(), 'home'));
const MODULE = 'examples/traps';
const path = join(ROOT, `guests/build/${MODULE}.wasm`);

/** Offsets of the calls on the stack, innermost first, as the engine tells them of the module as it is. */
function rawOffsets(kind: string): readonly number[] {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = NOTED_FRAMES_MAX;
  let offsets: number[] = [];
  try {
    runRaw(moduleBytes(MODULE), {
      args: [kind],
      onThrown: (error) => {
        offsets = callsOfError(error as Error).calls.map(({ position }) => position);
      },
    });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  return offsets;
}

const KINDS = ['unreachable', 'load', 'store', 'call', 'type', 'divide', 'overflow'] as const;

interface Frame {
  readonly name: string | null;
  readonly offset: number | null;
}

async function framesOf(words: readonly string[]): Promise<readonly Frame[]> {
  const { report, status } = await reported(stasis(['run', '--json', ...words]));
  expect(status).toBe(123);
  const { ending } = report as { ending: { kind: string; stack?: { frames: Frame[] } } };
  expect(ending.kind).toBe('trap');
  return ending.stack?.frames ?? [];
}

test.each(KINDS)('%s, at once', async (kind) => {
  const frames = await framesOf([path, kind]);
  expect(frames.map(({ name }) => name)).toEqual([
    `fail_${kind}`,
    'work',
    'main',
    '__main_void',
    '__original_main',
    '_start',
    '_start.command_export',
  ]);
  expect(frames.length).toBeLessThan(TRAP_FRAMES_MAX);
  expect(frames.map(({ offset }) => offset)).toEqual(rawOffsets(kind));
});

test.each([['--osr'], ['--no-osr']])(
  'behind a loop that the engine had time to optimise, with %s',
  async (option) => {
    const options = option === '--no-osr' ? [option] : [];
    const frames = await framesOf([...options, path, 'divide', '100000000']);
    const raw = rawOffsets('divide');
    const known = frames.filter(({ offset }) => offset !== null).length;
    console.log(`${option}: ${known} of ${frames.length} offsets are known`);
    expect(frames[0]).toMatchObject({ name: 'fail_divide', offset: raw[0] });
    expect(frames.map(({ name }) => name).slice(1, 3)).toEqual(['work', 'main']);
    for (const [index, { offset }] of frames.entries()) {
      if (offset !== null) expect(offset).toBe(raw[index]);
    }
  },
);

test('as lines for people', async () => {
  const { status, stderr } = await stasis(['run', path, 'unreachable']);
  expect(status).toBe(123);
  const offset = rawOffsets('unreachable')[0]!.toString(16);
  expect(stderr.toString()).toMatch(
    new RegExp(
      `^stasis: the guest trapped: unreachable\\n {2}at fail_unreachable \\(function \\d+, offset 0x${offset}\\)\\n {2}at work \\(`,
    ),
  );
});
