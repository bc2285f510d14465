/**
 * Where a guest trapped, as it is told, against where the engine says that the module traps when it runs as it is.
 */
import { describe, expect, test } from 'vitest';
import type { LoadedModule } from '../../src/cell/loaded-module.ts';
import { compileOptimised } from '../../src/cell/optimised-compile.ts';
import { TRAP_FRAMES_MAX, type TrapStack } from '../../src/cell/protocol.ts';
import { callsOfError } from '../../src/cell/stack-trace.ts';
import { NOTED_FRAMES_MAX } from '../../src/cell/trace-limit.ts';
import { trapStack } from '../../src/cell/trap-stack.ts';
import { instrument } from '../../src/instrument/instrument.ts';
import { readOpcodeAt } from '../../src/wasm/decode.ts';
import { engine } from '../../src/wasm/engine.ts';
import { readModule, type WasmModule } from '../../src/wasm/module.ts';
import { readCodeSection } from '../../src/wasm/section-code.ts';
import { SECTION } from '../../src/wasm/section-id.ts';
import { readSections } from '../../src/wasm/sections.ts';
import { assemble } from './assemble.ts';
import { RANDOM_ENTRIES, randomModule } from './random-module.ts';
import { runRaw } from './raw-run.ts';
import { randomStream } from './stop-places.ts';
import { runTrial, type Stop, type Subject, type TrialOptions } from './trial.ts';

interface Place {
  readonly func: number;
  /** Null where it is not told. */
  readonly offset: number | null;
}

interface Told {
  /** Innermost first, as many as are told of a trap. */
  readonly frames: readonly Place[];
  readonly depth: number;
}

function bodiesOf(bytes: Uint8Array): Uint32Array {
  const code = readSections(bytes).find(({ id }) => id === SECTION.code)!;
  return readCodeSection(bytes, code.offset, code.offset + code.size).bodyStart;
}

function isTrap(error: unknown): error is Error {
  return error instanceof engine.RuntimeError || error instanceof RangeError;
}

