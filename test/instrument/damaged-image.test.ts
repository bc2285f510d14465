/** Parts of an image that don't fit the module are refused, or do harm to nobody but their guest. */
import { expect, test } from 'vitest';
import type { ImageFrame } from '../../src/image/image.ts';
import { assemble } from './assemble.ts';
import { randomStream } from './stop-places.ts';
import { makeStage, prepare, type Stage } from './trial.ts';

const subject = prepare(
  assemble(`(module
    (import "host" "say" (func $say (param i32)))
    (memory 1) (table 3 8 funcref) (elem (i32.const 0) $f $g)
    (global $kept (mut funcref) (ref.null func))
    (func $plain (param i32) (result i32) (i32.add (local.get 0) (i32.const 1)))
    (func $f (param i64 funcref) (result i64)
      (table.set (i32.const 2) (local.get 1))
      (call $say (i32.const 1)) (local.get 0))
    (func $g (param f64) (result f64)
      (drop (call $f (i64.const 7) (ref.func $f))) (local.get 0))
    (func (export "_start") (local $i i32)
      (loop $l
        (drop (call $g (f64.const 2)))
        (local.set $i (call $plain (local.get $i)))
        (br_if $l (i32.lt_u (local.get $i) (i32.const 3))))))`),
);
const FUNCTIONS = 5;

const fresh = (): Stage => makeStage(subject, { args: [], output: [], calls: 0 }, 0n, {});

/** A stage that stands in its first call of the host. */
function stopped(): Stage {
  const stage = fresh();
  stage.stopCall = 0;
  expect(stage.guest.run(stage.guest.entries('_start', false)[0]!).kind).toBe('unwound');
  return stage;
}

const MALFORMED = expect.objectContaining({ code: 'ERR_MALFORMED_IMAGE' });

test('frames of functions and sites that are not there', () => {
  const [frame] = stopped().guest.captureStack();
  const { guest } = fresh();
  for (const func of [0, 1, FUNCTIONS, FUNCTIONS + 1, 2 ** 31]) {
    expect(() => guest.restoreStack([{ ...frame!, func }])).toThrow(MALFORMED);
  }
  expect(() => guest.restoreStack([{ ...frame!, site: 1 }])).toThrow(MALFORMED);
  expect(() => guest.restoreStack([{ ...frame!, site: 2 ** 32 - 1 }])).toThrow(MALFORMED);
});

test('references to functions that are not those of the guest', () => {
  const { guest } = fresh();
  const [frame] = stopped().guest.captureStack();
  for (const func of [FUNCTIONS, FUNCTIONS + 2, 2 ** 31, 1.5]) {
    expect(() => guest.restoreStack([{ ...frame!, refs: [func] }])).toThrow(MALFORMED);
    expect(() => guest.restoreGlobals({ words: new Uint8Array(0), refs: [func] })).toThrow(
      MALFORMED,
    );
    expect(() => guest.restoreTables([{ size: 3, entries: [func, 0, 0] }])).toThrow(MALFORMED);
  }
});

test('other numbers of tables and memories, and other sizes', () => {
  const { guest } = fresh();
  expect(() => guest.restoreTables([])).toThrow(MALFORMED);
  expect(() => guest.restoreTables([{ size: 1, entries: [] }])).toThrow(MALFORMED);
  expect(() => guest.restoreMemory([], new Uint8Array(0))).toThrow(MALFORMED);
  const tooLarge = expect.objectContaining({ code: 'ERR_RESOURCE_NOT_GRANTED' });
  expect(() => guest.restoreTables([{ size: 2_000_000, entries: null }])).toThrow(tooLarge);
  const memory = { sizePages: 100_000, present: [] };
  expect(() => guest.restoreMemory([memory], new Uint8Array(0))).toThrow(tooLarge);
});

test('frames in an order in which nothing calls the next one', () => {
  const frames = stopped().guest.captureStack();
  expect(frames).toHaveLength(3);
  const { guest } = fresh();
  guest.restoreStack([frames[1]!, frames[0]!, frames[2]!]);
  const outcome = guest.prepareResume(() => undefined)();
  expect(outcome).toStrictEqual({ kind: 'threw', error: MALFORMED });
});

test('frames with other words, more of them, or fewer', () => {
  const frames = stopped().guest.captureStack();
  const random = randomStream(7);
  const spoil = (frame: ImageFrame): ImageFrame => ({
    ...frame,
    words: Uint8Array.from({ length: Math.floor(random() * 12) * 4 }, () => random() * 256),
    refs: random() < 0.5 ? [] : [Math.floor(random() * FUNCTIONS)],
  });
  let ended = 0;
  for (let trial = 0; trial < 50; trial++) {
    const { guest } = fresh();
    guest.restoreStack(frames.map((frame) => (random() < 0.7 ? spoil(frame) : frame)));
    expect(guest.prepareResume(() => undefined)().kind).toBe('returned');
    ended++;
  }
  expect(ended).toBe(50);
});
