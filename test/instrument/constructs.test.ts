import { describe, expect, test } from 'vitest';
import { assemble } from './assemble.ts';
import { CONSTRUCTS, moduleText } from './constructs.ts';
import { runRaw } from './raw-run.ts';
import { checkEveryStop, checkStopsInARow } from './stop-places.ts';
import { prepare, runTrial } from './trial.ts';

describe('stopped at each of its safepoints, and at all of them in a row', () => {
  for (const construct of CONSTRUCTS) {
    test(construct.name, () => {
      const bytes = assemble(moduleText(construct));
      const subject = prepare(bytes);
      expect(runTrial(subject).ending).toMatchObject(runRaw(bytes));
      const each = checkEveryStop(subject);
      expect(each.hops).toBe(each.trials);
      expect(each.trials).toBeGreaterThan(0);
      expect(checkStopsInARow(subject).hops).toBeGreaterThan(0);
    });
  }
});

describe('a deep stack', () => {
  const text = `(module
    (import "host" "say" (func $say (param i32)))
    (func $down (param i32) (result i32)
      (if (i32.eqz (local.get 0)) (then (call $say (i32.const 0)) (return (i32.const 0))))
      (i32.add (i32.const 1) (call $down (i32.sub (local.get 0) (i32.const 1)))))
    (func (export "_start") (call $say (call $down (i32.const 10000)))))`;

  test('comes back whole', () => {
    const subject = prepare(assemble(text));
    const trial = runTrial(subject, {
      stops: [
        { at: 'fuel', count: 5000 },
        { at: 'call', count: 0 },
      ],
    });
    expect(trial.ending).toStrictEqual(runTrial(subject).ending);
    expect(trial.hops).toBe(2);
    expect(trial.deepest).toBe(10_002);
  });
});

test('a function whose twin is larger than the engine takes is refused', () => {
  const branches = '(br_if $b (i32.const 0))'.repeat(700_000);
  const subject = prepare(
    assemble(`(module (import "host" "say" (func $say (param i32)))
      (func (export "_start") (loop $a (loop $b (call $say (i32.const 1)) ${branches}) (br_if $a (i32.const 0)))))`),
  );
  expect(runTrial(subject).ending.output).toBe('say(1)\n');
  expect(() => runTrial(subject, { stops: [{ at: 'call', count: 0 }] })).toThrow(
    expect.objectContaining({ code: 'ERR_NOT_CAPTURABLE' }),
  );
});

describe('caps', () => {
  const grow = (maximum: string): Uint8Array<ArrayBuffer> =>
    assemble(`(module (import "host" "say" (func $say (param i32)))
      (memory 1 ${maximum}) (table 1 ${maximum} funcref)
      (func (export "memory") (call $say (memory.grow (i32.const 3))))
      (func (export "table") (call $say (table.grow (ref.null func) (i32.const 3)))))`);

  test('growing beyond a cap ends the guest, wherever it was stopped before', () => {
    const subject = prepare(grow(''));
    for (const entry of ['memory', 'table']) {
      const options = { entries: [entry], memoryPagesMax: 3, tableEntriesMax: 3 };
      expect(runTrial(subject, options).ending.ends).toStrictEqual([`limit ${entry}`]);
      const raised = { entries: [entry], memoryPagesMax: 4, tableEntriesMax: 4 };
      expect(runTrial(subject, raised).ending.output).toBe('say(1)\n');
    }
  });

  test("growing beyond the module's own maximum fails as it does without the pass", () => {
    const subject = prepare(grow('3'));
    const options = { entries: ['memory', 'table'], memoryPagesMax: 3, tableEntriesMax: 3 };
    expect(runTrial(subject, options).ending.output).toBe('say(-1)\nsay(-1)\n');
  });

  test('asking for more than the whole cap at once fails, and the guest goes on', () => {
    const subject = prepare(grow(''));
    const options = { entries: ['memory', 'table'], memoryPagesMax: 2, tableEntriesMax: 2 };
    expect(runTrial(subject, options).ending.output).toBe('say(-1)\nsay(-1)\n');
  });

  test('a module that begins above a cap is not started', () => {
    const subject = prepare(grow(''));
    const entries = ['memory'];
    expect(() => runTrial(subject, { entries, memoryPagesMax: 0 })).toThrow(
      expect.objectContaining({ limit: 'memory' }),
    );
    expect(() => runTrial(subject, { entries, tableEntriesMax: 0 })).toThrow(
      expect.objectContaining({ limit: 'table' }),
    );
  });
});
