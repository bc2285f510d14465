/**
 * The same scripts of calls on four implementations of WASI: where one answers otherwise than ours, the
 * table in `differences.ts` says so and why.
 */
import { afterAll, describe, expect, test } from 'vitest';
import { ALL_CALLS } from './all-calls.ts';
import { DIFFERENCES } from './differences.ts';
import { LAYERS, type LayerName } from './layers.ts';
import { runSteps } from './observe.ts';
import { SCRIPTS } from './scripts.ts';

const OTHERS = LAYERS.filter((name) => name !== 'stasis');
const done = { scripts: 0, answers: 0, differences: 0 };
const called = new Set<string>();

function sortedRows(rows: readonly (readonly string[])[]): string[] {
  return rows.map((row) => row.join(' | ')).sort();
}

/** Script and step, layer, answer: everything that is not as ours. */
function observedRows(script: string): string[] {
  const steps = SCRIPTS[script]!;
  const ours = runSteps('stasis', steps, (name) => called.add(name));
  expect(Object.keys(ours), 'ours gets through every script').toEqual(Object.keys(steps));
  const rows: string[][] = [];
  for (const layer of OTHERS) {
    for (const [step, seen] of Object.entries(runSteps(layer, steps))) {
      done.answers += 1;
      if (seen !== ours[step]) rows.push([step, layer, seen]);
    }
  }
  done.differences += rows.length;
  return sortedRows(rows);
}

function explainedRows(script: string): string[] {
  return sortedRows(
    Object.entries(DIFFERENCES[script] ?? {}).flatMap(([step, rows]) =>
      rows.map(([layer, sees]) => [step, layer, sees]),
    ),
  );
}

// The hosts' own errnos come through in places, and they are those of Linux here.
describe.runIf(process.platform === 'linux')('four layers', () => {
  test.each(Object.keys(SCRIPTS))('%s', (script) => {
    done.scripts += 1;
    expect(observedRows(script)).toEqual(explainedRows(script));
  });

  test('were given every call', () => {
    // A guest's end is a matter of whole programs: see `programs.test.ts`.
    expect([...called, 'proc_exit'].sort()).toEqual([...ALL_CALLS].sort());
  });

  test('differ where the table says, and it says why', () => {
    expect(Object.keys(SCRIPTS)).toEqual(expect.arrayContaining(Object.keys(DIFFERENCES)));
    const layers = new Set<LayerName>();
    for (const steps of Object.values(DIFFERENCES)) {
      for (const [layer, , why] of Object.values(steps).flat()) {
        layers.add(layer);
        expect(why.length).toBeGreaterThan(10);
      }
    }
    expect([...layers].sort()).toEqual([...OTHERS].sort());
  });

  afterAll(() => {
    process.stdout.write(
      `differential: ${done.scripts} scripts, ${done.answers} answers of ${OTHERS.join(', ')}, ` +
        `${done.differences} of them not ours\n`,
    );
  });
});