/** Where each entry that traps does so, run by the engine as it is. */
function rawTraps(bytes: Uint8Array<ArrayBuffer>, entries: readonly string[]): Told[] {
  const module = readModule(bytes);
  const told: Told[] = [];
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = NOTED_FRAMES_MAX;
  try {
    runRaw(bytes, {
      entries,
      onThrown: (error) => {
        if (!isTrap(error)) return;
        const { calls } = callsOfError(error);
        const frames = calls.slice(0, TRAP_FRAMES_MAX).map(({ position }) => ({
          func: functionAt(module, position),
          offset: position,
        }));
        told.push({ frames, depth: calls.length });
      },
    });
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
  return told;
}

function functionAt(module: WasmModule, position: number): number {
  const imported = module.imports.filter(({ kind }) => kind === 'func').length;
  return imported + module.bodyStart.findLastIndex((start) => start <= position);
}

interface Trapping {
  readonly subject: Subject;
  readonly loaded: LoadedModule;
}

function prepareTrapping(
  bytes: Uint8Array<ArrayBuffer>,
  compile = (made: Uint8Array<ArrayBuffer>) => new engine.Module(made),
): Trapping {
  const made = instrument(bytes);
  const compiled = compile(made.bytes);
  const module = readModule(bytes);
  const { plan } = made;
  return {
    subject: { bytes, module, plan, compiled },
    loaded: { module, plan, compiled, bodyStart: bodiesOf(made.bytes) },
  };
}

/** The same of the instrumented module, as a user is told it. */
function toldTraps({ subject, loaded }: Trapping, options: TrialOptions) {
  const told: (TrapStack | null)[] = [];
  const trial = runTrial(subject, {
    ...options,
    onThrown: (error, { guest }) => {
      if (isTrap(error)) told.push(trapStack(error, loaded, guest.twins));
    },
  });
  return { told, trial };
}

function asTold(stack: TrapStack | null): Told {
  const frames = stack?.frames ?? [];
  return {
    frames: frames.map(({ func, offset }) => ({ func, offset })),
    depth: frames.length + (stack?.more ?? 0),
  };
}

const start = (body: string) => `(func $start (export "_start") ${body})`;
/** Calls, a loop that is strip-mined and one that polls, a value that is spilled: each moves what is behind it. */
const within = (body: string) => `
  (func $idle (param i32) (loop $l (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1))))))
  (func $inner (param i32) (result i32)
    (loop $l (call $idle (i32.const 3)) (br_if $l (local.tee 0 (i32.sub (local.get 0) (i32.const 1)))))
    ${body} (i32.const 7))
  ${start('(drop (i32.add (call $inner (i32.const 300)) (call $inner (i32.const 5))))')}`;
const plain = (body: string) => `(func $inner ${body}) ${start('(call $inner)')}`;
const MEMORY = '(memory (export "memory") 1 2) (data $d "x")';
const TABLE =
  '(type $v (func)) (type $i (func (param i32))) (table $t 2 funcref) (elem $e func $f) (func $f (param i32)) (elem (i32.const 1) $f)';
const OUT = '(i32.const -1)';

const KINDS: readonly (readonly [kind: string, opcode: number, body: string, parts: string])[] = [
  ['unreachable', 0x00, '(unreachable)', ''],
  ['a load out of bounds', 0x28, `(drop (i32.load ${OUT}))`, MEMORY],
  ['a store out of bounds', 0x37, `(i64.store ${OUT} (i64.const 1))`, MEMORY],
  ['a load of a vector out of bounds', 0x300, `(drop (v128.load ${OUT}))`, MEMORY],
  ['memory.fill', 0x20b, `(memory.fill (i32.const 1) (i32.const 0) ${OUT})`, MEMORY],
  ['memory.copy', 0x20a, `(memory.copy (i32.const 1) (i32.const 0) ${OUT})`, MEMORY],
  [
    'memory.init, which a helper carries out',
    0x208,
    `(memory.init $d (i32.const 0) (i32.const 0) (i32.const 9))`,
    MEMORY,
  ],
  ['table.get', 0x25, `(drop (table.get $t ${OUT}))`, TABLE],
  ['table.set', 0x26, `(table.set $t ${OUT} (ref.null func))`, TABLE],
  [
    'table.init, which a helper carries out',
    0x20c,
    `(table.init $t $e (i32.const 2) (i32.const 0) (i32.const 1))`,
    TABLE,
  ],
  ['an indirect call beyond the table', 0x11, `(call_indirect (type $v) ${OUT})`, TABLE],
  ['an indirect call of nothing', 0x11, '(call_indirect (type $v) (i32.const 0))', TABLE],
  ['an indirect call of another type', 0x11, '(call_indirect (type $v) (i32.const 1))', TABLE],
  ['division by zero', 0x6d, '(drop (i32.div_s (i32.const 1) (i32.const 0)))', ''],
  [
    'division that overflows',
    0x7f,
    '(drop (i64.div_s (i64.const 0x8000000000000000) (i64.const -1)))',
    '',
  ],
  ['a remainder by zero', 0x70, '(drop (i32.rem_u (i32.const 1) (i32.const 0)))', ''],
  ['a conversion of no number', 0xa8, '(drop (i32.trunc_f32_s (f32.const nan)))', ''],
  ['a conversion that overflows', 0xb0, '(drop (i64.trunc_f64_s (f64.const 1e300)))', ''],
];

const HELPED: ReadonlySet<number> = new Set([0x208, 0x20c]);

describe('each kind of trap is told where it happens', () => {
  const shapes = [
    ['in a function without safepoints', plain],
    ['among loops and calls', within],
  ] as const;
  for (const [shape, textOf] of shapes) {
    test.each(KINDS)(`${shape}: %s`, (_, opcode, body, parts) => {
      const bytes = assemble(`(module ${parts} ${textOf(body)})`);
      const trapping = prepareTrapping(bytes);
      const { told } = toldTraps(trapping, {});
      const [stack] = told;
      expect(readOpcodeAt(bytes, stack!.frames[0]!.offset!)).toBe(opcode);
      expect(stack!.frames.map(({ name }) => name)).toEqual(['inner', 'start']);
      expect(told.map(asTold)).toEqual(rawTraps(bytes, ['_start']));
    });
  }

  test.each(KINDS)('in optimised code: %s', (_, opcode, body, parts) => {
    for (const textOf of [plain, within]) {
      const bytes = assemble(`(module ${parts} ${textOf(body)})`);
      const { told } = toldTraps(prepareTrapping(bytes, compileOptimised), {});
      const [raw] = rawTraps(bytes, ['_start']);
      const frames = told[0]!.frames.map(({ func, offset }) => ({ func, offset }));
      expect(frames.map(({ func }) => func)).toEqual(raw!.frames.map(({ func }) => func));
      // What a helper carries out is a call within a `try`, of which the engine keeps no position.
      if (textOf === plain || !HELPED.has(opcode)) expect(frames[0]).toEqual(raw!.frames[0]);
      for (const [index, { offset }] of frames.entries()) {
        if (offset !== null) expect(offset).toBe(raw!.frames[index]!.offset);
      }
    }
  });

  test('a stack that is exhausted: the innermost twenty, and how many more', () => {
    const bytes = assemble(
      '(module (func $f (export "_start") (local i64) (drop (i32.const 1)) (call $f) (drop (i32.const 2))))',
    );
    const { told } = toldTraps(prepareTrapping(bytes), {});
    const [raw] = rawTraps(bytes, ['_start']);
    const [stack] = told;
    expect(asTold(stack!).frames).toEqual(raw!.frames);
    expect(stack).toMatchObject({ more: NOTED_FRAMES_MAX - TRAP_FRAMES_MAX, isCut: true });
  });
});

const SEEDS = process.env['STASIS_NIGHTLY'] === '1' ? 2000 : 80;

describe('random modules trap where they do without the pass', () => {
  test(`seeds 0 to ${SEEDS - 1}, run through, carried over, and in optimised twins`, () => {
    const done = { traps: 0, frames: 0, deepest: 0, unknown: 0, hops: 0, replaced: 0 };
    const check = (label: object, told: readonly (TrapStack | null)[], raw: readonly Told[]) => {
      expect({ label, traps: told.length }).toEqual({ label, traps: raw.length });
      for (const [index, { frames, depth }] of raw.entries()) {
        const found = asTold(told[index]!);
        const wanted = frames.map((frame, at) =>
          // Of a call in optimised code it may not be known.
          found.frames[at]?.offset === null ? { ...frame, offset: null } : frame,
        );
        expect({ label, index, ...found }).toEqual({ label, index, frames: wanted, depth });
        const unknown = found.frames.filter(({ offset }) => offset === null).length;
        if (found.frames[0]!.offset === null) expect(HELPED.has(opcodeOf(frames[0]!))).toBe(true);
        done.traps++;
        done.frames += frames.length;
        done.unknown += unknown;
        done.deepest = Math.max(done.deepest, depth);
      }
    };
    let bytes = new Uint8Array(0);
    const opcodeOf = ({ offset }: Place) => readOpcodeAt(bytes, offset!);
    for (let seed = 0; seed < SEEDS; seed++) {
      bytes = assemble(randomModule(seed));
      const raw = rawTraps(bytes, RANDOM_ENTRIES);
      const trapping = prepareTrapping(bytes);
      const whole = toldTraps(trapping, { entries: RANDOM_ENTRIES });
      check({ seed }, whole.told, raw);
      const random = randomStream(seed);
      for (let trial = 0; trial < 6; trial++) {
        const { calls, fuel } = whole.trial.ending;
        const stops = [random(), random()]
          .sort((a, b) => a - b)
          .map((part): Stop => {
            const at = random() < 0.4 ? 'call' : 'fuel';
            const count = Math.floor(part * (at === 'call' ? calls : Number(fuel)));
            return { at, count, replaces: random() < 0.5 };
          });
        const { told, trial: ran } = toldTraps(trapping, { entries: RANDOM_ENTRIES, stops });
        check({ seed, stops }, told, raw);
        done.hops += ran.hops;
        done.replaced += ran.replaced;
      }
    }
    console.log(`traps of random modules: ${JSON.stringify(done)}`);
    expect(done.traps).toBeGreaterThan(SEEDS);
    expect(done.frames - done.unknown).toBeGreaterThan(done.traps);
    expect(done.replaced).toBeGreaterThan(SEEDS);
  }, 120_000);
});
