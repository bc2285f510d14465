/** Which functions poll although they are on no cycle: those beneath which too many calls would be made. */
import { expect, test } from 'vitest';
import { planModule } from '../../src/instrument/call-graph.ts';
import { readFacts } from '../../src/instrument/module-facts.ts';
import { pollsAtEntry } from '../../src/instrument/plan.ts';
import { readModule } from '../../src/wasm/module.ts';
import { assemble } from './assemble.ts';

/** How many of `steps` functions poll, each of which calls the next one twice, and does `also`. */
function polling(steps: number, also: string): number {
  const functions = Array.from({ length: steps }, (_, step) => {
    const calls = step === steps - 1 ? '' : `(call $f${step + 1})`.repeat(2);
    return `(func $f${step} ${calls} ${also})`;
  });
  const bytes = assemble(`(module (import "host" "tick" (func $tick)) ${functions.join(' ')})`);
  const facts = readFacts(readModule(bytes));
  const plan = planModule(facts);
  let count = 0;
  for (let func = 0; func < facts.functions; func++) if (pollsAtEntry(plan, func)) count++;
  return count;
}

test('few calls need no poll', () => {
  expect(polling(12, '')).toBe(0);
  expect(polling(12, '(call $tick)')).toBe(0);
});

test('functions that reach no safepoint may weigh less than others', () => {
  expect(polling(20, '')).toBeGreaterThan(0);
  expect(polling(20, '(call $tick)')).toBe(0);
});

test('the more calls, the more of them poll, but not all', () => {
  for (const also of ['', '(call $tick)', '(loop)']) {
    expect(polling(30, also)).toBeGreaterThan(0);
    expect(polling(300, also)).toBeGreaterThan(5);
    expect(polling(300, also)).toBeLessThan(60);
  }
});
